"""A field's density on a regular grid, in a form in which surfaces can be found well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nerface.geometry.region import Region
from nerface.geometry.shapes import Person
from nerface.progress import SILENT, Progress
from nerface.types import Condition

HALF = 0.5  # the solidity of the surface
MARGIN_VOXELS = 2  # empty voxels round the region, so that surfaces close
CHUNK_POINTS = {"cpu": 1 << 15, "cuda": 1 << 20}


@dataclass(frozen=True)
class Grid:
    """`solidity` [X, Y, Z] at `origin` + index * `voxel` (head units): over a half inside.

    `densest` is the greatest density met in the region, per head unit.
    """

    solidity: Float[np.ndarray, "x y z"]
    origin: Float[np.ndarray, " 3"]
    voxel: float
    densest: float


def chunk_points(avatar: Person) -> int:
    """How many points a field is asked about at a time."""
    return CHUNK_POINTS.get(avatar.device.type, CHUNK_POINTS["cpu"])


@torch.no_grad()
def sample_grid(
    avatar: Person,
    condition: Condition,
    region: Region,
    resolution: int,
    level: float,
    progress: Progress = SILENT,
) -> Grid:
    """Ask the field in `region`, whose longest side gets `resolution` voxels.

    Solidity is 1 - 2^(-sigma / level), in [0, 1] and a half at the density `level`: the share of light that a depth
    ln 2 / level of such density takes. Bounded, it lets marching cubes put a surface between voxels that differ a
    hundredfold. The region's border is a surface too, at its exact place: solidity is bounded by
    (1 + depth below the border / voxel) / 2, the intersection of both solids.
    """
    low, high = region.bounds()
    voxel = float((high - low).max()) / resolution
    counts = [int(count) + 1 + 2 * MARGIN_VOXELS for count in ((high - low) / voxel).ceil()]
    origin = low - MARGIN_VOXELS * voxel
    total = counts[0] * counts[1] * counts[2]
    solidity, densest = np.zeros(total, dtype=np.float32), 0.0
    chunk = chunk_points(avatar)
    progress.start("asking the field", -(-total // chunk))
    for start in range(0, total, chunk):
        index = torch.arange(start, min(start + chunk, total))
        points = origin + voxel * _places(index, counts)
        below = region.depth(points)
        # Beyond one voxel outside the border, solidity is zero whatever the field says.
        wanted = below > -voxel
        if bool(wanted.any()):
            sigma, _ = avatar.query(points[wanted].to(avatar.device), condition)
            sigma = sigma.float().cpu()
            densest = max(densest, float(torch.where(below[wanted] > 0, sigma, 0.0).max()))
            found = torch.minimum(1.0 - torch.exp2(-sigma / level), HALF * (1.0 + below[wanted] / voxel))
            solidity[index[wanted].numpy()] = found.numpy()
        progress.advance()
    return Grid(solidity.reshape(counts), origin.numpy(), voxel, densest)


def _places(index: Tensor, counts: list[int]) -> Float[Tensor, "points 3"]:
    """Grid coordinates of flat indices, the last axis running fastest."""
    plane = counts[1] * counts[2]
    return torch.stack([index // plane, index % plane // counts[2], index % counts[2]], dim=-1).float()
