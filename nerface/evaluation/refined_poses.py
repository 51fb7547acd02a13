"""Poses of held-out frames found anew with the field frozen: what an avatar could show if capture had been exact.

Figures with these poses are not a prediction of new frames: the frame itself is looked at. They tell what is the
field's fault and what is the tracker's, and stand beside, never in place of, those with the poses as captured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from nerface.data.boxes import box_slices
from nerface.fields.base import Avatar
from nerface.fields.pose_correction import corrected
from nerface.precision import autocast
from nerface.training.corrections import SHIFT_SIGMA, TURN_SIGMA
from nerface.training.losses import colour_loss
from nerface.types import Camera, Condition, Frame


@dataclass(frozen=True)
class PoseSearch:
    """How a pose is sought: `steps` of Adam on `rays` pixels of the head box, a step of `rate` (in usual errors of a
    tracker: a degree, 4 mm) falling to a tenth.
    """

    steps: int = 100
    rays: int = 1024
    rate: float = 0.15
    seed: int = 0


DEFAULTS = PoseSearch()


def refined_pose(
    avatar: Avatar,
    camera: Camera,
    condition: Condition,
    frame: Frame,
    precision: str = "auto",
    gains: Float[Tensor, " 3"] | None = None,
    search: PoseSearch = DEFAULTS,
) -> Float[Tensor, "4 4"]:
    """The camera pose near `camera`'s with which the avatar's picture is nearest to `frame` in its head box.

    `gains` are those with which the frame's camera recorded its colours (None: the plate's exposure). Deterministic for
    a given device. The avatar's weights are not touched.
    """
    device = avatar.device
    pixels, colours = _head_pixels(frame, device)
    generator = torch.Generator(device).manual_seed(search.seed + max(frame.source_frame, 0))
    unit = torch.tensor([TURN_SIGMA] * 3 + [SHIFT_SIGMA] * 3, device=device)
    twist = torch.zeros(1, 6, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([twist], lr=search.rate)
    start = camera.camera_to_head.to(device)[None]
    for step in range(search.steps):
        optimizer.param_groups[0]["lr"] = search.rate * 0.1 ** (step / search.steps)
        chosen = torch.randint(len(pixels), (search.rays,), generator=generator, device=device)
        moved = Camera(camera.intrinsics, corrected(start, twist * unit)[0])
        with torch.enable_grad(), autocast(device, precision):
            drawn = avatar.render(moved, condition, pixels[chosen])
            colour = drawn.colour if gains is None else drawn.colour * gains
            loss = colour_loss(colour, colours[chosen])
        (gradient,) = torch.autograd.grad(loss, twist)  # the field's own gradients are never formed
        twist.grad = gradient
        optimizer.step()
    return corrected(start, twist.detach() * unit)[0]


def _head_pixels(frame: Frame, device: torch.device) -> tuple[Int[Tensor, "pixels 2"], Float[Tensor, "pixels 3"]]:
    """Places (row, column) and colours in [0, 1] of the head box."""
    rows, columns = box_slices(frame.head_box, *frame.image.shape[:2])
    places = np.moveaxis(np.mgrid[rows, columns], 0, -1).reshape(-1, 2)
    colours = frame.image[rows, columns].reshape(-1, 3)
    return torch.from_numpy(places).to(device), torch.from_numpy(colours).to(device).float() / 255.0
