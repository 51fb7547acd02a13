"""Colours of a surface, looked up in the field."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nerface.geometry.grid import chunk_points
from nerface.geometry.shapes import Person
from nerface.progress import SILENT, Progress
from nerface.rendering.compositing import ray_weights
from nerface.types import Condition

STEPS = 13
ABOVE = 0.5  # where the look begins, in depths over the surface
BELOW = 2.0  # where it ends, in depths under it: three quarters of the light of matter at the level are used up
DEEPEST = 0.05  # head units, for haze
FACING = 0.25  # cosine from which on a surface counts as turned to the camera


@torch.no_grad()
def surface_colours(
    avatar: Person,
    condition: Condition,
    vertices: Float[np.ndarray, "vertices 3"],
    normals: Float[np.ndarray, "vertices 3"],
    level: float,
    progress: Progress = SILENT,
) -> Float[np.ndarray, "vertices 3"]:
    """What the field shows at each vertex, in [0, 1].

    The colour of the outermost fringe is not what a picture shows: a pixel blends what the light passes. So each vertex
    is looked at from a little above the surface to as far below as matter of the density `level` asks for, and the
    samples are blended as in a picture (NeRF eq. 3). What faces the rest pose's camera is looked at along its rays,
    what does not along the inward normal. The direction of sight that the field is told is that camera's everywhere: it
    never saw the sides and the back straight on.
    """
    rest = torch.tensor(avatar.subject.rest_pose, dtype=torch.float32, device=avatar.device)
    depth = min(math.log(2.0) / level, DEEPEST)
    along = torch.linspace(-ABOVE * depth, BELOW * depth, STEPS, device=avatar.device)
    chunk = max(1, chunk_points(avatar) // STEPS)
    parts = []
    progress.start("asking for colours", -(-len(vertices) // chunk))
    for start in range(0, len(vertices), chunk):
        centre = torch.from_numpy(vertices[start : start + chunk]).to(avatar.device)
        inward = -torch.from_numpy(normals[start : start + chunk]).to(avatar.device)
        sight = _sight(centre, rest)
        ray = torch.nn.functional.normalize(sight, dim=-1)
        facing = ((inward * ray).sum(dim=-1, keepdim=True) / FACING).clamp(0.0, 1.0)
        way = torch.nn.functional.normalize(torch.lerp(inward, ray, facing), dim=-1)
        points = centre[:, None] + along[:, None] * way[:, None]  # [N, S, 3]
        sight = sight[:, None].expand_as(points)
        sigma, rgb = avatar.query(points.reshape(-1, 3), condition, sight.reshape(-1, 3))
        sigma, rgb = sigma.reshape(points.shape[:2]), rgb.reshape(points.shape)
        # As if the last sample were opaque: the weights sum to one.
        weights = ray_weights(sigma, along.expand_as(sigma), torch.ones_like(sigma[:, 0]))
        parts.append((weights[..., None] * rgb).sum(dim=1).float().cpu())
        progress.advance()
    return torch.cat(parts).numpy() if parts else np.zeros((0, 3), dtype=np.float32)


def _sight(points: Float[Tensor, "points 3"], camera_to_head: Float[Tensor, "4 4"]) -> Float[Tensor, "points 3"]:
    """Ray directions of a camera to points, as drawing has them: of depth 1 along its axis."""
    reach = points - camera_to_head[:3, 3]
    depth = -torch.linalg.solve(camera_to_head[:3, :3], reach.T).T[:, 2:]
    return reach / depth.abs().clamp(min=1e-6)
