"""How far the direction of sight may change the colours: as far as training saw it change."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

STEPS = 65  # of the grid over the seen angles; it holds their ends


def sight_limits(seen_angles: tuple[float, float, float, float]) -> Float[Tensor, "2 3"]:
    """Least and greatest components of the unit vector from the head to a camera within `seen_angles`.

    Those are the least and greatest yaw, then pitch, in degrees (`Subject.seen_angles`). Colours that are linear in
    that vector go wrong far outside: ears turn red and outlines green 50 degrees away.
    """
    yaw_least, yaw_most, pitch_least, pitch_most = (math.radians(angle) for angle in seen_angles)
    yaw = torch.linspace(yaw_least, yaw_most, STEPS, dtype=torch.float64)[:, None]
    pitch = torch.linspace(pitch_least, pitch_most, STEPS, dtype=torch.float64)
    x, y, z = yaw.sin() * pitch.cos(), pitch.sin().expand(STEPS, STEPS), yaw.cos() * pitch.cos()
    directions = torch.stack([x, y, z], dim=-1).flatten(0, 1)
    return torch.stack([directions.min(dim=0).values, directions.max(dim=0).values]).float()
