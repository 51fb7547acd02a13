"""From density and colour along a ray to one pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from nerface.types import Rendering

LAST_SIGMA_EXTRA = 1e-6  # NeRFace: with the endless last interval it makes the last sample opaque (spec 4.4, step 4)
LAST_INTERVAL = 1e10
SOFTPLUS_GAIN = 50.0
SOFTPLUS_SHIFT = 3.0


def density(sigma_raw: Float[Tensor, "rays samples"], form: str) -> Float[Tensor, "rays samples"]:
    """Density per head unit from a field's raw output.

    "relu" is NeRFace's. "softplus" (mip-NeRF sec. 3.1's remedy for fields that die, here with a gain) starts from a
    thin fog, 2.4 per unit for a raw 0, and reaches the hundreds that a surface needs with raw values of a few.
    """
    if form == "relu":
        return torch.relu(sigma_raw)
    return SOFTPLUS_GAIN * F.softplus(sigma_raw - SOFTPLUS_SHIFT)


def ray_weights(
    sigma: Float[Tensor, "rays samples"],
    t_mid: Float[Tensor, "rays samples"],
    direction_norm: Float[Tensor, " rays"],
) -> Float[Tensor, "rays samples"]:
    """The share of each sample in its pixel (NeRF eq. 3, NeRFace's form: spec 4.4, step 4).

    The interval is the distance to the next sample times |direction|; the last interval is endless and the last sample
    gets a little density more, so that it takes all that is left and the weights sum to 1. Transmittance is the
    exponential of the thickness passed; the seed multiplies (1 - alpha + 1e-10), which differs by 1e-10 a sample but
    runs through denormal numbers, slow on a CPU.
    """
    interval = torch.cat([t_mid[:, 1:] - t_mid[:, :-1], torch.full_like(t_mid[:, :1], LAST_INTERVAL)], dim=-1)
    interval = interval * direction_norm[:, None]
    last = torch.zeros_like(sigma[:1])
    last[:, -1] = LAST_SIGMA_EXTRA
    thickness = (sigma + last) * interval  # [R, S]
    before = torch.cumsum(thickness[:, :-1], dim=-1)
    transmittance = torch.exp(-torch.cat([torch.zeros_like(before[:, :1]), before], dim=-1))
    return -torch.expm1(-thickness) * transmittance


def composite(
    weights: Float[Tensor, "rays samples"],
    rgb: Float[Tensor, "rays samples 3"],
    t_mid: Float[Tensor, "rays samples"],
    background: Float[Tensor, "rays 3"] | None,
) -> Rendering:
    """Weighted colour, depth and opacity; a `background` takes the place of the last sample's colour (spec 4.4)."""
    if background is not None:
        colour = (weights[:, :-1, None] * rgb[:, :-1]).sum(dim=-2) + weights[:, -1:] * background
    else:
        colour = (weights[..., None] * rgb).sum(dim=-2)
    return Rendering(colour, 1.0 - weights[:, -1], (weights * t_mid).sum(dim=-1))
