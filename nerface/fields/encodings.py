"""Positions and directions as numbers that a small network can tell apart."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def frequency_encoding(
    values: Float[Tensor, "*batch D"], frequencies: int, include_input: bool, log_spaced: bool = True
) -> Tensor:
    """Sines and cosines of `values` at 2^0 ... 2^(frequencies-1), without a factor of pi (NeRFace, spec 3.1).

    Order: the raw values (if `include_input`), then for each frequency all sines, then all cosines; the result has
    `encoded_width(D, frequencies, include_input)` columns. Computed in float32 also under autocast: sin(512 x) has no
    meaning in half precision.
    """
    values = values.float()
    scaled = values[..., None, :] * frequency_bands(frequencies, values.device, log_spaced)[:, None]  # [..., L, D]
    waves = torch.stack([scaled.sin(), scaled.cos()], dim=-2).flatten(-3)  # [..., L * 2 * D]
    return torch.cat([values, waves], dim=-1) if include_input else waves


def frequency_bands(
    frequencies: int, device: torch.device | str = "cpu", log_spaced: bool = True
) -> Float[Tensor, " frequencies"]:
    """The factors 2^0 ... 2^(frequencies-1), or as many evenly spaced between the first and last of them."""
    if not log_spaced and frequencies > 0:
        return torch.linspace(1.0, 2.0 ** (frequencies - 1), frequencies, device=device)
    return torch.exp2(torch.arange(frequencies, dtype=torch.float32, device=device))


def encoded_width(inputs: int, frequencies: int, include_input: bool) -> int:
    """How many columns `frequency_encoding` gives for `inputs` columns."""
    return inputs * (2 * frequencies + int(include_input))
