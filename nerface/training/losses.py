"""What training minimises: named functions that return scalars."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def colour_loss(colour: Float[Tensor, "pixels 3"], target: Float[Tensor, "pixels 3"]) -> Float[Tensor, ""]:
    """Mean squared error over pixels and channels (NeRFace sec. 3.3)."""
    return torch.mean((colour - target) ** 2)


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
