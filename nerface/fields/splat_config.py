"""The settings of the splat field."""

from __future__ import annotations

from dataclasses import dataclass

from nerface.fields.base import AvatarConfig
from nerface.rendering.splatting import RASTERISERS


@dataclass(frozen=True)
class SplatConfig(AvatarConfig):
    """Gaussians in head space, moved by a linear map of the expression.

    `basis` directions of expression and latent code (a learned linear map, begun from the training expressions'
    principal components) move each Gaussian's mean and, with `moves_colour`, its colour and, with `moves_opacity`, its
    opacity; the mean moves by at most `reach` head units along each axis. `view_colours` lets colours change linearly
    with the direction from which the head is seen. With `body`, each Gaussian chooses between following the head and
    following a body frame that stands nearly still before the camera. `motion_penalty` weighs the mean square of the
    maps, in units of `reach`, `smoothness` how unlike neighbours' maps are (`nerface.fields.neighbours`),
    `size_penalty` the excess of standard deviations over `largest` head units, and `body_penalty` the square of the
    body's own motion in each training frame, in usual turns and shifts.

    Training begins with `start` Gaussians and splits those with the largest gradients every `grow_every` steps, until
    there are `most` of them when the share `grow_share` of the steps is done; those less opaque than `least_opacity`
    are taken out meanwhile. `rasteriser` is one of `nerface.rendering.splatting.RASTERISERS`.
    """

    latent_channels: int = 8
    start: int = 10_000
    most: int = 45_000
    basis: int = 20
    moves_colour: bool = True
    moves_opacity: bool = False
    view_colours: bool = True
    body: bool = True
    reach: float = 0.05
    motion_penalty: float = 3.0
    smoothness: float = 0.3
    size_penalty: float = 1.0
    largest: float = 0.03
    body_penalty: float = 1.0
    grow_every: int = 100
    grow_share: float = 0.5
    least_opacity: float = 0.01
    rasteriser: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("start", "basis", "grow_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1: {getattr(self, name)}")
        if self.most < self.start:
            raise ValueError(f"most must be at least start: {self.most} and {self.start}")
        for name in ("reach", "largest"):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"{name} must be greater than 0: {getattr(self, name)}")
        for name in ("grow_share", "least_opacity"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must lie between 0 and 1: {getattr(self, name)}")
        if self.rasteriser not in RASTERISERS:
            raise ValueError(f"rasteriser must be one of {', '.join(RASTERISERS)}: {self.rasteriser}")
