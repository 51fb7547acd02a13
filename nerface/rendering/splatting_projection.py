"""3D Gaussians in head space to their images: 2D Gaussians on the picture's plane (EWA splatting).

Zwicker et al. 2001, "EWA volume splatting"; Kerbl et al. 2023, "3D Gaussian splatting", section 4. The constants are
those of gsplat 1.5.3, so that its kernels and this file compute the same function.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nerface.types import Intrinsics

BLUR = 0.3  # added to the diagonal of the 2D covariance, px^2: no Gaussian falls between pixels
NEAR = 0.01  # Gaussians nearer to the camera than this (head units) are not drawn
FIELD_MARGIN = 0.3  # beyond the picture's edge, in half pictures, where the projection's slope stops changing
LEAST_ALPHA = 1.0 / 255.0  # what covers less of a pixel than this is skipped


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians in head space for each of B pictures.

    `means` [B, N, 3] in head units; `rotations` [B, N, 4] quaternions w x y z, of any length; `scales` [N, 3] standard
    deviations in head units, the same in every picture; `opacities` [B, N] in [0, 1]; `colours` [B, N, C], any number
    of channels, blended as they are.
    """

    means: Float[Tensor, "pictures gaussians 3"]
    rotations: Float[Tensor, "pictures gaussians 4"]
    scales: Float[Tensor, "gaussians 3"]
    opacities: Float[Tensor, "pictures gaussians"]
    colours: Float[Tensor, "pictures gaussians channels"]


@dataclass(frozen=True)
class Splatted:
    """B pictures of Gaussians, over nothing.

    `colour` [B, H, W, C] is premultiplied by opacity; `opacity` [B, H, W] in [0, 1]; `depth` [B, H, W] is the sum of
    weights times distance along the camera axis, in head units (divide by `opacity` for the mean distance).
    """

    colour: Float[Tensor, "pictures height width channels"]
    opacity: Float[Tensor, "pictures height width"]
    depth: Float[Tensor, "pictures height width"]


@dataclass(frozen=True)
class Footprints:
    """The Gaussians' images: alpha at pixel p is opacity * exp(-1/2 (p - centre)^T conic (p - centre)).

    `centres` [B, N, 2] (column, row) in pixels with whole-number pixel centres; `conics` [B, N, 3] are the inverse
    covariance's xx, xy, yy; `depths` [B, N] distances along the camera axis. Without gradient: `reach` [B, N] is the
    exponent at which alpha falls to 1/255 (negative: the Gaussian is not drawn) and `boxes` [B, N, 2] half the width
    and height, in pixels, of the area within it.
    """

    centres: Float[Tensor, "pictures gaussians 2"]
    conics: Float[Tensor, "pictures gaussians 3"]
    depths: Float[Tensor, "pictures gaussians"]
    reach: Float[Tensor, "pictures gaussians"]
    boxes: Float[Tensor, "pictures gaussians 2"]


def head_to_view(
    camera_to_head: Float[Tensor, "pictures 4 4"], intrinsics: Intrinsics
) -> Float[Tensor, "pictures 4 4"]:
    """Head space to the view space of |fx|, |fy|: x right, y down, z forward in the picture, mirrored where fx < 0.

    A negative focal length is the same picture as a reflected axis, and bounds in x/z need a positive one. The pose's
    matrix is inverted, not transposed: tracker poses need not be exactly orthogonal (as in `cameras.project`).
    """
    columns = camera_to_head[:, :3, :3].transpose(1, 2)
    # The inverse of a 3x3 matrix is its cross products over its determinant: no synchronisation with a GPU.
    cofactors = torch.linalg.cross(columns.roll(-1, 1), columns.roll(-2, 1))  # [B, 3, 3]
    determinant = (columns * cofactors).sum(dim=(1, 2), keepdim=True) / 3
    axes, last_row = _view_constants(intrinsics.fx < 0, intrinsics.fy < 0, camera_to_head.dtype, camera_to_head.device)
    rotation = cofactors / determinant * axes
    translation = -rotation @ camera_to_head[:, :3, 3:]
    top = torch.cat([rotation, translation], dim=2)
    return torch.cat([top, last_row.expand(top.shape[0], 1, 4)], dim=1)


@functools.lru_cache(maxsize=32)
def _view_constants(
    mirrored: bool, upside_down: bool, dtype: torch.dtype, device: torch.device
) -> tuple[Float[Tensor, "3 1"], Float[Tensor, "1 4"]]:
    """Signs of the view axes in OpenGL camera axes, and a pose's last row. Kept: a copy to a GPU costs 10 us a call."""
    with torch.inference_mode(False):
        axes = torch.tensor([[-1.0 if mirrored else 1.0], [1.0 if upside_down else -1.0], [-1.0]])
        last_row = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
        return axes.to(device, dtype), last_row.to(device, dtype)


