"""Small rigid corrections of training poses, learned with the field (the seed's unfinished `train_cams`, spec 6.7)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def rigid_motions(twists: Float[Tensor, "frames 6"]) -> Float[Tensor, "frames 4 4"]:
    """The rigid motions exp(twist): SE(3)'s exponential map, by the exponential of the 4x4 generator.

    A twist is a rotation vector in radians, then a translation in head units (Lynch and Park, Modern Robotics, eq.
    3.84 to 3.88).
    """
    x, y, z, *shift = twists.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [[zero, -z, y, shift[0]], [z, zero, -x, shift[1]], [-y, x, zero, shift[2]], [zero] * 4]
    return torch.linalg.matrix_exp(torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2))


def corrected(
    camera_to_head: Float[Tensor, "frames 4 4"], twists: Float[Tensor, "frames 6"]
) -> Float[Tensor, "frames 4 4"]:
    """The cameras moved by `rigid_motions(twists)` in head space, about the head's origin."""
    return rigid_motions(twists) @ camera_to_head
