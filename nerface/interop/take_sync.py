"""When a Live Link Face recording and a captured video happened at the same time, and whether they are one and the
same.

Both follow the same face: capture's scores carry ARKit's names, so that the two can be held against each other channel
by channel. That finds the shift between them, and tells of another take, of exchanged columns and of a mirrored video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from nerface.interop.arkit_csv import FaceTake

SEARCHED_S, STEP_S = 2.0, 1 / 120  # shifts that are tried on either side of the stated one
TELLING = (
    *("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthSmileRight", "mouthPucker", "mouthFunnel"),
    *("browInnerUp", "browDownLeft", "browDownRight"),
)  # the networks of both agree on these
LEAST_SPREAD = 0.02  # a channel that moves less tells nothing
SAME_TAKE = 0.3  # mean correlation of telling channels, below which the table is of another take
BETTER = 0.05  # so much more correlation makes another shift believed
OWN, OTHERS = 0.2, 0.6  # a channel that follows another so well and its own so badly was exchanged
MIRRORED = -0.3  # correlation of left minus right


@dataclass(frozen=True)
class Agreement:
    """`shift` in seconds to add to the stated one; mean `correlation` there and `stated`, at the stated one (NaN: no
    telling channel moves in both); `exchanged` pairs of channels (in the video, in the table); `mirrored`."""

    shift: float
    correlation: float
    stated: float
    exchanged: tuple[tuple[str, str], ...]
    mirrored: bool


def agreement(
    take: FaceTake,
    times: Float[np.ndarray, " frames"],
    scores: Float[np.ndarray, "frames channels"],
    names: Sequence[str],
    search: bool = True,
) -> Agreement:
    """Hold a recording against captured `scores` named by `names` at `times` (seconds on the recording's clock)."""
    shared = [name for name in TELLING if name in names and name in take.names]
    ours = np.stack([scores[:, list(names).index(name)] for name in shared], axis=1) if shared else scores[:, :0]
    moving = ours.std(axis=0) > LEAST_SPREAD
    shared, ours = [name for name, moves in zip(shared, moving) if moves], ours[:, moving]
    columns = [take.names.index(name) for name in shared]
    if not shared:
        return Agreement(0.0, float("nan"), float("nan"), (), False)
    steps = np.arange(-SEARCHED_S, SEARCHED_S + STEP_S / 2, STEP_S) if search else np.zeros(1)
    curve = np.array([_mean_correlation(ours, _at(take, times + step, columns)) for step in steps])
    stated = float(curve[np.argmin(np.abs(steps))])
    best = int(np.argmax(curve))
    chosen = best if curve[best] > stated + BETTER else int(np.argmin(np.abs(steps)))
    theirs = _at(take, times + steps[chosen], columns)
    table = _correlations(ours, theirs)  # [ours, theirs]
    exchanged = []
    for row, name in enumerate(shared):
        other = int(np.argmax(table[row]))
        if table[row, row] < OWN and table[row, other] > OTHERS:
            exchanged.append((name, shared[other]))
    return Agreement(
        float(steps[chosen]), float(curve[chosen]), stated, tuple(exchanged), _mirrored(shared, ours, theirs)
    )


def _at(
    take: FaceTake, times: Float[np.ndarray, " frames"], columns: list[int]
) -> Float[np.ndarray, "frames channels"]:
    return np.stack([np.interp(times, take.times, take.values[:, column]) for column in columns], axis=1)


def _standard(values: Float[np.ndarray, "frames channels"]) -> Float[np.ndarray, "frames channels"]:
    away = values - values.mean(axis=0)
    return np.asarray(away / np.maximum(away.std(axis=0), 1e-9))


def _correlations(
    one: Float[np.ndarray, "frames channels"], other: Float[np.ndarray, "frames channels"]
) -> Float[np.ndarray, "channels channels"]:
    return np.asarray(_standard(one).T @ _standard(other) / len(one))


def _mean_correlation(one: Float[np.ndarray, "frames channels"], other: Float[np.ndarray, "frames channels"]) -> float:
    return float((_standard(one) * _standard(other)).mean())


def _mirrored(
    names: Sequence[str], ours: Float[np.ndarray, "frames channels"], theirs: Float[np.ndarray, "frames channels"]
) -> bool:
    """Whether what is left in one is right in the other."""
    found = []
    for row, name in enumerate(names):
        twin = name.replace("Left", "Right")
        if name.endswith("Left") and twin in names:
            pair = [row, names.index(twin)]
            one, other = (values[:, pair[0]] - values[:, pair[1]] for values in (ours, theirs))
            if min(one.std(), other.std()) > LEAST_SPREAD:
                found.append(float(np.corrcoef(one, other)[0, 1]))
    return bool(found) and float(np.mean(found)) < MIRRORED
