"""What training minimises: named functions that return scalars."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def colour_loss(colour: Float[Tensor, "pixels 3"], target: Float[Tensor, "pixels 3"]) -> Float[Tensor, ""]:
    """Mean squared error over pixels and channels (NeRFace sec. 3.3)."""
    return torch.mean((colour - target) ** 2)


def latent_loss(codes: Float[Tensor, "frames latent"]) -> Float[Tensor, ""]:
    """Mean over the frames of a step of the (un-squared) norm of their latent code (spec 4.3, step 5)."""
    return torch.linalg.vector_norm(codes, dim=-1).mean()


def mask_loss(opacity: Float[Tensor, " pixels"], mask: Float[Tensor, " pixels"]) -> Float[Tensor, ""]:
    """Mean squared difference between a rendering's opacity and the person mask.

    Without it a field may paint the backdrop's own colours in front of it, which shows only from other sides.
    """
    return torch.mean((opacity - mask) ** 2)


def psnr(squared_error: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Peak signal-to-noise ratio in dB of a mean squared error on [0, 1]."""
    return -10.0 * torch.log10(squared_error.clamp(min=1e-12))
