"""What training minimises: named functions that return scalars."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor


def colour_loss(
    colour: Float[Tensor, "pixels 3"],
    target: Float[Tensor, "pixels 3"],
    form: str = "squared",
    weight: Float[Tensor, " pixels"] | None = None,
) -> Float[Tensor, ""]:
    """Mean "squared" error over pixels and channels (NeRFace sec. 3.3), or mean "absolute" error.

    `weight`, of mean 1, says how much each pixel counts.
    """
    difference = colour - target
    error = difference.abs() if form == "absolute" else difference.square()
    return error.mean() if weight is None else (error.mean(dim=-1) * weight).mean()


SSIM_SIGMA_PX = 1.5
SSIM_RADIUS_PX = 5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2


def ssim_loss(
    pictures: Float[Tensor, "pictures 3 height width"], targets: Float[Tensor, "pictures 3 height width"]
) -> Float[Tensor, ""]:
    """1 - SSIM, a mean over pixels, channels and pictures (Wang et al. 2004, eq. 13, 11 x 11 Gaussian window).

    Pictures on [0, 1]. At the border the window looks at black in both.
    """
    rows = _window(pictures.shape[-2], pictures.device, pictures.dtype)
    columns = _window(pictures.shape[-1], pictures.device, pictures.dtype)
    # Bands as matrices: products are many times faster than convolutions with one channel on a CPU.
    drawn = rows @ torch.stack([pictures, pictures.square(), pictures * targets]) @ columns.T
    true = rows @ torch.stack([targets, targets.square()]) @ columns.T
    mean, square, product = drawn.unbind()
    target_mean, target_square = true.unbind()
    variance, target_variance = square - mean.square(), target_square - target_mean.square()
    covariance = product - mean * target_mean
    likeness = (2 * mean * target_mean + SSIM_C1) * (2 * covariance + SSIM_C2)
    scale = (mean.square() + target_mean.square() + SSIM_C1) * (variance + target_variance + SSIM_C2)
    return 1 - (likeness / scale).mean()


@functools.cache
def _window(size: int, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "size size"]:
    """The matrix that blurs `size` values by the window of SSIM."""
    place = torch.arange(size, dtype=torch.float64)
    offsets = place[:, None] - place[None, :]
    window = torch.exp(-offsets.square() / (2 * SSIM_SIGMA_PX**2)) * (offsets.abs() <= SSIM_RADIUS_PX)
    whole = torch.exp(-torch.arange(-SSIM_RADIUS_PX, SSIM_RADIUS_PX + 1).double().square() / (2 * SSIM_SIGMA_PX**2))
    with torch.inference_mode(False):
        return (window / whole.sum()).to(device, dtype)


# What a step is told apart into, in the order of a row: all that is minimised, the squared errors of the first and of
# the last rendering, and the penalties before their factors.
LOSSES = ("loss", "coarse_loss", "fine_loss", "code_loss", "bg_loss")


def latent_loss(codes: Float[Tensor, "frames latent"], form: str = "norm") -> Float[Tensor, ""]:
    """Mean over the frames of a step of the norm of their latent code.

    The released code penalises the un-squared "norm" (spec 4.3, step 5), the paper the "squared" one (sec. 3.3).
    """
    if form == "squared":
        return codes.square().sum(dim=-1).mean()
    return torch.linalg.vector_norm(codes, dim=-1).mean()


def background_loss(
    background: Float[Tensor, "pixels 3"], target: Float[Tensor, "pixels 3"], opacity: Float[Tensor, " pixels"]
) -> Float[Tensor, ""]:
    """Mean squared error of a learned background, weighted by how much of it each pixel shows (spec 4.3, step 5)."""
    return (((background - target) ** 2).mean(dim=-1) * (1.0 - opacity)).mean()


def mask_loss(opacity: Float[Tensor, " pixels"], mask: Float[Tensor, " pixels"]) -> Float[Tensor, ""]:
    """Mean squared difference between a rendering's opacity and the person mask.

    Without it a field may paint the backdrop's own colours in front of it, which shows only from other sides.
    """
    return torch.mean((opacity - mask) ** 2)


def psnr(squared_error: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Peak signal-to-noise ratio in dB of a mean squared error on [0, 1]."""
    return -10.0 * torch.log10(squared_error.clamp(min=1e-12))
