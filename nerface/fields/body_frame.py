"""Where the body stands: nearly still before the camera, while the head turns on it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerface.fields.base import Subject
from nerface.fields.pose_correction import rigid_motions

# Units in which head and body motion are compared: usual turns in radians, usual shifts in head units.
USUAL_TURN, USUAL_SHIFT = 0.1, 0.02


class BodyFrame(nn.Module):
    """The body's motion as a learned linear answer to the head's: shoulders sway with it, by a fraction.

    Points of the body are given in head space at the subject's rest pose. A training frame may add a small twist of its
    own, which new frames have none of.
    """

    rest: Tensor
    units: Tensor

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        rest = torch.tensor(subject.rest_pose, dtype=torch.float32)
        self.register_buffer("rest", torch.linalg.inv(rest.double()).float(), persistent=False)  # head to camera
        self.register_buffer("units", torch.tensor([USUAL_TURN] * 3 + [USUAL_SHIFT] * 3), persistent=False)
        self.answer = nn.Parameter(torch.zeros(6, 6))

    def head_motion(self, camera_to_head: Float[Tensor, "frames 4 4"]) -> Float[Tensor, "frames 6"]:
        """How the head has turned (sine of the angle times the axis) and moved since the rest pose, seen by the camera,
        in usual turns and shifts."""
        pose = torch.linalg.inv(camera_to_head)
        turn = pose[:, :3, :3] @ self.rest[:3, :3].T
        shift = pose[:, :3, 3] - self.rest[:3, 3]
        return torch.cat([_axis(turn), shift], dim=-1) / self.units

    def in_head(
        self, camera_to_head: Float[Tensor, "frames 4 4"], extra: Float[Tensor, "frames 6"] | None = None
    ) -> Float[Tensor, "frames 4 4"]:
        """The motion that takes the body's points to where they are in head space, before cameras that stand still.

        `extra` twists (radians, head units; seen by the camera, about the head's resting place) come on top.
        """
        twist = self.head_motion(camera_to_head) @ self.answer.T * self.units
        if extra is not None:
            twist = twist + extra
        moved = rigid_motions(twist)
        pivot = self.rest[:3, 3]
        shift = moved[:, :3, 3] + pivot - moved[:, :3, :3] @ pivot
        moved = torch.cat([torch.cat([moved[:, :3, :3], shift[..., None]], dim=-1), moved[:, 3:]], dim=-2)
        return camera_to_head @ moved @ self.rest


def quaternions(rotations: Float[Tensor, "frames 3 3"]) -> Float[Tensor, "frames 4"]:
    """Unit quaternions (w, x, y, z) of rotations by clearly less than half a turn."""
    trace = rotations.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    w = (1 + trace).clamp(min=1e-3).sqrt() / 2
    return torch.nn.functional.normalize(torch.cat([w[:, None], _axis(rotations) / (2 * w[:, None])], dim=-1), dim=-1)


def _axis(rotations: Float[Tensor, "frames 3 3"]) -> Float[Tensor, "frames 3"]:
    """The axis of each rotation times the sine of its angle."""
    difference = rotations - rotations.transpose(-1, -2)
    return torch.stack([difference[:, 2, 1], difference[:, 0, 2], difference[:, 1, 0]], dim=-1) / 2
