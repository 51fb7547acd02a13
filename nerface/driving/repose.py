"""Expressions for other head poses: the part of the scores that goes with the pose, taken away and given anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

RIDGE = 1e-2  # against features of unit spread: keeps short or still clips from inventing a relation
FEATURES = 5


@dataclass(frozen=True)
class PoseShare:
    """How each score of a capture follows the camera's place round the head: a least-squares fit.

    Scores are not free of pose (eyes keep to the camera while the head turns; the net sees a turned mouth differently).
    A field trained on them meets scores of a turned head in a frontal view only if nobody takes that part away.
    """

    slope: Float[np.ndarray, "5 expression"]

    def moved(
        self,
        expressions: Float[np.ndarray, "frames expression"],
        recorded: Float[np.ndarray, "frames 4 4"],
        wanted: Float[np.ndarray, "frames 4 4"],
    ) -> Float[np.ndarray, "frames expression"]:
        """`expressions` as they would have been recorded had the cameras stood at `wanted` instead of `recorded`."""
        change = (pose_features(wanted) - pose_features(recorded)) @ self.slope
        return np.asarray(expressions + change, dtype=np.float32)


def fit_pose_share(
    camera_to_head: Float[np.ndarray, "frames 4 4"], expressions: Float[np.ndarray, "frames expression"]
) -> PoseShare:
    """The share of pose in the scores of the given frames, by ridge regression on `pose_features`."""
    features = pose_features(camera_to_head)
    spread = np.maximum(features.std(axis=0), 1e-6)
    centred = (features - features.mean(axis=0)) / spread
    normal = centred.T @ centred + RIDGE * len(features) * np.eye(FEATURES)
    slope = np.linalg.solve(normal, centred.T @ (expressions - expressions.mean(axis=0)))
    return PoseShare(slope / spread[:, None])


def pose_features(camera_to_head: Float[np.ndarray, "frames 4 4"]) -> Float[np.ndarray, "frames 5"]:
    """Yaw and pitch of the camera's place round the head (radians), their squares and product."""
    yaw, pitch = camera_angles(camera_to_head).T
    return np.stack([yaw, pitch, yaw**2, pitch**2, yaw * pitch], axis=1)


def camera_angles(camera_to_head: Float[np.ndarray, "frames 4 4"]) -> Float[np.ndarray, "frames 2"]:
    """Where the camera stands round the head, in radians: yaw to the head's left, pitch upwards."""
    place = np.asarray(camera_to_head, dtype=np.float64)[:, :3, 3]
    yaw = np.arctan2(place[:, 0], place[:, 2])
    return np.stack([yaw, np.arcsin(place[:, 1] / np.linalg.norm(place, axis=1))], axis=1)
