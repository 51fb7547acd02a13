"""From where training saw the head, and cameras that stay there: beyond it a field shows what nobody taught it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from nerface.driving.paths import head_turn
from nerface.driving.repose import camera_angles

# How far a neck turns the head on a body that stays, less than it can (some 80 degrees aside, 60 up and down). Within
# it a still body looks right in pictures, while a turning one shows where the edge of the video cut it off; farther on
# the collar of a still one tears.
NECK_DEG = 45.0
Limits = tuple[float, float, float, float]  # least and greatest yaw, least and greatest pitch, in degrees


def seen_angles(camera_to_head: Float[np.ndarray, "frames 4 4"]) -> Limits:
    """The range of yaw and pitch at which these cameras stand round the head, in degrees."""
    angles = np.degrees(camera_angles(camera_to_head))
    (yaw_least, pitch_least), (yaw_most, pitch_most) = angles.min(axis=0).tolist(), angles.max(axis=0).tolist()
    return yaw_least, yaw_most, pitch_least, pitch_most


def beyond(camera_to_head: Float[np.ndarray, "frames 4 4"], limits: Limits) -> Float[np.ndarray, "frames 2"]:
    """By how many degrees of yaw and pitch each camera stands outside `limits` (signed; 0 inside)."""
    angles = np.degrees(camera_angles(camera_to_head))
    return np.asarray(angles - _clipped(angles, limits))


def kept_within(camera_to_head: Float[np.ndarray, "frames 4 4"], limits: Limits) -> Float[np.ndarray, "frames 4 4"]:
    """The cameras moved round the head's origin to the nearest yaw and pitch within `limits`; others as they are."""
    angles = np.degrees(camera_angles(camera_to_head))
    wanted = _clipped(angles, limits)
    moved = np.array(camera_to_head, dtype=np.float32)
    for index in np.flatnonzero((angles != wanted).any(axis=1)):
        back = head_turn(*angles[index].tolist()).T.numpy()  # a rotation: its transpose undoes it
        moved[index] = head_turn(*wanted[index].tolist()).numpy() @ back @ moved[index]
    return moved


def body_poses(
    camera_to_head: Float[np.ndarray, "frames 4 4"], rest_pose: Float[np.ndarray, "4 4"], limits: Limits
) -> Float[np.ndarray, "frames 4 4"]:
    """The cameras before which the body stands while the head is seen from these (`Condition.body_from`).

    As far as a neck turns from the rest pose, or training saw the head turned (`limits`), the body stands still before
    the camera: those cameras are given back as they are. Beyond, the person turns as a whole.
    """
    yaw, pitch = np.degrees(camera_angles(rest_pose[None]))[0].tolist()
    yaw_least, yaw_most, pitch_least, pitch_most = limits
    reach = (
        min(yaw_least, yaw - NECK_DEG),
        max(yaw_most, yaw + NECK_DEG),
        min(pitch_least, pitch - NECK_DEG),
        max(pitch_most, pitch + NECK_DEG),
    )
    return kept_within(camera_to_head, reach)


def _clipped(angles: Float[np.ndarray, "frames 2"], limits: Limits) -> Float[np.ndarray, "frames 2"]:
    yaw_least, yaw_most, pitch_least, pitch_most = limits
    return np.clip(angles, [yaw_least, pitch_least], [yaw_most, pitch_most])
