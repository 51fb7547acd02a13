"""Gaussians for tests, and a rasteriser that loops over them: no tiles, no chunks, gradients by autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from nerface.rendering.splatting import Gaussians, Splatted
from nerface.types import Intrinsics


def camera(size: int = 24, *, fx: float | None = None, fy: float | None = None, width: int | None = None) -> Intrinsics:
    """A camera that sees about half a head unit at distance 0.5; its principal point is off the middle."""
    focal = 1.2 * size
    return Intrinsics(fx or focal, fy or 0.95 * focal, 0.48, 0.53, width or size, size)


def poses(pictures: int, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    """Cameras about 0.5 in front of the head's middle, turned and moved a little, not quite orthogonal: [B, 4, 4]."""
    turn = 0.2 * torch.randn(pictures, 3, 3, generator=generator, dtype=dtype)
    pose = torch.eye(4, dtype=dtype).repeat(pictures, 1, 1)
    pose[:, :3, :3] = torch.linalg.matrix_exp(turn - turn.transpose(1, 2))
    pose[:, :3, :3] += 0.01 * torch.randn(pictures, 3, 3, generator=generator, dtype=dtype)
    pose[:, :3, 3] = 0.5 * pose[:, :3, 2] + 0.02 * torch.randn(pictures, 3, generator=generator, dtype=dtype)
    return pose


def cloud(
    pictures: int, count: int, generator: torch.Generator, *, scale: float = 0.02, spread: float = 0.1
) -> Gaussians:
    """Random Gaussians round the origin, float64: sizes from a fifth to five times `scale`, stretched at random."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    sizes = scale * torch.exp(0.5 * normal(count, 1)).clamp(0.2, 5.0) * torch.exp(0.5 * normal(count, 3))
    return Gaussians(
        spread * normal(pictures, count, 3),
        normal(pictures, count, 4) * 3,
        sizes,
        uniform(pictures, count),
        uniform(pictures, count, 4),
    )


def converted(gaussians: Gaussians, *, grad: bool = False, **target: object) -> Gaussians:
    """Copies on another device or in another format; with `grad`, leaves that want gradients."""
    return Gaussians(
        **{name: value.detach().to(**target).clone().requires_grad_(grad) for name, value in vars(gaussians).items()}
    )


def quaternion_matrices(quaternions: Tensor) -> Tensor:
    """Rotation matrices [..., 3, 3] of w x y z: v + 2 w (q x v) + 2 q x (q x v) for the three unit vectors v."""
    unit = quaternions / quaternions.norm(dim=-1, keepdim=True)
    w, axis = unit[..., :1, None], unit[..., None, 1:].expand(*unit.shape[:-1], 3, 3)
    vectors = torch.eye(3, dtype=unit.dtype).expand_as(axis)
    once = torch.linalg.cross(axis, vectors)
    return (vectors + 2 * w * once + 2 * torch.linalg.cross(axis, once)).transpose(-1, -2)


def looped(gaussians: Gaussians, camera_to_head: Tensor, inner: Intrinsics) -> Splatted:
    """`rasterise`, one picture, one Gaussian, all pixels at a time."""
    pictures = [_looped_picture(gaussians, b, camera_to_head[b], inner) for b in range(camera_to_head.shape[0])]
    whole = torch.stack(pictures)
    return Splatted(whole[..., :-2], whole[..., -2], whole[..., -1])


def _looped_picture(gaussians: Gaussians, picture: int, pose: Tensor, inner: Intrinsics) -> Tensor:
    dtype = gaussians.means.dtype
    rotations = quaternion_matrices(gaussians.rotations[picture])
    world = rotations @ torch.diag_embed(gaussians.scales**2) @ rotations.transpose(1, 2)
    head_to_camera = torch.linalg.inv(pose)
    points = gaussians.means[picture] @ head_to_camera[:3, :3].T + head_to_camera[:3, 3]
    covariances = head_to_camera[:3, :3] @ world @ head_to_camera[:3, :3].T
    rows, columns = torch.meshgrid(torch.arange(inner.height), torch.arange(inner.width), indexing="ij")
    pixels = torch.stack([columns, rows], dim=-1).to(dtype)
    values = torch.zeros(inner.height, inner.width, gaussians.colours.shape[-1] + 2, dtype=dtype)
    left = torch.ones(inner.height, inner.width, dtype=dtype)
    going = torch.ones(inner.height, inner.width, dtype=torch.bool)
    for n in torch.argsort(-points[:, 2]).tolist():
        x, y, z = points[n]
        depth = -z
        if depth < 0.01:
            continue
        centre = torch.stack([inner.fx * x / depth + inner.cx * inner.width,
                              -inner.fy * y / depth + inner.cy * inner.height])  # fmt: skip
        slope = _slope(points[n], inner)
        covariance = slope @ covariances[n] @ slope.T + 0.3 * torch.eye(2, dtype=dtype)
        offset = pixels - centre
        power = 0.5 * torch.einsum("hwi,ij,hwj->hw", offset, torch.linalg.inv(covariance), offset)
        alpha = (gaussians.opacities[picture, n] * torch.exp(-power)).clamp(max=0.999)
        alpha = alpha * (alpha >= 1 / 255)
        after = left * (1 - alpha)
        going = going & (after > 1e-4)
        one = torch.ones(1, dtype=dtype)
        feature = torch.cat([gaussians.colours[picture, n], one, depth[None]])
        values = values + (going * alpha * left)[..., None] * feature
        left = torch.where(going, after, left)
    return values


def _slope(point: Tensor, inner: Intrinsics) -> Tensor:
    """The derivative [2, 3] of the pixel by the OpenGL camera point, its ratios held within the widened picture."""
    depth = -point[2]
    half_x, half_y = 0.5 * inner.width / abs(inner.fx), 0.5 * inner.height / abs(inner.fy)
    # The pixel grid covers [-0.5, size - 0.5]; x/z of its ends in either direction of the axis.
    ends_x = sorted((end - inner.cx * inner.width) / inner.fx for end in (-0.5, inner.width - 0.5))
    ends_y = sorted(-(end - inner.cy * inner.height) / inner.fy for end in (-0.5, inner.height - 0.5))
    right = (point[0] / depth).clamp(ends_x[0] - 0.3 * half_x, ends_x[1] + 0.3 * half_x)
    up = (point[1] / depth).clamp(ends_y[0] - 0.3 * half_y, ends_y[1] + 0.3 * half_y)
    zero = torch.zeros_like(depth)
    # u = fx x / d + ..., v = -fy y / d + ..., with d = -z.
    return torch.stack([
        torch.stack([inner.fx / depth, zero, inner.fx * right / depth]),
        torch.stack([zero, -inner.fy / depth, -inner.fy * up / depth]),
    ])  # fmt: skip
