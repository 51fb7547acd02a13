"""Toy-size splat avatars for tests: some fifty Gaussians, every parameter random."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from nerface.config import RunConfig
from nerface.fields import Subject, build_avatar
from nerface.fields.base import PixelBatch
from nerface.fields.splat import SplatAvatar
from nerface.fields.splat_config import SplatConfig
from tests.toys import TRAINING, toy_subject


def toy_splat_config(**settings: Any) -> SplatConfig:
    """Fifty Gaussians, a basis of three, two latent channels, no corrections; keywords replace settings."""
    small = SplatConfig(
        start=50, most=60, basis=3, latent_channels=2, grow_every=4, refine_poses=False, refine_colours=False
    )
    return replace(small, **settings)


def toy_splat_run(config: SplatConfig | None = None, **training: Any) -> RunConfig:
    """A run of a toy splat avatar: whole frames; keywords replace training settings."""
    whole = {"rays": None, "ssim_weight": 0.2, "colour_loss": "absolute", **training}
    return RunConfig("splat", config or toy_splat_config(), replace(TRAINING, **whole))


def toy_splat_avatar(subject: Subject | None = None, seed: int = 0, config: SplatConfig | None = None) -> SplatAvatar:
    """An avatar whose every weight is random, from `seed`: a cloud of a tenth of a head unit before its cameras.

    Half of its Gaussians follow the head, half the body, none of them quite; the plate is random too.
    """
    torch.manual_seed(seed)
    avatar = build_avatar(config or toy_splat_config(), subject or toy_subject(width=24, height=20))
    assert isinstance(avatar, SplatAvatar)
    with torch.no_grad():
        for name, parameter in avatar.named_parameters():
            parameter.copy_(_random(name.rpartition(".")[2], parameter.shape))
    height, width = avatar.background.shape[:2]
    plate = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)
    avatar.set_background(plate, torch.rand(height, width) < 0.2)
    return avatar.eval()


def turned(subject: Subject, frames: int) -> torch.Tensor:
    """Poses round the rest pose [F, 4, 4]."""
    poses = []
    for angle in torch.linspace(-0.2, 0.25, frames):
        turn = torch.eye(4)
        turn[0, 0] = turn[2, 2] = angle.cos()
        turn[0, 2], turn[2, 0] = angle.sin(), -angle.sin()
        poses.append(turn @ torch.tensor(subject.rest_pose))
    return torch.stack(poses)


def batch_of(avatar: SplatAvatar, frames: list[int], dtype: torch.dtype = torch.float32) -> PixelBatch:
    """Whole training frames, each with its own pose and expression, before the avatar's plate."""
    subject = avatar.subject
    inner, channels = subject.intrinsics, len(subject.expression_names)
    count = len(frames) * inner.width * inner.height
    expressions = torch.rand(subject.train_frames, channels, generator=torch.Generator().manual_seed(5))
    return PixelBatch(
        intrinsics=inner,
        frames=torch.tensor(frames),
        pixels=None,
        target=torch.rand(count, 3, generator=torch.Generator().manual_seed(4)).to(dtype),
        background=avatar.plate().flatten(0, 1).repeat(len(frames), 1).to(dtype),
        mask=None,
        camera_to_head=turned(subject, subject.train_frames)[frames].to(dtype),
        expression=expressions[frames].to(dtype),
    )


def _random(name: str, shape: torch.Size) -> torch.Tensor:
    """Values of the size that training ends with."""
    drawn = torch.randn(shape)
    if name == "means":
        return 0.06 * drawn
    if name == "log_sizes":
        return -4.0 + 0.5 * drawn  # about 0.02 head units
    if name == "opacity_logits":
        return 1.0 + drawn
    if name == "colours":
        return torch.rand(shape)
    if name == "follow_logits":
        return 3.0 * drawn
    if name in ("answer", "body_corrections", "pose_corrections", "colour_corrections"):
        return 0.1 * drawn * (1.0 if name == "answer" else 0.1)
    if name in ("view_colours", "colour_motions", "latent_directions", "trained_background"):
        return 0.1 * drawn
    return drawn  # turns, motions (in units of reach, before tanh), opacity motions, directions, latent codes
