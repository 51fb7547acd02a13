"""Surface normals of Gaussians: the slope of the depth that they blend to.

The shortest axes of the Gaussians, blended, say less: nothing in training makes a Gaussian flat or lays it on the
surface, and a face of a few thousand of them is a patchwork of random directions, while their depth shows its shape.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nerface.cameras import all_pixels, pixel_directions, to_head_space
from nerface.rendering.normals import OPACITY_FLOOR
from nerface.types import Camera


def normals_of_depth(
    depth: Float[Tensor, "height width"], opacity: Float[Tensor, "height width"], camera: Camera
) -> Float[Tensor, "height width 3"]:
    """Unit vectors [H, W, 3] in head space, towards the camera; zero where `opacity` is below `OPACITY_FLOOR`.

    `depth` is premultiplied, as the rasteriser gives it. The surface goes through the points at the mean depth of each
    pixel; its normal is the cross product of the differences of neighbours, to both sides where both show the person.
    """
    inner = camera.intrinsics
    pixels = all_pixels(inner, depth.device)
    local = pixel_directions(inner, pixels[:, 0], pixels[:, 1])
    origins, directions = to_head_space(local, camera.camera_to_head.to(depth.device))
    shown = opacity >= OPACITY_FLOOR
    mean = depth / opacity.clamp(min=OPACITY_FLOOR)
    points = (origins + mean.reshape(-1, 1) * directions).reshape(inner.height, inner.width, 3)
    normals = torch.linalg.cross(_slope(points, shown, 1), _slope(points, shown, 0))
    towards = camera.camera_to_head[:3, 3].to(points) - points
    normals = normals * torch.where((normals * towards).sum(dim=-1, keepdim=True) < 0, -1.0, 1.0)
    return torch.where(shown[..., None], _unit(normals), 0.0)


def _slope(
    points: Float[Tensor, "height width 3"], shown: Bool[Tensor, "height width"], axis: int
) -> Float[Tensor, "height width 3"]:
    """The sum of the differences to the pixels before and behind along an axis that show the person."""
    count = points.shape[axis]
    difference = points.narrow(axis, 1, count - 1) - points.narrow(axis, 0, count - 1)
    both = shown.narrow(axis, 1, count - 1) & shown.narrow(axis, 0, count - 1)
    difference = torch.where(both[..., None], difference, 0.0)
    none = torch.zeros_like(points.narrow(axis, 0, 1))
    return torch.cat([difference, none], dim=axis) + torch.cat([none, difference], dim=axis)


def _unit(vectors: Float[Tensor, "height width 3"]) -> Float[Tensor, "height width 3"]:
    """Of length 1, or zero; squares of millimetres in head units are too small for the usual floor."""
    length = vectors.norm(dim=-1, keepdim=True)
    return torch.where(length > 0, vectors / torch.where(length > 0, length, 1.0), 0.0)
