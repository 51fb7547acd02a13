"""Pixels to rays and points to pixels: the only place that knows the camera formula."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nerface.precision import full_precision
from nerface.types import Camera, Intrinsics


def pixel_directions(
    intrinsics: Intrinsics, rows: Int[Tensor, " pixels"], columns: Int[Tensor, " pixels"]
) -> Float[Tensor, "pixels 3"]:
    """Camera-space directions `((u - W cx) / fx, -(v - H cy) / fy, -1)` of pixels, not normalised (as in NeRFace)."""
    x = (columns.to(torch.float32) - intrinsics.width * intrinsics.cx) / intrinsics.fx
    y = -(rows.to(torch.float32) - intrinsics.height * intrinsics.cy) / intrinsics.fy
    return torch.stack([x, y, -torch.ones_like(x)], dim=-1)


def all_pixels(intrinsics: Intrinsics, device: torch.device | str = "cpu") -> Int[Tensor, "pixels 2"]:
    """Every pixel of an image as (row, column), row by row."""
    count = intrinsics.width * intrinsics.height
    index = torch.arange(count, device=device)
    return torch.stack([index // intrinsics.width, index % intrinsics.width], dim=-1)


def to_head_space(
    directions: Float[Tensor, "pixels 3"], camera_to_head: Float[Tensor, "*pixels 4 4"]
) -> tuple[Float[Tensor, "pixels 3"], Float[Tensor, "pixels 3"]]:
    """Origins and directions in head space, for one pose [4, 4] or one per pixel [P, 4, 4]."""
    with full_precision(directions.device):
        rotated = (camera_to_head[..., :3, :3] @ directions[..., None])[..., 0]
    return camera_to_head[..., :3, 3].expand_as(rotated), rotated


def project(camera: Camera, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
    """Head-space points to (column u, row v, depth along the camera axis); depth <= 0 is behind the camera."""
    inner = camera.intrinsics
    rotation, origin = camera.camera_to_head[:3, :3], camera.camera_to_head[:3, 3]
    # The inverse, not the transpose: tracker poses re-read as cameras need not be exactly orthogonal.
    local = torch.linalg.solve(rotation, (points - origin).T).T  # [P, 3]
    depth = -local[:, 2]
    u = inner.fx * local[:, 0] / depth + inner.width * inner.cx
    v = -inner.fy * local[:, 1] / depth + inner.height * inner.cy
    return torch.stack([u, v, depth], dim=-1)
