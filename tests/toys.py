"""Toy-size configurations and avatars for tests: milliseconds a step on one core."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from nerface.config import RunConfig, TrainingConfig
from nerface.data import Dataset
from nerface.fields import PaperAvatar, PaperConfig, Subject, build_avatar
from nerface.fields.paper_field import FieldConfig
from nerface.rendering.volume import SamplingConfig
from nerface.training.begin import describe
from nerface.types import Intrinsics

FIELD = FieldConfig(
    trunk_layers=3,
    width=16,
    skip_layer=1,
    colour_layers=2,
    colour_width=8,
    position_frequencies=4,
    direction_frequencies=2,
)
AVATAR = PaperConfig(
    coarse=FIELD,
    fine=FIELD,
    sampling=SamplingConfig(coarse=4, fine=4),
    latent_channels=4,
    refine_poses=False,
    refine_colours=False,
)
TRAINING = TrainingConfig(
    steps=12, rays=48, frames=2, log_every=4, validate_every=6, save_every=5, precision="fp32", mask_penalty=0.0
)


def toy_run(avatar: PaperConfig = AVATAR, **training: Any) -> RunConfig:
    """A run of a toy avatar; keywords replace training settings."""
    return RunConfig("paper", avatar, replace(TRAINING, **training))


def toy_subject(channels: int = 3, frames: int = 5, width: int = 12, height: int = 10) -> Subject:
    """A subject with uneven numbers everywhere."""
    row = tuple(0.1 * k for k in range(channels))
    return Subject(
        expression_names=tuple(f"shape_{k}" for k in range(channels)),
        expression_mean=row,
        expression_std=tuple(0.2 + value for value in row),
        expression_min=tuple(-value for value in row),
        expression_max=tuple(1 + value for value in row),
        intrinsics=Intrinsics(-1.5 * width, 1.6 * width, 0.45, 0.55, width, height),
        rest_pose=((1.0, 0.0, 0.0, 0.01), (0.0, 1.0, 0.0, -0.02), (0.0, 0.0, 1.0, 0.5), (0.0, 0.0, 0.0, 1.0)),
        seen_angles=(-180.0, 180.0, -90.0, 90.0),
        train_frames=frames,
        frame_rate=None,
        source="made.mp4",
    )


def toy_avatar(config: PaperConfig = AVATAR, subject: Subject | None = None, seed: int = 0) -> PaperAvatar:
    """An avatar of random weights, random latent codes and a random plate, all from `seed`."""
    torch.manual_seed(seed)
    avatar = build_avatar(config, subject or toy_subject())
    assert isinstance(avatar, PaperAvatar)
    avatar.latent_codes.data = torch.randn(avatar.latent_codes.shape)
    height, width = avatar.background.shape[:2]
    plate = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)
    avatar.set_background(plate, torch.rand(height, width) < 0.2)
    return avatar


def avatar_for(dataset: Dataset, config: PaperConfig = AVATAR) -> PaperAvatar:
    """A fresh avatar of a dataset's subject."""
    return toy_avatar(config, describe(dataset))
