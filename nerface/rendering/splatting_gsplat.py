"""The rasteriser of Gaussians by gsplat's CUDA kernels (github.com/nerfstudio-project/gsplat, version 1.5.3).

gsplat builds its CUDA code once, at first use, which takes minutes and needs a CUDA toolkit. Its steps are called one
by one: its own `rasterization` checks and packs for every mode it knows, which takes longer than a small picture.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from nerface.errors import UserError
from nerface.precision import full_precision
from nerface.rendering.splatting_projection import BLUR, NEAR, Gaussians, Splatted, head_to_view
from nerface.rendering.splatting_reference import rasterise_torch
from nerface.types import Intrinsics

TILE_SIZE = 16  # pixels; the one size that gsplat is tested with
REMEDY = f"install a CUDA toolkit that matches torch (CUDA {torch.version.cuda}), or choose the rasteriser torch"


@dataclass(frozen=True)
class Kernels:
    """gsplat's four steps: project, list the tiles' Gaussians, find where each list starts, blend."""

    project: Callable[..., Any]
    list_tiles: Callable[..., Any]
    find_starts: Callable[..., Any]
    blend: Callable[..., Any]


def rasterise_gsplat(
    gaussians: Gaussians, camera_to_head: Float[Tensor, "pictures 4 4"], intrinsics: Intrinsics
) -> Splatted:
    """What `splatting.rasterise` gives, in float32, on CUDA. Raises `UserError` where gsplat cannot run."""
    device = gaussians.means.device
    check_device(device)
    kernels = load_kernels()
    if gaussians.means.shape[1] == 0:  # gsplat divides by the number of Gaussians
        return rasterise_torch(gaussians, camera_to_head, intrinsics)
    with full_precision(device):
        return _rasterise(kernels, gaussians, camera_to_head.float(), intrinsics)


def check_device(device: torch.device) -> None:
    """Raises `UserError` unless gsplat can draw on `device`."""
    if device.type != "cuda":
        raise UserError(f"the rasteriser gsplat needs a CUDA device, not {device.type}: choose the rasteriser torch")


def _rasterise(
    kernels: Kernels, gaussians: Gaussians, camera_to_head: Float[Tensor, "pictures 4 4"], intrinsics: Intrinsics
) -> Splatted:
    means, opacities = gaussians.means.float(), gaussians.opacities.float()
    pictures, count, _ = means.shape
    width, height = intrinsics.width, intrinsics.height
    # One camera a picture: gsplat's axes are picture, camera, Gaussian.
    radii, centres, depths, conics, _ = kernels.project(
        means,
        None,
        gaussians.rotations.float(),
        gaussians.scales.float().expand(pictures, count, 3),
        head_to_view(camera_to_head, intrinsics)[:, None],
        _camera_matrices(intrinsics, pictures, means.device),
        width,
        height,
        eps2d=BLUR,
        near_plane=NEAR,
        opacities=opacities,  # for boxes as tight as the opacity allows
    )
    columns, rows = -(-width // TILE_SIZE), -(-height // TILE_SIZE)
    _, keys, splats = kernels.list_tiles(centres, radii, depths, TILE_SIZE, columns, rows)
    starts = kernels.find_starts(keys, pictures, columns, rows).reshape(pictures, 1, rows, columns)
    features = torch.cat([gaussians.colours.float()[:, None], depths[..., None]], dim=-1)
    colour, opacity = kernels.blend(
        centres, conics, features, opacities[:, None], width, height, TILE_SIZE, starts, splats
    )
    return Splatted(colour[:, 0, ..., :-1], opacity[:, 0, ..., 0], colour[:, 0, ..., -1])


@functools.lru_cache(maxsize=32)
def _camera_matrices(intrinsics: Intrinsics, pictures: int, device: torch.device) -> Float[Tensor, "pictures 1 3 3"]:
    """The matrices of |fx|, |fy| (signs are in the view), pixel centres at halves. Kept: a copy to a GPU is slow."""
    matrix = [
        [abs(intrinsics.fx), 0.0, intrinsics.cx * intrinsics.width + 0.5],
        [0.0, abs(intrinsics.fy), intrinsics.cy * intrinsics.height + 0.5],
        [0.0, 0.0, 1.0],
    ]
    with torch.inference_mode(False):
        return torch.tensor(matrix).to(device).repeat(pictures, 1, 1, 1)


@functools.cache
def load_kernels() -> Kernels:
    """gsplat's functions, its CUDA code built (minutes, once on a machine).

    Raises `UserError` with the remedy where the package, a CUDA device or what building takes is missing.
    """
    try:
        import gsplat
    except ImportError as error:
        raise UserError(
            f"the rasteriser gsplat cannot be imported ({error}): pip install 'nerface[splat]', "
            "or choose the rasteriser torch"
        ) from None
    if not torch.cuda.is_available():
        raise UserError(
            f"the rasteriser gsplat needs a CUDA device, and torch {torch.__version__} sees none: "
            "choose the rasteriser torch"
        )
    try:
        from gsplat.cuda._backend import _C as built
    except Exception as error:  # a build can fail in any way: no compiler, no ninja, the wrong toolkit, a full disk
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"gsplat's CUDA code could not be built ({reason}): {REMEDY}") from None
    if built is None:
        raise UserError(f"gsplat's CUDA code could not be built (no nvcc was found): {REMEDY}")
    return Kernels(
        gsplat.fully_fused_projection, gsplat.isect_tiles, gsplat.isect_offset_encode, gsplat.rasterize_to_pixels
    )
