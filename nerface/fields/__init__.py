"""Fields and the avatars made of them. A kind of avatar is named once, here."""

from __future__ import annotations

from nerface.fields.base import Avatar, Subject
from nerface.fields.paper import PaperAvatar, PaperConfig

AvatarConfig = PaperConfig
CONFIGS: dict[str, type[PaperConfig]] = {"paper": PaperConfig}


def kind_of(config: AvatarConfig) -> str:
    """The name under which an avatar's configuration is saved."""
    return next(kind for kind, cls in CONFIGS.items() if type(config) is cls)


def build_avatar(config: AvatarConfig, subject: Subject) -> Avatar:
    """An avatar with fresh weights (drawn from torch's global generator: seed it first)."""
    return PaperAvatar(config, subject)
