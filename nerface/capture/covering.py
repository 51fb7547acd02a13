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
# Shares of the compared landmarks. Over four filmed clips without anything before the face at most 0.06 change, 0.1 on
# the demo's drawn head; a cup or hand of another colour that covers a cheek or the mouth changes 0.12 to 0.5.
COVERED_SHARE, COVERED_EDGE = 0.12, 0.06
# A hand of the very colour of the face changes 0.05 to 0.15, and the landmarks scatter 2 to 3.5 times as much between
# crops as they usually do at this turn of the head (where nothing is before the face and 0.03 change: 1.5 at most).
HIDDEN_SHARE, HIDDEN_SPREAD, HIDDEN_SPREAD_EDGE = 0.03, 1.8, 1.4
POSE_FRAMES = 60  # with fewer frames what is usual does not depend on the turn of the head
COLOUR_FLOOR, SCATTER_FLOOR = 2.0, 0.1  # differences that the robust fit takes for chance: Lab units; of the median
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
    scatter = unusual_scatter(spread, landmarks, share)
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
    usual = _usual(values, angles, np.ones(len(values), bool), COLOUR_FLOOR)
    off = values - usual
    off -= np.median(off, axis=1, keepdims=True)  # exposure and white balance of the frame
    off[..., 0] *= LIGHTNESS_WEIGHT
    length = np.linalg.norm(off, axis=-1)
    limit = np.maximum(SCALE_TIMES * np.median(length, axis=0), SCALE_FLOOR)
    changed = (length > limit) & facing
    return np.asarray(changed.sum(axis=1) / np.maximum(facing.sum(axis=1), 1))


def unusual_scatter(
    spread: Float[np.ndarray, " frames"],
    landmarks: Float[np.ndarray, "frames 478 3"],
    share: Float[np.ndarray, " frames"],
) -> Float[np.ndarray, " frames"]:
    """How many times as much as usual the landmarks of each frame scatter between crops.

    Usual is what the clip's frames of the same turn do: landmarks of a head's far half are guessed, and scatter twice
    as much there with nothing before the face. Frames whose changed `share` of colours speaks of a cover do not tell
    what is usual (their turn is a guess as well), and no frame is held to less than the middle one does.
    """
    clear = share <= COVERED_EDGE
    if not clear.any():
        return np.ones(len(spread))
    relative = spread / max(float(np.median(spread[clear])), 1e-9)
    usual = _usual(relative[:, None, None], _views(landmarks)[1], clear, SCATTER_FLOOR)[:, 0, 0]
    return np.asarray(relative / np.maximum(usual, 1.0))


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
    values: Float[np.ndarray, "frames points channels"],
    angles: Float[np.ndarray, "frames 2"],
    clear: Bool[np.ndarray, " frames"],
    floor: float,
) -> Float[np.ndarray, "frames points channels"]:
    """What each place has in the clear frames (its colour, say): a robust quadratic function of the head's turn."""
    middle = np.median(values[clear], axis=0)
    if clear.sum() < POSE_FRAMES:
        return np.broadcast_to(middle, values.shape)
    yaw, pitch = angles.T
    design = np.stack([np.ones_like(yaw), yaw, pitch, yaw**2, pitch**2, yaw * pitch], axis=1)
    weights = np.broadcast_to(clear[:, None].astype(np.float64), values.shape[:2])
    ridge = 1e-3 * len(values) * np.diag([0, 1, 1, 1, 1, 1])
    for _ in range(ROUNDS):
        usual = np.empty_like(values)
        for point in range(values.shape[1]):
            weighted = design * weights[:, point, None]
            moment = weighted.T @ (values[:, point] - middle[point])
            usual[:, point] = middle[point] + design @ np.linalg.solve(weighted.T @ design + ridge, moment)
        length = np.linalg.norm(values - usual, axis=-1)
        # Cauchy weights, as in `bundle`: what differs much counts little.
        scale = np.maximum(2 * np.median(length[clear], axis=0), floor)
        weights = clear[:, None] / (1 + (length / scale) ** 2)
    return usual
