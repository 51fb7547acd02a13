"""What an avatar does not follow as far as it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SLACK = 0.05  # of a channel's range in training: so little held back is nothing to speak of


@dataclass(frozen=True)
class HeldBack:
    """An expression channel that goes less far than it is asked to: by its number, the farthest value `asked` for, what
    is `shown` in its place, and in how many `frames` the two differ by more than `SLACK` of its range in training."""

    channel: int
    asked: float
    shown: float
    frames: int


def held_back(
    asked: Float[np.ndarray, "frames expression"],
    shown: Float[np.ndarray, "frames expression"],
    low: Sequence[float],
    high: Sequence[float],
) -> tuple[HeldBack, ...]:
    """The channels in which `shown` falls short of `asked`, the one held back by the largest share of its range
    [low, high] first."""
    span = np.maximum(np.asarray(high) - np.asarray(low), 1e-3)
    short = np.abs(asked - shown) / span  # [F, E]
    found = []
    for channel in np.argsort(-short.max(axis=0)):
        frames = int((short[:, channel] > SLACK).sum())
        if frames:
            row = int(short[:, channel].argmax())
            found.append(HeldBack(int(channel), float(asked[row, channel]), float(shown[row, channel]), frames))
    return tuple(found)
