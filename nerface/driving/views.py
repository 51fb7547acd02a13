"""Views to draw: those of a dataset, and a path of the camera round the head."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from nerface.data.dataset import Split
from nerface.driving.repose import PoseShare
from nerface.errors import UserError
from nerface.fields.base import Subject
from nerface.types import Camera, Intrinsics

ORBIT_PERIOD_FRAMES = 100


@dataclass(frozen=True)
class View:
    """What one picture shows: where from, and with which expression [E] (in the avatar's own channels)."""

    camera: Camera
    expression: Float[torch.Tensor, " expression"]


def dataset_views(split: Split, intrinsics: Intrinsics) -> Iterator[View]:
    """The poses and expressions of a split, as they are."""
    for pose, expression in zip(split.camera_to_head, split.expressions):
        yield View(Camera(intrinsics, torch.from_numpy(pose.copy())), torch.from_numpy(expression.copy()))


def orbit_views(
    subject: Subject, expressions: Float[np.ndarray, "frames expression"], yaw_deg: float, pitch_deg: float
) -> Iterator[View]:
    """The camera on an ellipse round the head's origin, one turn every 100 frames, beginning at the rest pose.

    `yaw_deg` and `pitch_deg` are the largest angles to the sides and up and down; the frames' expressions are given.
    """
    rest = torch.tensor(subject.rest_pose, dtype=torch.float32)
    for index, expression in enumerate(expressions):
        # Out from the rest pose within the first quarter turn, so that the sequence does not begin with a jump.
        size = min(1.0, index / (0.25 * ORBIT_PERIOD_FRAMES))
        phase = 2 * math.pi * index / ORBIT_PERIOD_FRAMES
        turn = head_turn(size * yaw_deg * math.sin(phase), size * pitch_deg * math.cos(phase))
        yield View(Camera(subject.intrinsics, turn @ rest), torch.from_numpy(np.asarray(expression, dtype=np.float32)))


def circled(
    subject: Subject, recorded: Split, share: PoseShare, yaw_deg: float, pitch_deg: float
) -> Iterator[View]:
    """The expressions of `recorded`, freed of their own poses' share, from the camera path of `orbit_views`."""
    path = list(orbit_views(subject, recorded.expressions, yaw_deg, pitch_deg))
    wanted = np.stack([view.camera.camera_to_head.numpy() for view in path])
    for view, expression in zip(path, share.moved(recorded.expressions, recorded.camera_to_head, wanted)):
        yield View(view.camera, torch.from_numpy(expression))


def head_turn(yaw_deg: float, pitch_deg: float) -> Float[torch.Tensor, "4 4"]:
    """A rotation of the camera about the head's origin: `yaw_deg` to the head's left side, then `pitch_deg` up."""
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    about_y = torch.eye(4)
    about_y[0, 0] = about_y[2, 2] = math.cos(yaw)
    about_y[0, 2], about_y[2, 0] = math.sin(yaw), -math.sin(yaw)
    about_x = torch.eye(4)
    about_x[1, 1] = about_x[2, 2] = math.cos(pitch)
    about_x[1, 2], about_x[2, 1] = math.sin(pitch), -math.sin(pitch)
    return about_y @ about_x


def require_same_channels(subject: Subject, names: tuple[str, ...], where: str) -> None:
    """Raise `UserError` where a driving dataset's channels are not the avatar's."""
    if tuple(names) != tuple(subject.expression_names):
        missing = [name for name in subject.expression_names if name not in names]
        raise UserError(
            f"{where} has other expression channels than the avatar"
            + (f" (it lacks {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''})" if missing else "")
            + ": drive it with a dataset of the same capture"
        )
