"""A bundle of rays through a coarse and a fine field."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from nerface.rendering.compositing import composite, density, ray_weights
from nerface.rendering.sampling import importance_depths, stratified_depths
from nerface.types import Rays, Rendering, Samples


class Field(Protocol):
    """What the renderer asks of a field: raw density and colour at positions.

    The rays lie frame by frame, the same number of each of the frames that `condition` has a row for.
    """

    def __call__(
        self,
        positions: Float[Tensor, "rays samples 3"],
        view_directions: Float[Tensor, "rays 3"],
        condition: Float[Tensor, "frames condition"],
    ) -> tuple[Float[Tensor, "rays samples"], Float[Tensor, "rays samples 3"]]: ...


@dataclass(frozen=True)
class SamplingConfig:
    """How rays are sampled: depth range in head units along the camera axis, samples of the two passes, density noise.

    `coarse` stratified depths, then `fine` more by importance (0: the coarse field alone). `noise` is the standard
    deviation added to raw density in training, `density` the form ("relu", "softplus") that makes it positive.
    `disparity` spaces the coarse samples evenly in 1/depth; `jitter` moves samples at random in training.
    `drawn_coarse` and `drawn_fine` are the numbers of samples when pictures are drawn, where those differ from
    training's.
    """

    near: float = 0.2
    far: float = 0.8
    coarse: int = 64
    fine: int = 64
    noise: float = 0.1
    density: str = "relu"
    disparity: bool = False
    jitter: bool = True
    drawn_coarse: int | None = None
    drawn_fine: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.near < self.far:
            raise ValueError(f"near must lie between 0 and far: near {self.near}, far {self.far}")
        for coarse, fine in ((self.coarse, self.fine), (self.drawn_coarse, self.drawn_fine)):
            if (coarse is not None and coarse < 4) or (fine is not None and fine < 0):
                raise ValueError(f"at least 4 coarse and 0 fine samples: {coarse}, {fine}")
        if self.disparity and self.near == 0:
            raise ValueError("disparity needs a near greater than 0")
        if self.density not in ("relu", "softplus"):
            raise ValueError(f"density must be relu or softplus: {self.density}")


def for_drawing(config: SamplingConfig) -> SamplingConfig:
    """The same with the numbers of samples that pictures are drawn with."""
    coarse = config.coarse if config.drawn_coarse is None else config.drawn_coarse
    fine = config.fine if config.drawn_fine is None else config.drawn_fine
    return replace(config, coarse=coarse, fine=fine)


def render_rays(
    fields: tuple[Field, Field | None],
    rays: Rays,
    condition: Float[Tensor, "frames condition"],
    config: SamplingConfig,
    generator: torch.Generator | None = None,
) -> list[Rendering]:
    """The coarse and, where there is one, the fine rendering of `rays` (spec 4.4).

    `condition` has one row per frame of the bundle. With a generator, depths are jittered (if `config.jitter`) and
    density gets noise, as in training; without one the result is deterministic.
    """
    coarse, fine = fields
    norm = rays.directions.norm(dim=-1)
    view = rays.directions / norm[:, None] if rays.view is None else rays.view
    near, jitter = torch.full_like(norm, config.near), generator if config.jitter else None
    t_mid = stratified_depths(near, torch.full_like(norm, config.far), config.coarse, jitter, config.disparity)
    renderings = []
    for stage in range(1 if fine is None or config.fine == 0 else 2):
        field = coarse if stage == 0 else fine
        assert field is not None
        samples = place(rays, t_mid)
        sigma_raw, rgb = field(samples.positions, view, condition)
        if generator is not None and config.noise > 0:
            noise = torch.randn(sigma_raw.shape, generator=generator, device=sigma_raw.device)
            sigma_raw = sigma_raw + config.noise * noise
        weights = ray_weights(density(sigma_raw, config.density), t_mid, norm)
        renderings.append(composite(weights, rgb, t_mid, rays.background))
        if stage == 0 and config.fine:
            drawn = importance_depths(t_mid, weights, config.fine, jitter)
            t_mid = torch.cat([t_mid, drawn], dim=-1).sort(dim=-1).values
    return renderings


def place(rays: Rays, t_mid: Float[Tensor, "rays samples"]) -> Samples:
    """Points at the depths `t_mid` of each ray."""
    return Samples(t_mid, rays.origins[:, None] + t_mid[..., None] * rays.directions[:, None])
