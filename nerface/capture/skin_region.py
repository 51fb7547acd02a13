"""Where in the picture spots are followed: face, forehead, temples, ears and scalp; not eyes, lips, chin or neck."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

# Landmarks of the mesh: beside the ears (subject's right, left), top of the forehead, chin.
_RIGHT, _LEFT, _TOP, _CHIN = 234, 454, 10, 152
_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
_EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
# Mouth and chin: below the nose, along the cheeks to the jaw, and along the jaw's edge.
_MOUTH = (
    2, 98, 206, 216, 212, 135, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 364, 432, 436, 426, 327,
)  # fmt: skip

# A skull in widths of the face (15.3 cm on the canonical mesh): centre relative to the middle between the ears along
# the head's axes (right, up, forwards), and half axes. Heads are about
# 15.5 cm broad and 19.5 cm long without hair.
_SKULL_CENTRE = np.array([0.0, 0.17, -0.14])
_SKULL_AXES = np.array([0.53, 0.67, 0.65])
_SKULL_FACING = 0.3  # cosine to the view below which the skull's edge begins, where spots slide along the outline
_SKULL_LOWEST = -0.15  # up from the ears: below lies the neck
# An ear (the subject's left; the other mirrors it), in the same units from the same middle.
_EAR = np.array(
    [[0.50, 0.14, -0.05], [0.56, 0.14, -0.10], [0.57, 0.0, -0.08], [0.53, -0.16, -0.04], [0.48, -0.16, 0.0]]
)
_EAR_FACING = -0.15  # an ear turned further away from the view is hidden
_EYE_MARGIN, _EDGE_MARGIN = 0.03, 0.02  # widths of the face


@dataclass(frozen=True)
class HeadFrame:
    """The head in picture px: `middle` (u, v) of its visible part, `width` between the ears' landmarks.

    `origin` [3] lies between the ears; `axes` [3, 3] holds the unit vectors right, up and forwards (out of the face) as
    rows; px along u, v and depth (growing away from the camera).
    """

    middle: Float[np.ndarray, " 2"]
    origin: Float[np.ndarray, " 3"]
    axes: Float[np.ndarray, "3 3"]
    width: float


def head_frame(landmarks: Float[np.ndarray, "478 3"]) -> HeadFrame:
    """The head's frame from landmarks in px (with the net's own depth)."""
    across = landmarks[_LEFT] - landmarks[_RIGHT]
    width = float(np.linalg.norm(across))
    right = across / max(width, 1e-6)
    up = landmarks[_TOP] - landmarks[_CHIN]
    up = up - (up @ right) * right
    up = up / max(float(np.linalg.norm(up)), 1e-6)
    forwards = np.cross(right, up)
    if forwards @ (landmarks[1] - (landmarks[_LEFT] + landmarks[_RIGHT]) / 2) < 0:
        forwards = -forwards
    origin = (landmarks[_LEFT] + landmarks[_RIGHT]) / 2
    axes = np.stack([right, up, forwards])
    middle = origin[:2] + width * (np.array([0.0, 0.15, 0.15]) @ axes)[:2]
    return HeadFrame(middle, origin, axes, width)


def region_mask(
    head: HeadFrame,
    landmarks: Float[np.ndarray, "478 3"],
    inward: Callable[[np.ndarray], np.ndarray],
    side: int,
) -> UInt8[np.ndarray, "side side"]:
    """255 where spots are followed, in a square of `side` px that `inward` takes frame px into."""
    mask = np.zeros((side, side), np.uint8)

    def polygon(places: np.ndarray) -> np.ndarray:
        return np.rint(inward(places)).astype(np.int32)

    unit = float(np.linalg.norm(inward(np.array([[head.width, 0.0]])) - inward(np.zeros((1, 2)))))
    outline = np.concatenate([landmarks[list(_OVAL), :2], _skull(head)])
    cv2.fillConvexPoly(mask, cv2.convexHull(polygon(outline)), 255)
    for side_sign in (-1.0, 1.0):
        if -side_sign * head.axes[0, 2] > _EAR_FACING:
            ear = head.origin + head.width * (_EAR * [side_sign, 1.0, 1.0]) @ head.axes
            cv2.fillConvexPoly(mask, cv2.convexHull(polygon(np.concatenate([ear, head.origin[None]])[:, :2])), 255)
    edge = max(1, round(_EDGE_MARGIN * unit))
    mask = np.asarray(cv2.erode(mask, np.ones((2 * edge + 1, 2 * edge + 1), np.uint8)), np.uint8)
    line = 2 * max(1, round(_EYE_MARGIN * unit))
    for eye in _EYES:
        hull = cv2.convexHull(polygon(landmarks[list(eye), :2]))
        cv2.fillConvexPoly(mask, hull, 0)
        cv2.polylines(mask, [hull], True, 0, line)
    mouth = polygon(landmarks[list(_MOUTH), :2])
    cv2.fillPoly(mask, [mouth], 0)
    cv2.polylines(mask, [mouth], True, 0, 2 * edge + 1)
    return mask


def _skull(head: HeadFrame) -> Float[np.ndarray, "points 2"]:
    """Points of the skull's visible part above the neck, px."""
    count = 300
    index = np.arange(count) + 0.5
    up = 1 - 2 * index / count
    turn = index * np.pi * (1 + 5**0.5)
    ball = np.stack([np.cos(turn) * np.sqrt(1 - up**2), up, np.sin(turn) * np.sqrt(1 - up**2)], axis=1)
    local = _SKULL_CENTRE + _SKULL_AXES * ball
    normal = (ball / _SKULL_AXES) @ head.axes
    facing = -normal[:, 2] / np.linalg.norm(normal, axis=1)
    shown = (facing > _SKULL_FACING) & (local[:, 1] > _SKULL_LOWEST)
    return np.asarray((head.origin + head.width * local[shown] @ head.axes)[:, :2])
