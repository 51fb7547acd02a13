"""A sequence of views drawn into a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from nerface.driving.views import View
from nerface.errors import UserError
from nerface.fields.base import Avatar
from nerface.precision import autocast
from nerface.progress import SILENT, Progress
from nerface.types import Camera, Condition
from nerface.video import DEFAULT_FRAME_RATE_HZ, VideoWriter


@dataclass(frozen=True)
class SequenceOptions:
    """How a sequence is drawn: the latent code ("mean", "zero", "frame:K"), frame rate in Hz, and number format."""

    latent: str = "mean"
    frame_rate: float = DEFAULT_FRAME_RATE_HZ
    precision: str = "auto"


@torch.no_grad()
def draw(
    avatar: Avatar,
    view: View,
    latent: Float[Tensor, " latent"],
    precision: str = "auto",
    background: Float[Tensor, "height width 3"] | None = None,
) -> UInt8[Tensor, "height width 3"]:
    """One view as 8-bit colours on the CPU, over `background` in [0, 1] (None: the avatar's own plate).

    Raises `UserError` where the avatar gives a colour that is no number.
    """
    device = avatar.device
    camera = Camera(view.camera.intrinsics, view.camera.camera_to_head.to(device))
    condition = Condition(view.expression.to(device), latent, avatar.plate() if background is None else background)
    with autocast(device, precision):
        colour = avatar.render(camera, condition).colour
    if not bool(torch.isfinite(colour).all()):
        raise UserError("the avatar's picture holds NaN or infinity: did training diverge?")
    return (colour.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


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
    does not have, and where there is no view.
    """
    options = options or SequenceOptions()
    check_output(path)
    if not views:
        raise UserError(f"there is no frame to draw into {path}")
    latent = avatar.latent(options.latent)
    inner = avatar.subject.intrinsics
    progress.start("rendering", len(views))
    with VideoWriter(path, options.frame_rate, inner.width, inner.height) as video:
        for view in views:
            video.write(draw(avatar, view, latent, options.precision).numpy())
            progress.advance()
    return path
