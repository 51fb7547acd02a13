"""Expression edits: channels set or shifted, to a value or from one value to another and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from nerface.driving.channels import channels_of
from nerface.driving.gaze_channels import eyes_agree
from nerface.driving.paths import there_and_back
from nerface.errors import UserError

GRAMMAR = "write NAME=VALUE (sets), NAME+=SHIFT (adds), or A..B in place of the number (from A to B and back)"
LARGEST = 1e6  # of a channel's value: beyond it nothing can be meant
SLACK = 0.05  # of a channel's range: so little beyond it is nothing to speak of


@dataclass(frozen=True)
class Edit:
    """One channel's edit: from `start` to `end` and back (equal: a fixed value), `added` to what is there or in its
    place. Several `channels` (both eyes' yaw) keep their distance from each other. `names` are those of all channels:
    eye angles and eyeLook scores say the same, so that one follows where the other is edited."""

    channels: tuple[int, ...]
    start: float
    end: float
    added: bool
    names: tuple[str, ...]

    def apply(
        self, expressions: Float[np.ndarray, "frames expression"], loops: int = 1
    ) -> Float[np.ndarray, "frames expression"]:
        """The expressions with this channel edited; the way there and back is gone `loops` times over the frames."""
        values = self.start + (self.end - self.start) * there_and_back(len(expressions), loops)
        edited = np.array(expressions, dtype=np.float32)
        before = expressions[:, self.channels]
        kept = before if self.added else before - before.mean(axis=1, keepdims=True)
        edited[:, self.channels] = values[:, None] + kept
        return eyes_agree(edited, self.names, self.channels)


def read_edit(text: str, names: Sequence[str]) -> Edit:
    """An edit from words: `jawOpen=0.6`, `68+=-0.4..0.4`. Channels are named or numbered.

    Raises `UserError` for what is not understood, with the nearest name for an unknown channel.
    """
    name, equals, amount = text.partition("=")
    added = name.endswith("+")
    word = name.removesuffix("+").strip()
    first, dots, last = amount.partition("..")
    try:
        start, end = float(first), float(last if dots else first)
    except ValueError:
        start = end = math.nan
    if not equals or not word or not (abs(start) <= LARGEST and abs(end) <= LARGEST):  # also where it is no number
        raise UserError(f"the edit '{text}' is not understood: {GRAMMAR}")
    return Edit(channels_of(names, word), start, end, added, tuple(names))


def beyond_training(
    expressions: Float[np.ndarray, "frames expression"], low: Sequence[float], high: Sequence[float]
) -> dict[int, float]:
    """Channels that clearly leave their range in training, and how far they go, the farthest first.

    `low` and `high` [E] are the range; a twentieth of it beyond its ends is let pass.
    """
    least, most = np.asarray(low), np.asarray(high)
    below, above = least - expressions.min(axis=0), expressions.max(axis=0) - most
    slack = SLACK * (most - least) + 1e-3
    away = np.maximum(below, above)
    left = [int(channel) for channel in np.argsort(-away) if away[channel] > slack[channel]]
    return {k: float(expressions[:, k].min() if below[k] > above[k] else expressions[:, k].max()) for k in left}