def footprints(gaussians: Gaussians, view: Float[Tensor, "pictures 4 4"], intrinsics: Intrinsics) -> Footprints:
    """Where and how large each Gaussian appears; differentiable in everything but `reach` and `boxes`."""
    pictures, count, _ = gaussians.means.shape
    moved = gaussians.means @ view[:, :3, :3].transpose(1, 2) + view[:, None, :3, 3]  # [B, N, 3]
    in_front = moved[..., 2].detach() >= NEAR
    x, y = moved[..., 0], moved[..., 1]
    z = torch.where(in_front, moved[..., 2], 1.0)  # what is not drawn must not make infinite gradients either
    right, down = x / z, y / z
    fx, fy = abs(intrinsics.fx), abs(intrinsics.fy)
    left_x, right_x = _slope_limits(intrinsics.cx, intrinsics.width, fx)
    top_y, bottom_y = _slope_limits(intrinsics.cy, intrinsics.height, fy)

    # Rows of J W R S, whose product with its transpose is J W Sigma W^T J^T (Kerbl et al., equations 5 and 6).
    turned = view[:, :3, :3] @ rotation_matrices(gaussians.rotations).reshape(pictures, 3, 3 * count)
    spread = turned.reshape(pictures, 3, 3, count) * gaussians.scales.T  # [B, 3 (view axis), 3 (Gaussian's axis), N]
    across = (spread[:, 0] - right.clamp(left_x, right_x)[:, None] * spread[:, 2]) * (fx / z)[:, None]  # [B, 3, N]
    along = (spread[:, 1] - down.clamp(top_y, bottom_y)[:, None] * spread[:, 2]) * (fy / z)[:, None]
    xx, yy, xy = across.square().sum(1), along.square().sum(1), (across * along).sum(1)
    # det(T T^T) as a squared cross product: xx * yy - xy^2 loses all its digits for long thin Gaussians.
    (a0, a1, a2), (b0, b1, b2) = across.unbind(1), along.unbind(1)
    flat = (a1 * b2 - a2 * b1).square() + (a2 * b0 - a0 * b2).square() + (a0 * b1 - a1 * b0).square()
    determinant = flat + BLUR * (xx + yy) + BLUR * BLUR
    xx, yy = xx + BLUR, yy + BLUR
    conics = torch.stack([yy, -xy, xx], dim=-1) / determinant[..., None]
    centres = torch.stack(
        [fx * right + intrinsics.cx * intrinsics.width, fy * down + intrinsics.cy * intrinsics.height], dim=-1
    )
    with torch.no_grad():
        reach = torch.where(in_front, torch.log(gaussians.opacities / LEAST_ALPHA), -1.0)
        boxes = (2 * reach.clamp_min(0.0)[..., None] * torch.stack([xx, yy], dim=-1)).sqrt()
    return Footprints(centres, conics, z, reach, boxes)


def _slope_limits(centre: float, size: int, focal: float) -> tuple[float, float]:
    """Least and greatest x/z (or y/z) for which the projection is linearised: the picture and a margin.

    Beyond, the slope at the limit is used, or Gaussians far off the picture would be smeared across it.
    """
    middle = centre * size + 0.5  # from the border of the first pixel, whose centre is at 0
    margin = FIELD_MARGIN * 0.5 * size
    return -(middle + margin) / focal, (size - middle + margin) / focal


def rotation_matrices(quaternions: Float[Tensor, "pictures gaussians 4"]) -> Float[Tensor, "pictures 3 3 gaussians"]:
    """Rotations of quaternions w x y z of any length, as [B, row, column, N]."""
    w, x, y, z = quaternions.unbind(-1)
    double = 2.0 / quaternions.square().sum(-1)
    xs, ys, zs = x * double, y * double, z * double
    wx, wy, wz = w * xs, w * ys, w * zs
    xx, xy, xz = x * xs, x * ys, x * zs
    yy, yz, zz = y * ys, y * zs, z * zs
    rows = [1 - (yy + zz), xy - wz, xz + wy, xy + wz, 1 - (xx + zz), yz - wx, xz - wy, yz + wx, 1 - (xx + yy)]
    return torch.stack(rows, dim=1).unflatten(1, (3, 3))


def as_working(gaussians: Gaussians) -> Gaussians:
    """The Gaussians in at least float32: half precision is whole pixels of error."""
    dtype = torch.promote_types(gaussians.means.dtype, torch.float32)
    if all(value.dtype == dtype for value in vars(gaussians).values()):
        return gaussians
    return Gaussians(**{name: value.to(dtype) for name, value in vars(gaussians).items()})
