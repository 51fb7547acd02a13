"""Geometry of the bundle adjustment: small rotations, projection with its derivatives, first poses, face regions.

Units are cm and pixels. A pose is (R, t) with camera point = R x + t, in the OpenGL camera of `nerface.types` (x right,
y up, looking along -z); pixel = (u0 + f X / d, v0 - f Y / d) with depth d = -Z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# Rotation about the middle between the ears swings the face the least; the canonical mesh has its origin some cm in
# front of it (its ears' level lies at z = -2.4, the ear canals a little further back).
HEAD_ORIGIN_CM = np.array([0.0, 0.0, -3.5])
# Landmarks of the outer corners of the two eyes: their distance is the unit of pixel error.
OUTER_EYE_CORNERS = (33, 263)


@dataclass(frozen=True)
class Poses:
    """Poses of N frames: `rotation` [N, 3, 3] and `translation` [N, 3] (cm), head to camera.

    `level` [N] px is where the landmark net's own depth has its zero in each frame (it is arbitrary).
    """

    rotation: Float[np.ndarray, "frames 3 3"]
    translation: Float[np.ndarray, "frames 3"]
    level: Float[np.ndarray, " frames"]

    def __len__(self) -> int:
        return int(self.rotation.shape[0])

    def take(self, index: np.ndarray | slice) -> Poses:
        """The poses of some frames."""
        return Poses(self.rotation[index], self.translation[index], self.level[index])

    def moved(self, step: Float[np.ndarray, "frames 7"]) -> Poses:
        """Poses after `step`: a rotation vector in camera axes (radians), x and y (cm), log depth, and level (px)."""
        translation = self.translation.copy()
        translation[:, :2] += step[:, 3:5]
        translation[:, 2] *= np.exp(np.clip(step[:, 5], -0.5, 0.5))
        return Poses(rotation_exp(step[:, :3]) @ self.rotation, translation, self.level + step[:, 6])


POSE_PARAMETERS = 7


@dataclass(frozen=True)
class Linearised:
    """What the landmark net should say (column, row, depth: px) and the derivatives of it.

    `predicted` [N, V, 3]; `by_pose` [N, V, 3, 7] in the order of `Poses.moved`; `by_point` [N, V, 3, 3], by a change
    of the head-space point (cm); `by_log_focal` [N, V, 3]; `scale` [N], px of depth in a cm.
    """

    predicted: Float[np.ndarray, "frames points 3"]
    by_pose: Float[np.ndarray, "frames points 3 7"]
    by_point: Float[np.ndarray, "frames points 3 3"]
    by_log_focal: Float[np.ndarray, "frames points 3"]
    scale: Float[np.ndarray, " frames"]


def rotation_exp(vectors: Float[np.ndarray, "frames 3"]) -> Float[np.ndarray, "frames 3 3"]:
    """Rotation matrices of rotation vectors (Rodrigues' formula)."""
    angle = np.linalg.norm(vectors, axis=-1)[:, None, None]
    cross = cross_matrix(vectors)
    safe = np.maximum(angle, 1e-8)
    return np.eye(3) + np.sin(safe) / safe * cross + (1 - np.cos(safe)) / safe**2 * (cross @ cross)


def rotation_log(rotations: Float[np.ndarray, "frames 3 3"]) -> Float[np.ndarray, "frames 3"]:
    """Rotation vectors of rotations by less than half a turn."""
    axis = np.stack(
        [
            rotations[:, 2, 1] - rotations[:, 1, 2],
            rotations[:, 0, 2] - rotations[:, 2, 0],
            rotations[:, 1, 0] - rotations[:, 0, 1],
        ],
        axis=-1,
    )
    sine = np.linalg.norm(axis, axis=-1) / 2
    angle = np.arctan2(sine, (np.trace(rotations, axis1=1, axis2=2) - 1) / 2)
    return axis * (np.where(sine > 1e-8, angle / np.maximum(2 * sine, 1e-12), 0.5))[:, None]


def cross_matrix(vectors: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3 3"]:
    """Matrices [v]x with [v]x w = v x w."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*vectors.shape[:-1], 3, 3)


def predict(
    points: Float[np.ndarray, "frames points 3"], poses: Poses, focal: float, centre: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "frames points 3"]:
    """Column, row and depth (px) as the landmark net gives them: perspective in the picture, orthographic in depth."""
    turned = points @ poses.rotation.transpose(0, 2, 1)
    depth = np.maximum(-(turned[..., 2] + poses.translation[:, None, 2]), 1.0)
    scale = focal / -poses.translation[:, 2]
    return np.stack(
        [
            centre[0] + focal * (turned[..., 0] + poses.translation[:, None, 0]) / depth,
            centre[1] - focal * (turned[..., 1] + poses.translation[:, None, 1]) / depth,
            poses.level[:, None] - turned[..., 2] * scale[:, None],
        ],
        axis=-1,
    )


def linearise(
    points: Float[np.ndarray, "frames points 3"], poses: Poses, focal: float, centre: Float[np.ndarray, " 2"]
) -> Linearised:
    """`predict` and its derivatives by pose, point and focal length."""
    turned = points @ poses.rotation.transpose(0, 2, 1)
    predicted = predict(points, poses, focal, centre)
    depth = np.maximum(-(turned[..., 2] + poses.translation[:, None, 2]), 1.0)  # [N, V]; 1 cm survives wild first steps
    scale = focal / -poses.translation[:, 2]
    relative = (
        predicted - np.concatenate([np.broadcast_to(centre, (len(poses), 2)), poses.level[:, None]], axis=1)[:, None]
    )
    by_camera = np.zeros((*depth.shape, 3, 3))  # by the camera-space point
    by_camera[..., 0, 0] = focal / depth
    by_camera[..., 1, 1] = -focal / depth
    by_camera[..., :2, 2] = relative[..., :2] / depth[..., None]
    by_camera[..., 2, 2] = -scale[:, None]
    by_pose = np.zeros((*depth.shape, 3, POSE_PARAMETERS))
    # d(exp(w) R x) = w x (R x) = -[R x]x w
    by_pose[..., :3] = -by_camera @ cross_matrix(turned)
    by_pose[..., :2, 3:5] = by_camera[..., :2, :2]
    by_pose[..., :2, 5] = by_camera[..., :2, 2] * poses.translation[:, None, None, 2]
    by_pose[..., 2, 5] = -relative[..., 2]
    by_pose[..., 2, 6] = 1.0
    return Linearised(predicted, by_pose, by_camera @ poses.rotation[:, None], relative, scale)


def first_poses(
    landmarks: Float[np.ndarray, "frames 468 2"],
    vertices: Float[np.ndarray, "468 3"],
    weights: Float[np.ndarray, " 468"],
    focal: float,
    centre: Float[np.ndarray, " 2"],
) -> Poses:
    """Poses by scaled orthography: a weighted linear fit of the rigid face, its rows made orthogonal.

    Good to some degrees for any view in which the face is seen from the front, and has no false minimum.
    """
    root = np.sqrt(weights)[:, None]
    design = np.concatenate([vertices, np.ones((len(vertices), 1))], axis=1) * root
    target = (landmarks - centre).transpose(1, 0, 2).reshape(len(vertices), -1) * root
    fit = np.linalg.lstsq(design, target, rcond=None)[0].reshape(4, -1, 2).transpose(1, 2, 0)  # [N, 2, 4]
    fit[:, 1] *= -1  # rows grow downwards
    left, scale, right = np.linalg.svd(fit[:, :, :3], full_matrices=False)
    rows = left @ right
    rotation = np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)
    depth = focal / scale.mean(axis=1)
    translation = np.concatenate([fit[:, :, 3] * (depth / focal)[:, None], -depth[:, None]], axis=1)
    return Poses(rotation, translation, np.zeros(len(rotation)))


def mobility(vertices: Float[np.ndarray, "468 3"]) -> Float[np.ndarray, " 468"]:
    """How far (cm) expressions may be expected to move each vertex of the canonical face, relative to the skull.

    Made of bumps at the mouth, eyelids, brows and cheeks and a ramp over the jaw: a prior on the size of the expression
    basis and on which landmarks to trust for the pose, not a model of any expression.
    """

    def bump(x: float, y: float, z: float, radius: float) -> np.ndarray:
        sides = [np.array([x, y, z]), np.array([-x, y, z])]
        squared = np.min([np.sum((vertices - side) ** 2, axis=1) for side in sides], axis=0)
        return np.exp(-squared / (2 * radius**2))

    ramp = np.clip((-1.5 - vertices[:, 1]) / 4.0, 0, 1) * np.clip((vertices[:, 2] + 3.5) / 4.0, 0, 1)
    parts = [
        np.full(len(vertices), 0.04),
        1.0 * bump(0.8, -4.4, 5.3, 1.8),
        0.8 * ramp,
        0.45 * bump(3.2, 2.6, 3.7, 0.9),
        0.40 * bump(2.8, 4.9, 4.9, 1.3),
        0.25 * bump(3.9, -1.0, 4.2, 1.6),
    ]
    return np.asarray(np.max(parts, axis=0))
