"""Where the eyes look: irises on eyeballs that sit fast in the solved head.

An eyeball is a ball about a centre c in head space; the iris lies on it, r away, so that the sight line through the
iris's place in the picture meets the ball where the iris is, and the direction from c to there is the gaze. r and c's
depth are anatomy's; c's place across is found over the clip, as the one for which the eyes most often look into the
camera (a mode: frames that look elsewhere have no say), held to its usual place between the eye corners. So a whole
clip that looks past the camera at one spot reads as looking at it, within what anatomy allows.

Both eyes look together: their mean moves frame by frame, their difference slowly. Frames with closed eyes are bridged
from their neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from nerface.capture.eye_geometry import IRIS_DISTANCE_CM, corner_in_head, eye_angles, on_ball, project_cm, sight_lines
from nerface.capture.eye_landmarks import EYES, EyeLandmarks
from nerface.capture.irises import IrisTrack

if TYPE_CHECKING:
    from nerface.capture.solving import SolvedClip

IRIS_FORWARD_CM = 0.5  # of the iris before the middle of the corners, looking straight ahead
IRIS_TEMPORAL_CM, IRIS_UP_CM = 0.12, 0.20  # the same across: the middle of four people's clips
PLACE_SIGMA_CM = (0.15, 0.20)  # how far people's eyeballs lie from there, sideways and upwards
LOOKING_DEG = (20.0, 15.0, 10.0, 8.0, 6.0, 5.0, 5.0, 5.0, 5.0)  # widths of the mode, narrowing
LOOKING_NOISE_DEG = 3.0
LOOKS = 50  # independent looks that a clip counts as
LANDMARK_PITCH_GAIN = 0.5  # of the iris landmark against the measured iris (0.3 to 0.9 on four clips)
MOST_YAW, MOST_PITCH = float(np.radians(50.0)), float(np.radians(40.0))
VERGENCE = (float(np.radians(-20.0)), float(np.radians(5.0)))  # of left yaw less right yaw
VERGENCE_SIGMA_S = 0.4
TEMPLE_DEG = 20.0  # eyes face outwards by so much: the far eye of a turned head is seen worse
ASIDE = (0.75, 0.95)  # of the ball's radius: sight lines so far from its centre are trusted, and not at all
LEAST_WEIGHT = 0.15  # of both eyes together: below, a frame is bridged
SMOOTH_S, REACH = 0.05, 4  # of the smoothing in time: standard deviation, and frames to either side
EDGE_NOISES = 2.5  # a change this many times the jitter is a saccade and stays sharp
JITTER_RANGE = (float(np.radians(0.4)), float(np.radians(2.0)))


@dataclass(frozen=True)
class Gaze:
    """Eye angles of n frames: `angles` [n, 4] rad in the order of `GAZE_NAMES` (`nerface.driving.gaze_channels` tells
    the signs); `weight` [n] in [0, 1], how well the eyes were seen; `centres` [2, 3] cm of the eyeballs in head axes,
    left then right."""

    angles: Float[np.ndarray, "frames 4"]
    weight: Float[np.ndarray, " frames"]
    centres: Float[np.ndarray, "2 3"]


@dataclass(frozen=True)
class _Sight:
    """One eye's sight lines: `origins` and unit `directions` [n, 3] through its iris (cm, head axes), how far each is
    to be believed, `weight` [n], and where eyeballs usually sit, `usual` [3]."""

    origins: Float[np.ndarray, "frames 3"]
    directions: Float[np.ndarray, "frames 3"]
    weight: Float[np.ndarray, " frames"]
    usual: Float[np.ndarray, " 3"]


@dataclass(frozen=True)
class _Seen:
    """One eye: raw `angles` [n, 2] (yaw, pitch) and their `weight` [n]."""

    angles: Float[np.ndarray, "frames 2"]
    weight: Float[np.ndarray, " frames"]


def solve_gaze(
    solved: SolvedClip,
    irises: IrisTrack | None,
    openness: Float[np.ndarray, "frames 2"],
    segment: Int[np.ndarray, " frames"],
) -> Gaze:
    """Gaze in every used frame; finite and deterministic.

    `irises` measured on the pictures, or None: then the iris landmarks serve, whose pitch is weak and noisy.
    `openness` [n, 2] of the lids, left then right, about 1 where open and 0 where closed: closed eyes are not read.
    `segment` [n]: nothing is smoothed or bridged from one to another.
    """
    sights = [_sight_of(solved, irises, openness[:, k], k, eye) for k, eye in enumerate(EYES)]
    centres = _eyeballs(sights)
    left, right = (_seen(sight, centre, irises is None) for sight, centre in zip(sights, centres))
    times = np.asarray(solved.timestamps, np.float64)
    apart = _vergence(left, right, times, segment)
    weights = np.stack([left.weight, right.weight], axis=1)
    total = weights.sum(axis=1)
    half = 0.5 * apart
    mean = (left.weight[:, None] * (left.angles - half) + right.weight[:, None] * (right.angles + half)) / np.maximum(
        total, 1e-9
    )[:, None]
    weight = np.clip(total, 0.0, 1.0)
    bridged = _bridged(mean, total, times, segment)
    steady = _steady(bridged, np.maximum(weight, 0.05), times, segment)
    angles = np.concatenate([steady + half, steady - half], axis=1)
    limits = np.array([MOST_YAW, MOST_PITCH] * 2)
    return Gaze(
        np.clip(angles, -limits, limits).astype(np.float32),
        weight.astype(np.float32),
        centres,
    )


def _sight_of(
    solved: SolvedClip, irises: IrisTrack | None, openness: np.ndarray, number: int, eye: EyeLandmarks
) -> _Sight:
    landmarks = np.nan_to_num(np.asarray(solved.landmarks, np.float64))
    outer = corner_in_head(solved, landmarks[:, eye.outer], np.array(eye.outer_cm))
    inner = corner_in_head(solved, landmarks[:, eye.inner], np.array(eye.inner_cm))
    # The corners tell how far the pose is off just here: half a pixel is two degrees of gaze.
    off = (
        landmarks[:, eye.outer] - project_cm(solved, outer) + landmarks[:, eye.inner] - project_cm(solved, inner)
    ) / 2
    places = landmarks[:, eye.iris] if irises is None else np.asarray(irises.places[:, number], np.float64)
    sure = np.ones(len(places)) if irises is None else np.asarray(irises.sure[:, number], np.float64)
    sure = np.where(np.isfinite(places).all(axis=1), sure, 0.0)
    origins, directions = sight_lines(solved, np.nan_to_num(places) - off)
    usual = (outer + inner) / 2 + [
        eye.temporal * IRIS_TEMPORAL_CM,
        IRIS_UP_CM,
        IRIS_FORWARD_CM - IRIS_DISTANCE_CM,
    ]
    to_camera = origins - usual
    facing = np.cos(np.arctan2(to_camera[:, 0], to_camera[:, 2]) - eye.temporal * np.radians(TEMPLE_DEG))
    weight = sure * np.clip((openness - 0.35) / 0.25, 0.0, 1.0) * np.clip(facing, 0.0, 1.0) ** 2
    return _Sight(origins, directions, weight, usual)


def _seen(sight: _Sight, centre: Float[np.ndarray, " 3"], landmarks_only: bool) -> _Seen:
    angles = eye_angles(on_ball(sight.origins, sight.directions, centre))
    if landmarks_only and sight.weight.sum() > 0:
        usual = np.median(angles[sight.weight > 0.5 * sight.weight.max(), 1])
        angles[:, 1] = usual + (angles[:, 1] - usual) / LANDMARK_PITCH_GAIN
    closest = (
        sight.origins
        - centre
        - np.sum((sight.origins - centre) * sight.directions, axis=1, keepdims=True) * sight.directions
    )
    aside = np.linalg.norm(closest, axis=1) / IRIS_DISTANCE_CM
    at_edge = np.clip((ASIDE[1] - aside) / (ASIDE[1] - ASIDE[0]), 0.0, 1.0)  # there a tenth of a px is a degree
    return _Seen(angles, sight.weight * at_edge)


def _eyeballs(sights: Sequence[_Sight]) -> Float[np.ndarray, "2 3"]:
    """The balls' centres: across, those for which most frames look into the camera; their depth stays anatomy's.

    Three unknowns, solved for by reweighted Gauss-Newton: how far either eye lies from its usual place sideways, and
    both upwards.
    """
    moved = np.zeros(3)
    sigma = np.array([PLACE_SIGMA_CM[0], PLACE_SIGMA_CM[0], PLACE_SIGMA_CM[1]])
    step = 1e-3
    for width in np.radians(LOOKING_DEG):
        normal, right = np.diag(sigma**-2), moved / sigma**2
        for number, sight in enumerate(sights):
            good = sight.weight > 0.3
            if not good.any():
                continue
            share = min(1.0, LOOKS / float(sight.weight[good].sum())) / np.radians(LOOKING_NOISE_DEG) ** 2
            own = [number, 2]
            centre = sight.usual + np.array([moved[number], moved[2], 0.0])
            away = _past_camera(sight, centre, good)
            trust = share * sight.weight[good] / (1.0 + np.sum(away**2, axis=1) / width**2) ** 2
            slopes = np.stack(
                [
                    (_past_camera(sight, centre + shift, good) - _past_camera(sight, centre - shift, good)) / (2 * step)
                    for shift in step * np.eye(3)[:2]
                ],
                axis=-1,
            )
            normal[np.ix_(own, own)] += np.einsum("n,nki,nkj->ij", trust, slopes, slopes)
            right[own] += np.einsum("n,nki,nk->i", trust, slopes, away)
        moved = moved - np.clip(np.linalg.solve(normal, right), -0.2, 0.2)
        moved = np.clip(moved, -2.5 * sigma, 2.5 * sigma)
    return np.stack([sight.usual + np.array([moved[k], moved[2], 0.0]) for k, sight in enumerate(sights)])


def _past_camera(sight: _Sight, centre: Float[np.ndarray, " 3"], good: np.ndarray) -> Float[np.ndarray, "frames 2"]:
    """By how much gaze passes the camera, in yaw and pitch, were the ball at `centre`."""
    to_camera = sight.origins[good] - centre
    to_camera /= np.linalg.norm(to_camera, axis=1, keepdims=True)
    return eye_angles(on_ball(sight.origins[good], sight.directions[good], centre)) - eye_angles(to_camera)


def _vergence(
    left: _Seen, right: _Seen, times: Float[np.ndarray, " frames"], segment: Int[np.ndarray, " frames"]
) -> Float[np.ndarray, "frames 2"]:
    """Left less right, of yaw and pitch: slow in yaw (near and far), one for the clip in pitch."""
    apart = left.angles - right.angles
    both = left.weight * right.weight
    seen = both > 0.1
    usual = np.median(apart[seen], axis=0) if seen.any() else np.zeros(2)
    slow = np.empty(len(apart))
    limited = usual[0] + np.clip(apart[:, 0] - usual[0], -0.15, 0.15)
    for k in range(len(apart)):
        near = both * np.exp(-0.5 * ((times - times[k]) / VERGENCE_SIGMA_S) ** 2) * (segment == segment[k])
        slow[k] = (near @ limited + usual[0]) / (near.sum() + 1.0)  # as if one look at the usual were added
    return np.stack([np.clip(slow, *VERGENCE), np.full(len(apart), usual[1])], axis=1)


def _bridged(
    values: Float[np.ndarray, "frames 2"],
    weight: Float[np.ndarray, " frames"],
    times: Float[np.ndarray, " frames"],
    segment: Int[np.ndarray, " frames"],
) -> Float[np.ndarray, "frames 2"]:
    """Frames that show too little taken from their neighbours of the same segment, along straight lines."""
    good = weight >= LEAST_WEIGHT
    usual = np.median(values[good], axis=0) if good.any() else np.zeros(2)
    filled = np.array(values)
    for part in np.unique(segment):
        own = segment == part
        known = own & good
        for axis in range(2):
            if known.any():
                filled[own & ~good, axis] = np.interp(times[own & ~good], times[known], values[known, axis])
            else:
                filled[own, axis] = usual[axis]
    return filled


def _steady(
    values: Float[np.ndarray, "frames 2"],
    weight: Float[np.ndarray, " frames"],
    times: Float[np.ndarray, " frames"],
    segment: Int[np.ndarray, " frames"],
) -> Float[np.ndarray, "frames 2"]:
    """Jitter averaged away within a fixation; jumps between fixations stay as they are (a bilateral filter)."""
    count = len(values)
    jitter = np.clip(_jitter(values), *JITTER_RANGE)
    total, sums = np.zeros(count), np.zeros_like(values)
    for shift in range(-REACH, REACH + 1):
        other = np.arange(count) + shift
        valid = (other >= 0) & (other < count)
        other = np.clip(other, 0, count - 1)
        valid &= segment[other] == segment
        change = np.sum(((values[other] - values) / (EDGE_NOISES * jitter)) ** 2, axis=1)
        near = valid * weight[other] * np.exp(-0.5 * (((times[other] - times) / SMOOTH_S) ** 2 + change))
        total += near
        sums += near[:, None] * values[other]
    return sums / total[:, None]


def _jitter(values: Float[np.ndarray, "frames 2"]) -> Float[np.ndarray, " 2"]:
    """Standard deviation of independent noise, from second differences (a median: saccades have no say)."""
    if len(values) < 3:
        return np.zeros(2)
    second = values[2:] - 2 * values[1:-1] + values[:-2]
    return np.asarray(1.4826 * np.median(np.abs(second), axis=0) / np.sqrt(6.0))
