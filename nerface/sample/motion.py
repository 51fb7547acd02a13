"""What the subject does: head turns, speech, blinks, smiles and brows over the sample clip, as smooth tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from nerface.sample.model import Pose
from nerface.sample.shapes import CHANNELS

FRAME_RATE = 20.0  # Hz
FRAMES = 240
CAMERA_DISTANCE = 41.0  # cm, from the camera to the head's origin
HEAD_RISE = 0.5  # cm, of the head's origin above the camera's axis
NECK_PIVOT = np.array([0.0, -11.0, -3.0])  # the head turns about it, cm in head axes
TORSO_SHARE = 0.25  # of the head's turn
TORSO_SWAY_SHARE = 0.5  # of the head's shift
GAZE_SHARE = 0.75  # of the angle to the camera that the eyes make up for

# seconds, yaw (to the picture's right), pitch (chin down), roll (clockwise), in degrees. The last 15 % (from 10.2 s)
# are held out by capture: they turn, talk, blink and smile within what the first 85 % show.
_TURNS = np.array(
    [
        [0.0, 0.0, 0.0, 0.0],
        [0.9, 9.0, 4.0, 2.0],
        [1.9, 26.0, -2.0, 2.0],
        [2.9, 6.0, -10.0, -2.0],
        [3.9, -17.0, 1.0, -4.0],
        [4.8, -27.0, 6.0, -2.0],
        [5.8, -5.0, 12.0, 2.0],
        [6.6, 12.0, 5.0, 4.0],
        [7.4, 24.0, -9.0, 1.0],
        [8.4, 1.0, -3.0, -2.0],
        [9.2, -16.0, -11.0, -3.0],
        [10.0, -4.0, 5.0, 0.0],
        [10.7, 13.0, 3.0, 2.0],
        [11.3, 19.0, -4.0, 1.0],
        [12.1, 2.0, 1.0, -1.0],
    ]
)
# seconds in the middle, seconds of half height, height
_WIDE_OPEN = ((2.6, 0.26, 0.95), (5.2, 0.24, 0.85), (8.1, 0.26, 0.90), (10.95, 0.24, 0.80))
_SPEECH = ((0.3, 2.1), (3.2, 4.7), (5.9, 7.4), (8.6, 10.6), (11.4, 11.9))  # seconds from, to
_SYLLABLE = 0.24  # seconds between openings of the mouth
# the same, and the height on the other side: left, then right
_SMILES = (
    (1.2, 0.55, 0.9, 0.8),
    (4.1, 0.6, 0.75, 0.95),
    (7.0, 0.6, 1.0, 0.9),
    (9.4, 0.45, 0.7, 0.7),
    (11.5, 0.4, 0.85, 0.8),
)
_BLINKS = (0.75, 1.7, 3.0, 4.4, 5.6, 6.3, 7.75, 8.8, 9.6, 10.5, 11.75)
_BROWS = ((2.4, 0.4, 0.85), (5.1, 0.45, 1.0), (6.7, 0.35, 0.6), (8.9, 0.4, 0.8), (11.05, 0.35, 0.7))


@dataclass(frozen=True)
class Motion:
    """Tracks of a clip: `angles` [N, 3] yaw, pitch, roll in degrees, `shift` [N, 3] cm, `weights` [N, channels]."""

    angles: Float[np.ndarray, "frames 3"]
    shift: Float[np.ndarray, "frames 3"]
    weights: Float[np.ndarray, "frames channels"]


def _hill(time: np.ndarray, middle: float, half: float) -> np.ndarray:
    """A smooth rise and fall: half its height `half` seconds from its middle, flat on top."""
    return np.exp(-np.log(2.0) * np.abs((time - middle) / half) ** 3)


def _sway(time: np.ndarray, random: np.random.Generator, periods: tuple[float, ...]) -> np.ndarray:
    """A slow sum of sines of size about 1, starting anywhere."""
    phases = random.uniform(0.0, 2.0 * np.pi, len(periods))
    return np.sum([np.sin(2.0 * np.pi * time / p + q) for p, q in zip(periods, phases)], axis=0) / np.sqrt(len(periods))


def make_motion(frames: int, random: np.random.Generator) -> Motion:
    """The first `frames` frames of the performance; beyond `FRAMES` it starts again.

    `random` decides small things: the size of syllables and slow sways.
    """
    time = (np.arange(frames) / FRAME_RATE) % (FRAMES / FRAME_RATE)
    angles = CubicSpline(_TURNS[:, 0], _TURNS[:, 1:])(time)
    angles += np.stack([_sway(time, random, (1.3, 2.1)) * size for size in (0.8, 0.8, 0.5)], axis=1)
    shift = np.stack([_sway(time, random, (3.1, 5.3, 7.9)) * size for size in (0.7, 0.35, 0.9)], axis=1)

    jaw = np.zeros(frames)
    for start, end in _SPEECH:
        for middle in np.arange(start, end, _SYLLABLE):
            jaw = np.maximum(jaw, random.uniform(0.12, 0.5) * _hill(time, middle, 0.085))
    jaw = np.maximum(jaw, np.max([size * _hill(time, middle, half) for middle, half, size in _WIDE_OPEN], axis=0))
    brows = np.max([size * _hill(time, middle, half) for middle, half, size in _BROWS], axis=0)
    blink = np.max([_hill(time, middle, 0.11) for middle in _BLINKS], axis=0)
    left = np.max([size * _hill(time, middle, half) for middle, half, size, _ in _SMILES], axis=0)
    right = np.max([size * _hill(time, middle, half) for middle, half, _, size in _SMILES], axis=0)
    tracks = {
        "jawOpen": jaw,
        "mouthSmileLeft": left,
        "mouthSmileRight": right,
        "eyeBlinkLeft": blink,
        "eyeBlinkRight": blink,
        "browInnerUp": brows,
        "browOuterUpLeft": 0.9 * brows,
        "browOuterUpRight": 0.9 * brows,
    }
    return Motion(angles, shift, np.stack([tracks[name] for name in CHANNELS], axis=1))


def rotation(yaw: float, pitch: float, roll: float) -> Float[np.ndarray, "3 3"]:
    """Roll, then pitch, then yaw, in degrees: positive yaw turns the face to the picture's right, pitch bows it."""
    a, b, c = np.radians([yaw, pitch, -roll])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def pose_at(motion: Motion, frame: int) -> Pose:
    """Where head and torso stand before the camera, and where the eyes look, in one frame."""
    head = _placed(motion.angles[frame], motion.shift[frame])
    torso = _placed(TORSO_SHARE * motion.angles[frame], TORSO_SWAY_SHARE * motion.shift[frame])
    to_camera = -head[:3, :3].T @ head[:3, 3]  # the camera from the head's origin, in head axes
    right = np.degrees(np.arctan2(to_camera[0], to_camera[2]))
    up = np.degrees(np.arctan2(to_camera[1], np.hypot(to_camera[0], to_camera[2])))
    return Pose(head, torso, (GAZE_SHARE * float(right), GAZE_SHARE * float(up)))


def _placed(angles: np.ndarray, shift: np.ndarray) -> Float[np.ndarray, "4 4"]:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(*angles)
    matrix[:3, 3] = NECK_PIVOT - matrix[:3, :3] @ NECK_PIVOT + shift + [0.0, HEAD_RISE, -CAMERA_DISTANCE]
    return matrix
