"""How far the lids are shut: 0 = this person's usual open eye, 1 = closed.

The network's own eyeBlink scores stop at 0.5 to 0.8 for shut eyes, rest anywhere between 0 and 0.3, and rise when
somebody looks down. The lids' landmarks say more. Their gap is measured twice, as a share of the eye's width (which a
turned head makes too large) and along the head's vertical in cm (which a turned head makes too small), and the
geometric mean is taken. An eye that looks down is open less far, so the open gap is a straight line over gaze pitch;
what is left of it tells of the blink:

    blink = (1 - gap / open(pitch)) / (1 - closed),      closed = what the clip's own deepest blinks leave

Nothing is smoothed: a blink lasts 3 to 5 frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy.ndimage import minimum_filter1d

from nerface.capture.eye_landmarks import EYES

if TYPE_CHECKING:
    from nerface.capture.solving import SolvedClip

OPEN_PERCENTILE = 80.0  # of the gap over the clip: open in any case
OPEN_SHARES = (0.7, 1.4)  # of the line: gaps that count as open
PITCH_SLOPE, PITCH_SLOPE_SIGMA = -0.012, 0.004  # share of the open gap per degree of looking down (four clips)
PITCH_SLOPE_RANGE = (-0.025, 0.0)
SLOPE_LOOKS = 50  # independent looks that a clip counts as
LEAST_OPEN = 0.3  # of the usual gap: the line ends here, however far down somebody looks
BLINK_GAP = 0.5  # of the open gap: what goes below is a blink
BLINK_FRAMES = 7  # between the deepest points of two blinks
DEEPEST_PERCENTILE = 75.0  # of the blinks' deepest gaps: three of four blinks reach 1
USUAL_CLOSED, CLOSED_RANGE = 0.2, (0.12, 0.35)  # of the open gap; landmarks of shut eyes leave 0.0 to 0.35
TOGETHER = (0.70, 0.85)  # an eye shut so far shuts with the other: fast lids are measured a little apart
TURNED_DEG = 25.0  # of the head: from here the far eye is mixed with the near one, and at twice this only the near


def lid_gaps(solved: SolvedClip) -> Float[np.ndarray, "frames 2"]:
    """The opening of the lids, left eye first, in no particular unit; 0 where they meet."""
    landmarks = np.asarray(solved.landmarks, np.float64)
    poses = np.asarray(solved.camera_to_head, np.float64)
    vertical = np.stack([poses[:, 1, 0], -poses[:, 1, 1]], axis=1)  # the head's y axis in the picture, foreshortened
    px_per_cm = solved.focal * solved.units_per_cm / np.maximum(np.linalg.norm(poses[:, :3, 3], axis=1), 1e-9)
    gaps = []
    for eye in EYES:
        apart = np.mean([landmarks[:, upper] - landmarks[:, lower] for upper, lower in eye.lids], axis=0)
        width = np.linalg.norm(landmarks[:, eye.outer] - landmarks[:, eye.inner], axis=1)
        share = np.linalg.norm(apart, axis=1) / np.maximum(width, 1e-6)
        along = np.sum(apart * vertical, axis=1) / np.maximum(np.sum(vertical**2, axis=1), 1e-6) / px_per_cm
        gaps.append(np.sqrt(share * np.maximum(along, 0.0)))
    return np.nan_to_num(np.stack(gaps, axis=1), nan=0.0, posinf=0.0)


def rough_openness(gaps: Float[np.ndarray, "frames 2"]) -> Float[np.ndarray, "frames 2"]:
    """Gaps over the clip's wide open one: good enough to tell closed eyes, before gaze is known."""
    return np.asarray(gaps / np.maximum(np.percentile(gaps, OPEN_PERCENTILE, axis=0), 1e-9))


def blinks(
    gaps: Float[np.ndarray, "frames 2"], pitch: Float[np.ndarray, " frames"], yaw: Float[np.ndarray, " frames"]
) -> Float[np.ndarray, "frames 2"]:
    """eyeBlinkLeft and eyeBlinkRight in [0, 1], of lid gaps, gaze pitch (rad, down) and head yaw (rad, to the
    subject's left)."""
    left = np.stack([_of_open(gaps[:, k], np.degrees(pitch)) for k in range(len(EYES))], axis=1)
    closed = _closed(left)
    shut = np.clip((1.0 - left) / (1.0 - closed), 0.0, 1.0)
    follows = np.clip((shut - TOGETHER[0]) / (TOGETHER[1] - TOGETHER[0]), 0.0, 1.0)
    shut = shut + follows * np.maximum(shut[:, ::-1] - shut, 0.0)
    for k, eye in enumerate(EYES):
        # A head turned to its left hides its right eye behind the nose.
        hidden = np.clip(-eye.temporal * np.degrees(yaw) / TURNED_DEG - 1.0, 0.0, 1.0)
        shut[:, k] = (1.0 - hidden) * shut[:, k] + hidden * shut[:, 1 - k]
    return shut.astype(np.float32)


def _of_open(
    gap: Float[np.ndarray, " frames"], pitch_deg: Float[np.ndarray, " frames"]
) -> Float[np.ndarray, " frames"]:
    """Gaps as a share of the open eye's at that gaze."""
    wide = float(np.percentile(gap, OPEN_PERCENTILE))
    if wide <= 1e-9:
        return np.ones(len(gap))  # nothing was measured: open
    share = gap / wide
    usual, slope = 1.0, PITCH_SLOPE
    low, high = OPEN_SHARES
    middle = float(np.median(pitch_deg))
    down = pitch_deg - middle
    for _ in range(10):
        line = usual * np.maximum(1.0 + slope * down, LEAST_OPEN)
        seen = (share > low * line) & (share < high * line)
        if not seen.any():
            break
        usual = float(np.median(share[seen] / np.maximum(1.0 + slope * down[seen], LEAST_OPEN)))
        spread = float(np.std(share[seen] / usual)) + 0.02
        weight = min(1.0, SLOPE_LOOKS / seen.sum()) / spread**2
        ties = 1.0 / PITCH_SLOPE_SIGMA**2
        pulled = weight * down[seen] @ (share[seen] / usual - 1.0) + ties * PITCH_SLOPE
        slope = float(np.clip(pulled / (weight * down[seen] @ down[seen] + ties), *PITCH_SLOPE_RANGE))
    return np.asarray(share / (usual * np.maximum(1.0 + slope * down, LEAST_OPEN)))


def _closed(left: Float[np.ndarray, "frames 2"]) -> float:
    """The share of the open gap that landmarks leave of shut eyes in this clip."""
    deepest = [
        left[(left[:, k] <= minimum_filter1d(left[:, k], BLINK_FRAMES)) & (left[:, k] < BLINK_GAP), k]
        for k in range(left.shape[1])
    ]
    found = np.concatenate(deepest)
    if len(found) == 0:
        return USUAL_CLOSED
    return float(np.clip(np.percentile(found, DEEPEST_PERCENTILE), *CLOSED_RANGE))
