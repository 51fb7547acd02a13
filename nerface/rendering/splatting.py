"""Pictures of 3D Gaussians: one function, two implementations with the same signature.

`nerface.rendering.splatting_reference` is plain torch (any device, float32 or float64); on CUDA, gsplat's kernels do
the same some hundred times faster (`nerface.rendering.splatting_gsplat`, the extra `nerface[splat]`).
"""

from __future__ import annotations

import functools
import importlib.util
import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from nerface.errors import UserError
from nerface.rendering.splatting_gsplat import check_device, load_kernels, rasterise_gsplat
from nerface.rendering.splatting_projection import Gaussians, Splatted
from nerface.rendering.splatting_reference import rasterise_torch
from nerface.types import Intrinsics

__all__ = ["RASTERISERS", "Gaussians", "Splatted", "prepare", "rasterise"]

RASTERISERS = ("auto", "torch", "gsplat")


def rasterise(
    gaussians: Gaussians,
    camera_to_head: Float[Tensor, "pictures 4 4"],
    intrinsics: Intrinsics,
    rasteriser: str = "auto",
) -> Splatted:
    """Draw B pictures of Gaussians from the poses `camera_to_head` [B, 4, 4], all with the same `intrinsics`.

    EWA splatting (Zwicker et al. 2001) with front-to-back blending (Kerbl et al. 2023, equation 3): 0.3 px^2 of blur,
    alpha at most 0.999 and skipped below 1/255, a pixel ends before its transmittance falls to 1e-4, nothing nearer
    than 0.01 head units is drawn. Gradients flow to every field of `gaussians` and to `camera_to_head`. fx and fy may
    be negative (mirrored pictures).

    `rasteriser`: "torch"; "gsplat" (CUDA and float32 alone); "auto" takes gsplat on CUDA where it is
    installed and can be built, and otherwise torch, with one warning if that is on CUDA. Raises `UserError` where
    gsplat is asked for and is not installed, has no CUDA device or cannot be built, and `ValueError` for another name.
    """
    if rasteriser == "auto":
        rasteriser = _best_for(gaussians.means.device.type, gaussians.means.dtype)
    if rasteriser == "torch":
        return rasterise_torch(gaussians, camera_to_head, intrinsics)
    if rasteriser == "gsplat":
        return rasterise_gsplat(gaussians, camera_to_head, intrinsics)
    raise ValueError(f"rasteriser must be one of {', '.join(RASTERISERS)}: {rasteriser}")


def prepare(rasteriser: str, device: torch.device) -> str:
    """What `rasteriser` stands for on `device` in float32 ("torch" or "gsplat"), ready to draw.

    Builds gsplat's CUDA code where that is still to do (minutes, once on a machine), so that its errors and its time
    come before the work. Raises as `rasterise` does.
    """
    if rasteriser not in RASTERISERS:
        raise ValueError(f"rasteriser must be one of {', '.join(RASTERISERS)}: {rasteriser}")
    chosen = _best_for(device.type, torch.float32) if rasteriser == "auto" else rasteriser
    if chosen == "gsplat":
        check_device(device)
        load_kernels()
    return chosen


@functools.cache
def _best_for(device: str, dtype: torch.dtype) -> str:
    """The rasteriser that "auto" stands for; the warning is given once, as the answer is kept."""
    if device != "cuda" or dtype == torch.float64:
        return "torch"
    reason = "gsplat is not installed (pip install 'nerface[splat]')"
    if importlib.util.find_spec("gsplat") is not None:
        try:
            load_kernels()
            return "gsplat"
        except UserError as error:
            reason = str(error)
    warnings.warn(
        f"Gaussians are drawn by the torch rasteriser, many times slower than gsplat's: {reason}", stacklevel=3
    )
    return "torch"
