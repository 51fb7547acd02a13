"""A head with eyeballs, seen by a camera: the landmarks of its eyes for gaze and lids that are known."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from nerface.capture.eye_geometry import IRIS_DISTANCE_CM, project_cm
from nerface.capture.eye_landmarks import EYES
from nerface.capture.gaze import IRIS_FORWARD_CM, IRIS_TEMPORAL_CM, IRIS_UP_CM
from nerface.capture.landmarker import SCORE_NAMES
from nerface.capture.report import Dropped
from nerface.capture.solving import SolvedClip

UNITS_PER_CM, DISTANCE_CM, FOCAL_PX, SIZE = 0.01, 50.0, 900.0, 512
LID_CM = 0.5  # from the middle to either lid of the open eye


def head_turns(frames: int, seed: int = 0, degrees: float = 12.0) -> np.ndarray:
    """camera_to_head [frames, 4, 4] of cameras that move slowly round the head."""
    time = np.arange(frames)
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, 3)
    angles = np.stack([np.sin(2 * np.pi * time / period + p) for period, p in zip((83, 61, 97), phase)], axis=1)
    rotations = Rotation.from_euler("yxz", angles * [degrees, 0.7 * degrees, 5.0], degrees=True).as_matrix()
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3, :3] = rotations
    poses[:, :3, 3] = rotations @ [0.0, 0.0, DISTANCE_CM * UNITS_PER_CM]
    return poses


def sight(yaw: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Unit directions [frames, 3] in head axes: yaw to the subject's left, pitch down, rad."""
    return np.stack([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)], axis=1)


def to_camera(poses: np.ndarray) -> np.ndarray:
    """Eye angles [frames, 4], as `GAZE_NAMES`, that look into the camera."""
    columns = []
    for eye in EYES:
        away = poses[:, :3, 3] / UNITS_PER_CM - ball(eye)
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        columns += [np.arctan2(away[:, 0], away[:, 2]), -np.arcsin(away[:, 1])]
    return np.stack(columns, axis=1)


def ball(eye, off_cm=(0.0, 0.0)) -> np.ndarray:
    """The eyeball's centre where people usually have it, or `off_cm` from there (towards the temple, up)."""
    middle = (np.array(eye.outer_cm) + np.array(eye.inner_cm)) / 2
    across = eye.temporal * (IRIS_TEMPORAL_CM + off_cm[0])
    return middle + np.array([across, IRIS_UP_CM + off_cm[1], IRIS_FORWARD_CM - IRIS_DISTANCE_CM])


def solved_eyes(
    poses: np.ndarray,
    gaze: np.ndarray,
    shut: np.ndarray | None = None,
    off_cm: tuple[float, float] = (0.0, 0.0),
    noise_px: float = 0.0,
) -> SolvedClip:
    """A solved clip whose only landmarks are those of the eyes.

    `gaze` [frames, 4] as `GAZE_NAMES`, `shut` [frames, 2] of the lids, left first (1: they meet).
    """
    count = len(poses)
    shut = np.zeros((count, 2)) if shut is None else shut
    clip = SolvedClip(
        numbers=np.arange(count),
        landmarks=np.zeros((count, 478, 2)),
        projected=np.zeros((count, 468, 2)),
        scores=np.full((count, len(SCORE_NAMES)), 0.1, np.float32),
        names=SCORE_NAMES,
        timestamps=np.arange(count) / 25.0,
        camera_to_head=poses,
        frame_rms_px=np.ones(count),
        focal=FOCAL_PX,
        focal_assumed=False,
        centre=((SIZE - 1) / 2, (SIZE - 1) / 2),
        units_per_cm=UNITS_PER_CM,
        frame_rate=25.0,
        dropped=Dropped(()),
    )
    for k, eye in enumerate(EYES):
        middle = (np.array(eye.outer_cm) + np.array(eye.inner_cm)) / 2
        clip.landmarks[:, eye.outer] = project_cm(clip, np.array(eye.outer_cm))
        clip.landmarks[:, eye.inner] = project_cm(clip, np.array(eye.inner_cm))
        iris = ball(eye, off_cm) + IRIS_DISTANCE_CM * sight(gaze[:, 2 * k], gaze[:, 2 * k + 1])
        clip.landmarks[:, eye.iris] = project_cm(clip, iris)
        half = LID_CM * (1.0 - shut[:, k])
        for upper, lower in eye.lids:
            for landmark, sign in ((upper, 1.0), (lower, -1.0)):
                place = middle + np.stack([np.zeros(count), sign * half, np.full(count, 0.3)], axis=1)
                clip.landmarks[:, landmark] = project_cm(clip, place)
    clip.landmarks[:] += noise_px * np.random.default_rng(5).normal(size=clip.landmarks.shape)
    return clip
