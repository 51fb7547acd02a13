"""Camera paths round the head: angles over frames, and the poses that they make of a camera.

Angles are yaw to the head's left (the right of the picture) and pitch upwards, in degrees, counted from the camera that
is turned; the distance to the head's origin does not change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from nerface.driving.conventions import Convention

ORBIT_PERIOD_FRAMES = 100
SWEEP_FRAMES = 120  # the seed's number (spec 6.6)


def orbit_angles(frames: int, yaw_deg: float, pitch_deg: float) -> Float[np.ndarray, "frames 2"]:
    """An ellipse with the largest angles `yaw_deg` and `pitch_deg`, one turn every 100 frames, beginning at 0, 0."""
    index = np.arange(frames)
    # Out from the rest pose within the first quarter turn, so that the sequence does not begin with a jump.
    size = np.minimum(1.0, index / (0.25 * ORBIT_PERIOD_FRAMES))
    phase = 2 * math.pi * index / ORBIT_PERIOD_FRAMES
    return np.stack([size * yaw_deg * np.sin(phase), size * pitch_deg * np.cos(phase)], axis=-1)


def sweep_angles(frames: int, yaw_deg: float, pitch_deg: float) -> Float[np.ndarray, "frames 2"]:
    """To +yaw, -yaw and back, then to +pitch, -pitch and back (spec 6.6: first x, then y), spread over all frames."""
    shares = np.array([0, 1, 3, 4, 5, 7, 8]) / 8
    angles = np.zeros((len(shares), 2))
    angles[[1, 2], 0] = yaw_deg, -yaw_deg
    angles[[4, 5], 1] = pitch_deg, -pitch_deg
    return eased(np.rint(shares * max(0, frames - 1)).astype(int).tolist(), angles, frames)


def eased(
    keys: Sequence[int], values: Float[np.ndarray, "keys channels"], frames: int
) -> Float[np.ndarray, "frames channels"]:
    """Key values at the frames `keys` (ascending), between them a half wave of the cosine, beyond them as they are."""
    places, first = np.unique(keys, return_index=True)  # where keys fall together the first stands
    values = values[first]
    where = np.interp(np.arange(frames), places, np.arange(len(places)))
    before = np.floor(where).astype(int)
    share = (0.5 - 0.5 * np.cos(np.pi * (where - before)))[:, None]
    return values[before] * (1 - share) + values[np.minimum(before + 1, len(places) - 1)] * share


def there_and_back(frames: int, loops: int = 1) -> Float[np.ndarray, " frames"]:
    """From 0 to 1 and back, `loops` times, so that the last frame leads smoothly over to the first."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * loops * np.arange(frames) / frames))


def turned(
    camera_to_head: Float[np.ndarray, "4 4"], angles: Float[np.ndarray, "frames 2"], convention: Convention
) -> Float[np.ndarray, "frames 4 4"]:
    """A camera turned about the head's origin by yaw and pitch (degrees), in the convention of its pose."""
    side = -1.0 if convention.head_mirrored else 1.0
    turns = np.stack([head_turn(side * float(yaw), float(pitch)).numpy() for yaw, pitch in angles])
    return turns @ np.asarray(camera_to_head, dtype=np.float32)


def head_turn(yaw_deg: float, pitch_deg: float) -> Float[torch.Tensor, "4 4"]:
    """A rotation of the camera about the head's origin: `yaw_deg` to the head's left side, then `pitch_deg` up.

    Of a head space that is not mirrored.
    """
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    about_y = torch.eye(4)
    about_y[0, 0] = about_y[2, 2] = math.cos(yaw)
    about_y[0, 2], about_y[2, 0] = math.sin(yaw), -math.sin(yaw)
    about_x = torch.eye(4)
    about_x[1, 1] = about_x[2, 2] = math.cos(pitch)
    about_x[1, 2], about_x[2, 1] = math.sin(pitch), -math.sin(pitch)
    return about_y @ about_x
