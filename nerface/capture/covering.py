"""Frames in which something is before the face: a hand, a cup, another head.

The landmark network guesses what it cannot see, and stays sure of itself (presence 1.000 with half of the face hidden),
so hidden skin is told by its colour: at landmarks that face the camera the colour of a frame is compared with what the
clip shows there at this turn of the head. Only what comes and goes is seen; a microphone that stays is not.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerface.capture.landmarker import Region
from nerface.capture.skin_region import head_frame

POINTS = np.arange(0, 468, 3)  # landmarks whose colours are kept
COARSE_PX = 64  # side of the patch that colours are taken from
FACING = 0.25  # cosine to the view: landmarks turned farther away are not compared
LIGHTNESS_WEIGHT = 0.6  # of Lab: shadows wander more than colours
SCALE_TIMES, SCALE_FLOOR = 5.0, 14.0  # a changed place: so many times what it usually differs by, and Lab units
# Shares of the compared landmarks. Over four clips without anything before the face at most 0.06 change; a cup or hand
# of another colour that covers a cheek or the mouth changes 0.12 to 0.5.
COVERED_SHARE, COVERED_EDGE = 0.12, 0.06
# A hand of the very colour of the face changes 0.05 to 0.15, and the landmarks scatter 2 to 3.5 times as much between
# crops as they do in the middle frame (1.7 times at most where nothing is before the face).
HIDDEN_SHARE, HIDDEN_SPREAD, HIDDEN_SPREAD_EDGE = 0.03, 1.8, 1.4
POSE_FRAMES = 60  # with fewer frames the usual colour does not depend on the turn of the head
ROUNDS = 3  # of the robust fit


def face_colours(
    patch: UInt8[np.ndarray, "256 256 3"], landmarks: Float[np.ndarray, "478 3"], region: Region
) -> UInt8[np.ndarray, "points 3"]:
    """Lab colours (8 bit each, as OpenCV scales them) of the face at `POINTS`, from the region's patch."""
    lab = cv2.cvtColor(cv2.resize(patch, (COARSE_PX, COARSE_PX), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
    cosine, sine = math.cos(region.angle), math.sin(region.angle)
    right, down = (landmarks[POINTS, :2] - (region.x, region.y)).T / region.size
    across = (cosine * right + sine * down + 0.5) * COARSE_PX - 0.5
    along = (cosine * down - sine * right + 0.5) * COARSE_PX - 0.5
    places = (across.astype(np.float32)[:, None], along.astype(np.float32)[:, None])
    return np.asarray(cv2.remap(lab, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0])


def covered_frames(
    colours: UInt8[np.ndarray, "frames points 3"],
    landmarks: Float[np.ndarray, "frames 478 3"],
    spread: Float[np.ndarray, " frames"],
) -> Bool[np.ndarray, " frames"]:
    """Which of these frames of one face (all found) show it partly covered.

    `spread` [N]: how much the landmarks of a frame scatter between crops, over the size of the face.
    """
    share = covered_share(colours, landmarks)
    scatter = spread / max(float(np.median(spread)), 1e-9) if len(spread) else spread
    covered = (share > COVERED_SHARE) | ((share > HIDDEN_SHARE) & (scatter > HIDDEN_SPREAD))
    # What comes in from the side is before the face a little earlier and later than it is seen to cover much of it.
    edge = (share > COVERED_EDGE) | ((share > HIDDEN_SHARE) & (scatter > HIDDEN_SPREAD_EDGE))
    for index in range(1, len(share)):
        covered[index] |= covered[index - 1] and edge[index]
    for index in range(len(share) - 2, -1, -1):
        covered[index] |= covered[index + 1] and edge[index]
    return np.asarray(covered)


def covered_share(
    colours: UInt8[np.ndarray, "frames points 3"], landmarks: Float[np.ndarray, "frames 478 3"]
) -> Float[np.ndarray, " frames"]:
    """Share of the landmarks facing the camera whose colour is not what it usually is."""
    if not len(colours):
        return np.zeros(0)
    facing, angles = _views(landmarks)
    values = colours.astype(np.float64)
    usual = _usual(values, angles)
    off = values - usual
    off -= np.median(off, axis=1, keepdims=True)  # exposure and white balance of the frame
    off[..., 0] *= LIGHTNESS_WEIGHT
    length = np.linalg.norm(off, axis=-1)
    limit = np.maximum(SCALE_TIMES * np.median(length, axis=0), SCALE_FLOOR)
    changed = (length > limit) & facing
    return np.asarray(changed.sum(axis=1) / np.maximum(facing.sum(axis=1), 1))


def head_turn(landmarks: Float[np.ndarray, "478 3"]) -> tuple[float, float]:
    """Yaw and pitch of a face in radians, from its landmarks' own depth; 0 looks into the camera."""
    right, down, away = head_frame(landmarks.astype(np.float64)).axes[2]
    return math.atan2(right, -away), math.asin(float(np.clip(down, -1.0, 1.0)))


def _views(
    landmarks: Float[np.ndarray, "frames 478 3"],
) -> tuple[Bool[np.ndarray, "frames points"], Float[np.ndarray, "frames 2"]]:
    """Which of `POINTS` face the camera (taken as bulging from between the ears), and the turn of the head."""
    facing = np.zeros((len(landmarks), len(POINTS)), bool)
    angles = np.zeros((len(landmarks), 2))
    for row, points in enumerate(landmarks.astype(np.float64)):
        outwards = points[POINTS] - head_frame(points).origin
        facing[row] = -outwards[:, 2] > FACING * np.linalg.norm(outwards, axis=1)
        angles[row] = head_turn(points)
    return facing, angles


def _usual(
    values: Float[np.ndarray, "frames points 3"], angles: Float[np.ndarray, "frames 2"]
) -> Float[np.ndarray, "frames points 3"]:
    """The colour that each place has in the clip: a robust quadratic function of the turn of the head."""
    if len(values) < POSE_FRAMES:
        return np.broadcast_to(np.median(values, axis=0), values.shape)
    yaw, pitch = angles.T
    design = np.stack([np.ones_like(yaw), yaw, pitch, yaw**2, pitch**2, yaw * pitch], axis=1)
    flat = values.reshape(len(values), -1)
    middle = np.median(flat, axis=0)
    weights = np.ones((len(values), values.shape[1]))
    ridge = 1e-3 * len(values) * np.diag([0, 1, 1, 1, 1, 1])
    for _ in range(ROUNDS):
        usual = np.empty_like(values)
        for point in range(values.shape[1]):
            weighted = design * weights[:, point, None]
            columns = slice(3 * point, 3 * point + 3)
            moment = weighted.T @ (flat[:, columns] - middle[columns])
            usual[:, point] = middle[columns] + design @ np.linalg.solve(weighted.T @ design + ridge, moment)
        length = np.linalg.norm(values - usual, axis=-1)
        # Cauchy weights, as in `bundle`: what differs much counts little.
        weights = 1 / (1 + (length / np.maximum(2 * np.median(length, axis=0), 2.0)) ** 2)
    return usual
