"""Views to draw: those of a dataset, a path of the camera round the head, or any script of poses and expressions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from nerface.data.dataset import Split
from nerface.driving.conventions import Convention, convention_of
from nerface.driving.limits import body_poses
from nerface.driving.paths import ORBIT_PERIOD_FRAMES, head_turn, orbit_angles, turned
from nerface.driving.repose import PoseShare
from nerface.errors import UserError
from nerface.fields.base import Subject
from nerface.types import Camera, Intrinsics

__all__ = [
    "ORBIT_PERIOD_FRAMES",
    "Script",
    "View",
    "circled",
    "dataset_views",
    "head_turn",
    "orbit_views",
    "require_numbers",
    "rest_pose",
    "standing",
    "subject_convention",
]


@dataclass(frozen=True)
class View:
    """What one picture shows: where from, and with which expression [E] (in the avatar's own channels).

    `latent` [L] is the code of this picture (None: the one of the whole sequence); `viewed_from` a pose whose viewing
    directions the field is shown in place of the camera's, `body_from` one before which the body stands (for both see
    `nerface.types.Condition`).
    """

    camera: Camera
    expression: Float[torch.Tensor, " expression"]
    latent: Float[torch.Tensor, " latent"] | None = None
    viewed_from: Float[torch.Tensor, "4 4"] | None = None
    body_from: Float[torch.Tensor, "4 4"] | None = None


@dataclass(frozen=True)
class Script:
    """A sequence to draw, as arrays over its frames: poses, expressions, and the optional parts of `View`.

    Poses are in the avatar's convention, expressions in its channels.
    """

    camera_to_head: Float[np.ndarray, "frames 4 4"]
    expressions: Float[np.ndarray, "frames expression"]
    latents: Float[torch.Tensor, "frames latent"] | None = None
    viewed_from: Float[np.ndarray, "frames 4 4"] | None = None
    body_from: Float[np.ndarray, "frames 4 4"] | None = None

    def __len__(self) -> int:
        return len(self.expressions)

    def views(self, intrinsics: Intrinsics) -> list[View]:
        """The views, drawn with `intrinsics`."""
        poses, expressions = _tensor(self.camera_to_head), _tensor(self.expressions)
        seen_from = None if self.viewed_from is None else _tensor(self.viewed_from)
        body_from = None if self.body_from is None else _tensor(self.body_from)
        return [
            View(
                Camera(intrinsics, poses[index]),
                expressions[index],
                None if self.latents is None else self.latents[index],
                None if seen_from is None else seen_from[index],
                None if body_from is None else body_from[index],
            )
            for index in range(len(self))
        ]


def dataset_views(split: Split, intrinsics: Intrinsics) -> Iterator[View]:
    """The poses and expressions of a split, as they are."""
    yield from Script(split.camera_to_head, split.expressions).views(intrinsics)


def orbit_views(
    subject: Subject, expressions: Float[np.ndarray, "frames expression"], yaw_deg: float, pitch_deg: float
) -> Iterator[View]:
    """The camera on an ellipse round the head's origin, one turn every 100 frames, beginning at the rest pose.

    `yaw_deg` and `pitch_deg` are the largest angles to the sides and up and down; the frames' expressions are given.
    """
    angles = orbit_angles(len(expressions), yaw_deg, pitch_deg)
    poses = turned(rest_pose(subject), angles, subject_convention(subject))
    yield from standing(Script(poses, expressions), subject).views(subject.intrinsics)


def circled(subject: Subject, recorded: Split, share: PoseShare, yaw_deg: float, pitch_deg: float) -> Iterator[View]:
    """The expressions of `recorded`, freed of their own poses' share, from the camera path of `orbit_views`."""
    angles = orbit_angles(len(recorded), yaw_deg, pitch_deg)
    wanted = turned(rest_pose(subject), angles, subject_convention(subject))
    moved = share.moved(recorded.expressions, recorded.camera_to_head, wanted)
    yield from standing(Script(wanted, moved), subject).views(subject.intrinsics)


def standing(script: Script, subject: Subject) -> Script:
    """The script with the body turning along where the head is seen from farther than a neck turns (`body_poses`)."""
    bodies = body_poses(script.camera_to_head, rest_pose(subject), subject.seen_angles)
    return replace(script, body_from=bodies)


def require_numbers(expressions: Float[np.ndarray, "frames expression"], names: Sequence[str]) -> None:
    """Raise `UserError` where an expression holds NaN or infinity: a field would draw nothing, or noise."""
    wrong = np.argwhere(~np.isfinite(expressions))
    if len(wrong):
        frame, channel = wrong[0].tolist()
        value = expressions[frame, channel]
        raise UserError(f"expression channel {names[channel]} is {value} in frame {frame}: give a number")


def rest_pose(subject: Subject) -> Float[np.ndarray, "4 4"]:
    """The subject's rest pose as an array."""
    return np.array(subject.rest_pose, dtype=np.float32)


def subject_convention(subject: Subject) -> Convention:
    """Along which axes the avatar's poses are counted."""
    return convention_of(subject.intrinsics, rest_pose(subject))


def _tensor(values: Float[np.ndarray, "*shape"]) -> Float[torch.Tensor, "*shape"]:
    return torch.from_numpy(np.array(values, dtype=np.float32))
