"""Fields and the avatars made of them. A kind of avatar is named once, here."""

from __future__ import annotations

import torch

from nerface.fields.base import Avatar, AvatarConfig, Subject
from nerface.fields.paper import PaperAvatar, PaperConfig
from nerface.fields.splat import SplatAvatar
from nerface.fields.splat_config import SplatConfig
from nerface.rendering import splatting

KINDS: dict[type[AvatarConfig], type[PaperAvatar] | type[SplatAvatar]] = {
    PaperConfig: PaperAvatar,
    SplatConfig: SplatAvatar,
}
CONFIGS: dict[str, type[AvatarConfig]] = {"paper": PaperConfig, "splat": SplatConfig}

__all__ = [
    "CONFIGS",
    "Avatar",
    "AvatarConfig",
    "PaperAvatar",
    "PaperConfig",
    "SplatAvatar",
    "SplatConfig",
    "Subject",
    "build_avatar",
    "kind_of",
    "make_ready",
]


def kind_of(config: AvatarConfig) -> str:
    """The name under which an avatar's configuration is saved."""
    return next(kind for kind, cls in CONFIGS.items() if type(config) is cls)


def build_avatar(config: AvatarConfig, subject: Subject) -> Avatar:
    """An avatar with fresh weights (drawn from torch's global generator: seed it first)."""
    return KINDS[type(config)](config, subject)  # type: ignore[arg-type]


def make_ready(config: AvatarConfig, device: torch.device) -> None:
    """Set up what drawing avatars of `config` on `device` takes, before work that would be lost without it.

    For Gaussians: gsplat's CUDA code, which is built once on a machine, in minutes. Raises `UserError` with the remedy
    where that cannot be done.
    """
    if isinstance(config, SplatConfig):
        splatting.prepare(config.rasteriser, device)
