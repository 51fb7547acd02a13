"""Expression channels of the used frames: the network's scores, with eyes that can be trusted.

The 52 scores as they come, except what concerns the eyes: eyeBlink is measured on the lids and reaches 1
(`nerface.capture.blinks`), gaze is measured on the irises and added as four angles (`nerface.capture.gaze`), and the
eyeLook scores are written anew from those angles, by ARKit's own formula (`nerface.driving.gaze_channels`), so that a
driver who has only scores moves the eyes as one who has angles does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from nerface.capture.blinks import blinks, lid_gaps, rough_openness
from nerface.capture.gaze import Gaze, solve_gaze
from nerface.capture.irises import IrisTrack
from nerface.driving.gaze_channels import GAZE_NAMES, look_follows

if TYPE_CHECKING:
    from nerface.capture.face_track import FaceTrack
    from nerface.capture.solving import SolvedClip

BLINK_NAMES = ("eyeBlinkLeft", "eyeBlinkRight")


@dataclass(frozen=True)
class Expressions:
    """`values` [n, E] of the used frames, named by `names`: scores in [0, 1], eye angles in radians."""

    names: tuple[str, ...]
    values: Float[np.ndarray, "frames expression"]


def expressions(track: FaceTrack, solved: SolvedClip, irises: IrisTrack | None = None) -> Expressions:
    """The expression channels of a solved clip; finite, deterministic.

    `irises`: what an `IrisReader` measured on the used frames (`solved.numbers`), in order; without it gaze comes from
    the landmarks alone, and its pitch is poor. Channels: those of `solved.names` in their order, then `GAZE_NAMES`.
    """
    gaps = lid_gaps(solved)
    segment = np.asarray(track.segment)[solved.numbers]
    gaze = solve_gaze(solved, irises, rough_openness(gaps), segment)
    names = (*solved.names, *GAZE_NAMES)
    values = np.concatenate([np.nan_to_num(np.asarray(solved.scores, np.float32)), gaze.angles], axis=1)
    values = np.array(look_follows(values, names), np.float32)
    shut = blinks(gaps, _pitch(gaze), _head_yaw(solved))
    for column, name in enumerate(BLINK_NAMES):
        if name in names:
            values[:, names.index(name)] = shut[:, column]
    return Expressions(names, values)


def _pitch(gaze: Gaze) -> Float[np.ndarray, " frames"]:
    return np.asarray(gaze.angles[:, [1, 3]], np.float64).mean(axis=1)


def _head_yaw(solved: SolvedClip) -> Float[np.ndarray, " frames"]:
    """How far the head is turned away from the camera, rad, to the subject's left."""
    seen_from = np.asarray(solved.camera_to_head, np.float64)[:, :3, 3]
    return np.arctan2(-seen_from[:, 0], seen_from[:, 2])
