"""Gaze as expression channels: eye angles, and the eyeLook scores that say the same.

`leftEyeYaw leftEyePitch rightEyeYaw rightEyePitch`, named as in the CSV files of Live Link Face, are radians in the
head's axes: a turn about y, positive to the subject's left (the right of a picture that is not mirrored), then about x,
positive downwards. 0, 0 looks along z, out of the face. They are the angles of ARKit's `leftEyeTransform` (x to the
subject's left, y up, z out of the pupil), and ARKit's scores are these angles over fixed ranges:

    left eye    eyeLookOut - eyeLookIn =  yaw / 35 degrees        right eye   the negative of that
    both        eyeLookDown = pitch / 35 degrees where positive, eyeLookUp = -pitch / 25 degrees where negative

found on two public Live Link Face recordings (anim/alex_rom_3.csv and anim/S07-001.csv of the repository
alexdjulin/LiveLinkFace-CSV-Retarget-For-Motionbuilder), in which it holds to 0.1 degrees. In those files the eye angles
stand under the other side's name than the eyeLook scores: who reads such a file and keeps its scores gets gaze that
agrees with them by computing it from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

GAZE_NAMES = ("leftEyeYaw", "leftEyePitch", "rightEyeYaw", "rightEyePitch")
LOOK_NAMES = (
    "eyeLookInLeft",
    "eyeLookOutLeft",
    "eyeLookDownLeft",
    "eyeLookUpLeft",
    "eyeLookInRight",
    "eyeLookOutRight",
    "eyeLookDownRight",
    "eyeLookUpRight",
)
SIDE_RANGE = DOWN_RANGE = float(np.radians(35.0))  # rad, where eyeLookIn, Out and Down are 1
UP_RANGE = float(np.radians(25.0))  # rad, where eyeLookUp is 1


def gaze_from_look(look: Float[np.ndarray, "frames 8"]) -> Float[np.ndarray, "frames 4"]:
    """Eye angles (`GAZE_NAMES`, rad) of eyeLook scores (`LOOK_NAMES`)."""
    left, right = look[:, :4], look[:, 4:]

    def pitch(eye: np.ndarray) -> np.ndarray:
        return DOWN_RANGE * eye[:, 2] - UP_RANGE * eye[:, 3]

    yaws = SIDE_RANGE * (left[:, 1] - left[:, 0]), SIDE_RANGE * (right[:, 0] - right[:, 1])
    return np.stack([yaws[0], pitch(left), yaws[1], pitch(right)], axis=1).astype(np.float32)


def look_from_gaze(gaze: Float[np.ndarray, "frames 4"]) -> Float[np.ndarray, "frames 8"]:
    """eyeLook scores (`LOOK_NAMES`, in [0, 1]) of eye angles (`GAZE_NAMES`, rad)."""
    columns = []
    for yaw, pitch, outwards in ((gaze[:, 0], gaze[:, 1], 1.0), (gaze[:, 2], gaze[:, 3], -1.0)):
        out = outwards * yaw / SIDE_RANGE
        columns += [-out, out, pitch / DOWN_RANGE, -pitch / UP_RANGE]
    return np.clip(np.stack(columns, axis=1), 0.0, 1.0).astype(np.float32)


def places_of(names: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Where the `wanted` names stand among `names`; None unless all do."""
    place = {name: index for index, name in reversed(list(enumerate(names)))}
    return [place[name] for name in wanted] if all(name in place for name in wanted) else None


def look_follows(
    values: Float[np.ndarray, "frames expression"], names: Sequence[str]
) -> Float[np.ndarray, "frames expression"]:
    """The same expressions with the eyeLook scores that their eye angles mean; unchanged unless both are there."""
    gaze, look = places_of(names, GAZE_NAMES), places_of(names, LOOK_NAMES)
    if gaze is None or look is None:
        return values
    values = np.array(values, dtype=np.float32)
    values[:, look] = look_from_gaze(values[:, gaze])
    return values


def gaze_follows(
    values: Float[np.ndarray, "frames expression"], names: Sequence[str]
) -> Float[np.ndarray, "frames expression"]:
    """The same expressions with the eye angles that their eyeLook scores mean; unchanged unless both are there."""
    gaze, look = places_of(names, GAZE_NAMES), places_of(names, LOOK_NAMES)
    if gaze is None or look is None:
        return values
    values = np.array(values, dtype=np.float32)
    values[:, gaze] = gaze_from_look(values[:, look])
    return values


def eyes_agree(
    values: Float[np.ndarray, "frames expression"], names: Sequence[str], changed: Iterable[int]
) -> Float[np.ndarray, "frames expression"]:
    """After a hand has `changed` some channels: eyeLook scores follow changed eye angles, or the angles the scores.

    A field knows the two only together; pulled apart they are a look that nobody taught it.
    """
    touched = {names[channel] for channel in changed}
    if touched & set(GAZE_NAMES):
        return look_follows(values, names)
    return gaze_follows(values, names) if touched & set(LOOK_NAMES) else values


def with_gaze_of(
    values: Float[np.ndarray, "frames source"], names: Sequence[str], target: Sequence[str]
) -> tuple[Float[np.ndarray, "frames channels"], tuple[str, ...]]:
    """Expressions and names of a driver, told in the gaze channels that a `target` has.

    Eye angles or eyeLook scores that the target has and the driver lacks are computed from the other kind where the
    driver has it whole; eye angles that the target does not know are left out. All else stays as it is.
    """
    unknown = [name for name in GAZE_NAMES if name in names and name not in target]
    for lacking, there, convert in (
        (GAZE_NAMES, LOOK_NAMES, gaze_from_look),
        (LOOK_NAMES, GAZE_NAMES, look_from_gaze),
    ):
        rows = places_of(names, there)
        added = [k for k, name in enumerate(lacking) if name in target and name not in names]
        if rows is not None and added:
            values = np.concatenate([values, convert(values[:, rows])[:, added]], axis=1).astype(np.float32)
            names = (*names, *(lacking[k] for k in added))
    if unknown:
        kept = [k for k, name in enumerate(names) if name not in unknown]
        values, names = values[:, kept], tuple(names[k] for k in kept)
    return values, tuple(names)
