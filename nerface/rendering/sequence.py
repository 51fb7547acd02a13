"""A sequence of views drawn into a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from nerface.driving.views import View, require_numbers
from nerface.errors import UserError
from nerface.fields.base import Avatar
from nerface.precision import autocast
from nerface.progress import SILENT, Progress
from nerface.types import Camera, Condition, Rendering
from nerface.video import DEFAULT_FRAME_RATE_HZ, VideoWriter


@dataclass(frozen=True)
class SequenceOptions:
    """How a sequence is drawn.

    `latent` is the code of views that bring none ("mean", "zero", "frame:K"); `frame_rate` in Hz; `precision` that of
    `nerface.precision`; `background` [H, W, 3] in [0, 1] stands in place of the avatar's plate; `beside` gives the
    picture (uint8 RGB, any size) that is shown to the left of view k.
    """

    latent: str = "mean"
    frame_rate: float = DEFAULT_FRAME_RATE_HZ
    precision: str = "auto"
    background: Float[Tensor, "height width 3"] | None = None
    beside: Callable[[int], UInt8[np.ndarray, "rows columns 3"]] | None = None


@torch.no_grad()
def draw_view(
    avatar: Avatar, camera: Camera, condition: Condition, precision: str = "auto"
) -> tuple[Rendering, UInt8[Tensor, "height width 3"]]:
    """A view as it is rendered, on the device, and as 8-bit colours on the CPU.

    Raises `UserError` where the avatar gives a colour that is no number.
    """
    with autocast(avatar.device, precision):
        rendering = avatar.render(camera, condition)
    if not bool(torch.isfinite(rendering.colour).all()):
        raise UserError("the avatar's picture holds NaN or infinity: did training diverge?")
    return rendering, (rendering.colour.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def draw(
    avatar: Avatar,
    view: View,
    latent: Float[Tensor, " latent"],
    precision: str = "auto",
    background: Float[Tensor, "height width 3"] | None = None,
) -> UInt8[Tensor, "height width 3"]:
    """One view as 8-bit colours on the CPU, over `background` in [0, 1] (None: the avatar's own plate).

    `latent` is the code where the view brings none. Errors as `draw_view`.
    """
    device = avatar.device
    camera = Camera(view.camera.intrinsics, view.camera.camera_to_head.to(device))
    condition = Condition(
        view.expression.to(device),
        latent if view.latent is None else view.latent.to(device),
        avatar.plate() if background is None else background.to(device),
        None if view.viewed_from is None else view.viewed_from.to(device),
        None if view.body_from is None else view.body_from.to(device),
    )
    return draw_view(avatar, camera, condition, precision)[1]


def check_output(path: Path) -> None:
    """Raise `UserError` where no new MP4 file can be made at `path`."""
    if path.suffix.lower() != ".mp4":
        raise UserError(f"{path} is not the name of an MP4 file: choose one that ends in .mp4")
    if path.exists():
        raise UserError(f"{path} exists already and nothing is overwritten: choose another name")


def render_video(
    avatar: Avatar,
    views: Sequence[View],
    path: Path,
    options: SequenceOptions | None = None,
    progress: Progress = SILENT,
) -> Path:
    """Draw `views` into the MP4 `path`, whole or not at all.

    Raises `UserError` where the file exists already or is none that ends in .mp4, for a latent code that the avatar
    does not have, where there is no view, and for expressions that hold NaN or infinity.
    """
    options = options or SequenceOptions()
    check_output(path)
    if not views:
        raise UserError(f"there is no frame to draw into {path}")
    require_numbers(np.stack([view.expression.cpu().numpy() for view in views]), avatar.expression_names)
    latent = avatar.latent(options.latent)
    height, width = views[0].camera.intrinsics.height, views[0].camera.intrinsics.width
    left = 0 if options.beside is None else _as_high(options.beside(0), height).shape[1]
    progress.start("rendering", len(views))
    with VideoWriter(path, options.frame_rate, left + width, height) as video:
        for index, view in enumerate(views):
            image = draw(avatar, view, latent, options.precision, options.background).numpy()
            if options.beside is not None:
                image = np.concatenate([_as_high(options.beside(index), height), image], axis=1)
            video.write(image)
            progress.advance()
    return path


def _as_high(picture: UInt8[np.ndarray, "rows columns 3"], height: int) -> UInt8[np.ndarray, "height width 3"]:
    """The picture scaled to `height`, its shape kept."""
    rows, columns = picture.shape[:2]
    if rows == height:
        return picture
    size = max(1, round(columns * height / rows)), height
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if rows > height else cv2.INTER_CUBIC)
