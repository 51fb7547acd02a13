"""Expression channels by name: found, and carried from one list of names to another."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from nerface.errors import UserError

SHOWN = 3  # names that an error lists
# Words for channels that move together.
GROUPS = {"gazeYaw": ("leftEyeYaw", "rightEyeYaw"), "gazePitch": ("leftEyePitch", "rightEyePitch")}
CHOICES = ("same", "shared")


@dataclass(frozen=True)
class ChannelMap:
    """For each of a target's channels the source's channel of that name, or -1 where the source has none."""

    source: Int[np.ndarray, " target"]

    def apply(
        self, expressions: Float[np.ndarray, "frames source"], missing: Float[np.ndarray, " target"]
    ) -> Float[np.ndarray, "frames target"]:
        """`expressions` in the target's channels; those that the source lacks take their value from `missing`."""
        return np.where(self.source < 0, missing, expressions[:, self.source]).astype(np.float32)


def channel_map(
    source: Sequence[str], target: Sequence[str], choice: str, where: str, offered: bool = True
) -> ChannelMap:
    """Channels of `source` for those of `target`, by name; their order does not matter.

    `choice` "same" asks for the same names, "shared" takes those that both have. Raises `UserError`, naming what is
    missing, where that cannot be; `where` says whose channels the source's are, `offered` whether the user has the
    choice.
    """
    if choice not in CHOICES:
        raise ValueError(f"channels are {' or '.join(CHOICES)}, not {choice}")
    if tuple(source) == tuple(target):  # also where names repeat
        return ChannelMap(np.arange(len(target)))
    place = {name: index for index, name in reversed(list(enumerate(source)))}
    rows = np.array([place.get(name, -1) for name in target])
    shared = int((rows >= 0).sum())
    if choice == "same" and (shared < len(target) or len(source) != len(target)):
        known = set(target)
        lacking = [name for name in target if name not in place]
        extra = [name for name in source if name not in known]
        parts = [f"{verb} {_some(names)}" for verb, names in (("it lacks", lacking), ("it adds", extra)) if names]
        raise UserError(
            f"{where} has other expression channels than the avatar ({', '.join(parts) or 'names repeat'}): drive it "
            f"with a dataset of the same capture"
            + (f", or add --channels shared to use the {shared} that both have" if offered else "")
        )
    if shared == 0:
        raise UserError(f"{where} and the avatar share no expression channel ({_some(target)}): it cannot be driven so")
    return ChannelMap(rows)


def channel_index(names: Sequence[str], word: str) -> int:
    """The channel that `word` names, or the one of that number. Raises `UserError` with the nearest name."""
    if word in names:
        return list(names).index(word)
    if word.isascii() and word.isdigit():
        if int(word) < len(names):
            return int(word)
        raise UserError(f"there is no expression channel {word}: the avatar has 0 to {len(names) - 1}")
    lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.5)
    hint = f", did you mean '{lower[near[0]]}'?" if near else f": it has {_some(names)}"
    raise UserError(f"the avatar has no expression channel '{word}'{hint}")


def channels_of(names: Sequence[str], word: str) -> tuple[int, ...]:
    """The channels that `word` names: those of a group where the avatar has them all (`gazeYaw`: the yaw of both eyes),
    else the one of that name or number. Raises `UserError` as `channel_index` does."""
    members = GROUPS.get(word, ())
    if word not in names and members and all(member in names for member in members):
        return tuple(list(names).index(member) for member in members)
    return (channel_index(names, word),)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
