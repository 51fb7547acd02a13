"""Feature planes blended by the expression: an encoding that a small network learns from in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

AXES = ((0, 1), (0, 2), (1, 2))  # the planes xy, xz, yz


@dataclass(frozen=True)
class PlanesConfig:
    """Three orthogonal planes of features per level, `channels` each, over [-extent, extent] head units.

    `resolution` is the static planes' number of texels a side; `basis` further sets of planes, `basis_resolution` a
    side, are added with weights that are a learned linear map of the frame's condition.
    """

    resolution: int = 128
    channels: int = 8
    basis: int = 8
    basis_resolution: int = 64
    extent: float = 0.3


class BlendedPlanes(nn.Module):
    """Features of a point: its bilinear look-up in three planes, P(c) = P_0 + sum_k w_k(c) P_k.

    Tri-planes (Chan et al. 2022, EG3D sec. 4) whose sum over a basis follows NeRFBlendShape's blending of feature
    grids (Gao et al. 2022), with a learned linear map from condition to weights.
    """

    def __init__(self, config: PlanesConfig, condition_channels: int) -> None:
        super().__init__()
        self.config = config
        self.width = 2 * 3 * config.channels
        self.static = nn.Parameter(0.1 * torch.randn(3, config.channels, config.resolution, config.resolution))
        side = config.basis_resolution
        self.basis = nn.Parameter(0.1 * torch.randn(1 + config.basis, 3 * config.channels * side * side))
        self.weights = nn.Linear(condition_channels, config.basis)

    def forward(
        self, points: Float[Tensor, "frames points 3"], condition: Float[Tensor, "frames condition"]
    ) -> Float[Tensor, "frames points features"]:
        """Features of `points` in head space; points beyond the extent take those of the border."""
        frames, count = points.shape[:2]
        config, side = self.config, self.config.basis_resolution
        scaled = points / config.extent
        places = torch.stack([scaled[..., list(axes)] for axes in AXES], dim=1)  # [F, 3, N, 2]
        weights = self.weights(condition).to(points.dtype)  # [F, basis]
        mix = torch.cat([torch.ones_like(weights[:, :1]), weights], dim=-1)
        blended = (mix @ self.basis).reshape(frames * 3, config.channels, side, side)
        moving = _look_up(blended, places.reshape(frames * 3, count, 2)).reshape(frames, -1, count)
        still = _look_up(self.static, places.transpose(0, 1).reshape(3, frames * count, 2))
        still = still.reshape(3 * config.channels, frames, count).transpose(0, 1)
        return torch.cat([moving, still], dim=1).transpose(1, 2)


def _look_up(
    planes: Float[Tensor, "N C side side"], places: Float[Tensor, "N points 2"]
) -> Float[Tensor, "N C points"]:
    planes, grid = planes.to(places.dtype), places[:, None]
    with torch.autocast(planes.device.type, enabled=False):
        return F.grid_sample(planes, grid, padding_mode="border", align_corners=True)[:, :, 0]
