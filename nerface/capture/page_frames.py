"""Which frames the report shows: the extremes that a user should look at, and as varied ones as there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from nerface.capture.advice_wants import GAZE_CHANNELS, WANTS
from nerface.capture.page_evidence import Evidence

SHOWN_FRAMES = 36
MOVES = 0.1  # a score that rises less over its rest has no extreme worth showing
# One unit of difference between frames is so much of each.
TURN_UNIT_DEG, SCORE_UNIT, DISTANCE_UNIT = 8.0, 0.25, 0.05
TIME_WEIGHT = 6.0  # the whole clip counts as this many units, so that no stretch of it goes unshown

EXPRESSION_EXTREMES = (
    (("jawOpen",), "widest mouth"),
    (("eyeBlinkLeft", "eyeBlinkRight"), "eyes most closed"),
    (("mouthSmileLeft", "mouthSmileRight"), "broadest smile"),
    (("mouthPucker",), "roundest lips"),
    (("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), "highest brows"),
    (("browDownLeft", "browDownRight"), "lowest brows"),
    (("mouthPressLeft", "mouthPressRight"), "lips most pressed"),
    (("leftEyeYaw", "rightEyeYaw"), "eyes furthest aside"),
)


@dataclass(frozen=True)
class Shown:
    """One frame of the report: its `row` among the used ones, and `why` it is shown ("" = for variety)."""

    row: int
    why: str


def choose_frames(evidence: Evidence, count: int = SHOWN_FRAMES) -> list[Shown]:
    """Up to `count` frames in temporal order: extremes of pose, expression and error, then the most unlike ones."""
    reasons: dict[int, list[str]] = {}
    for row, why in _extremes(evidence):
        if row in reasons or len(reasons) < count:
            reasons.setdefault(row, []).append(why)
    for row in _varied(_features(evidence), list(reasons), min(count, len(evidence.frames))):
        reasons.setdefault(row, [])
    return [Shown(row, ", ".join(reasons[row])) for row in sorted(reasons)]


def _extremes(evidence: Evidence) -> list[tuple[int, str]]:
    frames, measured = evidence.frames, evidence.measured
    turns = frames.turns
    found = [(int(np.argmin(np.abs(turns).sum(axis=1))), "the rest pose")]
    for values, why in (
        (turns[:, 0], "furthest to their left"),
        (-turns[:, 0], "furthest to their right"),
        (-turns[:, 1], "furthest up"),
        (turns[:, 1], "furthest down"),
        (np.abs(turns[:, 2]), "most tilted"),
    ):
        found.append((int(np.argmax(values)), why))
    if measured.error_px is not None:
        found.append((int(np.nanargmax(measured.error_px)), "largest reprojection error"))
    if measured.sharpness is not None:
        found.append((int(np.nanargmin(measured.sharpness)), "least sharp"))
    for names, why in EXPRESSION_EXTREMES:
        columns = [column for name in names if (column := frames.channel(name)) is not None]
        if columns:
            values = np.mean(columns, axis=0)
            values = np.abs(values - np.median(values)) if names[0] in GAZE_CHANNELS else values - values.min()
            if values.max() > MOVES:
                found.append((int(np.argmax(values)), why))
    return found


def _features(evidence: Evidence) -> Float[np.ndarray, "frames features"]:
    """Pose, wanted expression channels and time, in units of what the eye tells apart."""
    frames = evidence.frames
    wanted = {name for want in WANTS for name in want.shares}
    scores = [frames.expressions[:, k] for k, name in enumerate(frames.channels) if name in wanted]
    distance = np.linalg.norm(frames.camera_to_head[:, :3, 3], axis=1)
    time = np.linspace(0.0, TIME_WEIGHT, len(frames))
    columns = [*(frames.turns / TURN_UNIT_DEG).T, distance / DISTANCE_UNIT, time]
    return np.stack(columns + [score / SCORE_UNIT for score in scores], axis=1)


def _varied(features: Float[np.ndarray, "frames features"], chosen: list[int], count: int) -> list[int]:
    """Frames added to `chosen` until there are `count`, each the one furthest from all before (farthest-point sampling,
    Gonzalez 1985)."""
    distance = np.full(len(features), np.inf)
    for row in chosen:
        distance = np.minimum(distance, np.linalg.norm(features - features[row], axis=1))
    added: list[int] = []
    while len(chosen) + len(added) < count:
        row = int(np.argmax(distance))
        added.append(row)
        distance = np.minimum(distance, np.linalg.norm(features - features[row], axis=1))
        distance[row] = -1.0  # equal frames must not be taken twice
    return added
