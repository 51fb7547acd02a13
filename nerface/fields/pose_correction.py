"""Small rigid corrections of training poses, learned with the field (the seed's unfinished `train_cams`, spec 6.7)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from nerface.precision import full_precision

_LEAST_ANGLE = 1e-6  # rad: keeps the derivative of the angle finite where there is no turn


def rigid_motions(twists: Float[Tensor, "frames 6"]) -> Float[Tensor, "frames 4 4"]:
    """The rigid motions exp(twist): SE(3)'s exponential map in closed form.

    A twist is a rotation vector in radians, then a translation in head units (Lynch and Park, Modern Robotics, eq.
    3.84 to 3.88).
    """
    turn, shift = twists[:, :3], twists[:, 3:]
    x, y, z = turn.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(-1, 3, 3)
    squared = cross @ cross
    angle = (turn.square().sum(-1) + _LEAST_ANGLE**2).sqrt()[:, None, None]
    sine, half = torch.sinc(angle / math.pi), torch.sinc(angle / (2 * math.pi))
    rise = half.square() / 2  # (1 - cos a) / a^2, without its cancellation
    # (a - sin a) / a^3 by its series where the difference would cancel.
    bend = torch.where(angle < 0.1, 1 / 6 - angle.square() / 120, (1 - sine) / angle.square())
    unit = torch.eye(3, dtype=twists.dtype, device=twists.device)
    rotation = unit + sine * cross + rise * squared
    place = (unit + rise * cross + bend * squared) @ shift[..., None]
    last = torch.eye(4, dtype=twists.dtype, device=twists.device)[3].expand(len(twists), 1, 4)  # no copy to a GPU
    return torch.cat([torch.cat([rotation, place], dim=-1), last], dim=-2)


def corrected(
    camera_to_head: Float[Tensor, "frames 4 4"], twists: Float[Tensor, "frames 6"]
) -> Float[Tensor, "frames 4 4"]:
    """The cameras moved by `rigid_motions(twists)` in head space, about the head's origin."""
    with full_precision(twists.device):
        return rigid_motions(twists) @ camera_to_head
