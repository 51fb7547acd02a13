"""Where the body stands: nearly still before the camera, while the head turns on it."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerface.fields.base import Subject

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
        back = camera_to_head[:, :3, :3].mT  # of a rotation: its inverse
        turn = back @ self.rest[:3, :3].T
        place = -(back @ camera_to_head[:, :3, 3:])[..., 0]
        return torch.cat([_axis(turn), place - self.rest[:3, 3]], dim=-1) / self.units

    def in_head(
        self, camera_to_head: Float[Tensor, "frames 4 4"], extra: Float[Tensor, "frames 6"] | None = None
    ) -> tuple[Float[Tensor, "frames 3 3"], Float[Tensor, "frames 3"]]:
        """The rotation and the shift that take the body's points to where they are in head space, before cameras that
        stand still: x -> R x + t.

        `extra` twists (a Gibbs vector, which for small angles is the rotation vector in radians, and a shift in head
        units; seen by the camera, about the head's resting place) come on top.
        """
        twist = self.head_motion(camera_to_head) @ self.answer.T * self.units
        if extra is not None:
            twist = twist + extra
        half = twist[:, :3] / 2
        turned = rotations(torch.cat([torch.ones_like(half[:, :1]), half], dim=-1)) @ self.rest[:3, :3]
        place = self.rest[:3, 3] + twist[:, 3:]  # where the origin of the body's points is, before the camera
        rotation, centre = camera_to_head[:, :3, :3], camera_to_head[:, :3, 3]
        return rotation @ turned, (rotation @ place[..., None])[..., 0] + centre


def _axis_form() -> Tensor:
    """[9, 3]: entries of a matrix, row by row, to the half differences of those that face each other."""
    form = torch.zeros(9, 3)
    for axis, (below, above) in enumerate(((7, 5), (2, 6), (3, 1))):
        form[below, axis], form[above, axis] = 0.5, -0.5
    return form


def _rotation_form() -> Tensor:
    """[16, 9]: a rotation matrix is quadratic in its unit quaternion; this maps the products q_a q_b to its entries."""
    form = torch.zeros(4, 4, 3, 3)
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        form[0, 0, i, i] = form[i + 1, i + 1, i, i] = 1.0
        form[j + 1, j + 1, i, i] = form[k + 1, k + 1, i, i] = -1.0
        form[i + 1, j + 1, i, j] = form[i + 1, j + 1, j, i] = 2.0
        form[0, k + 1, i, j], form[0, k + 1, j, i] = -2.0, 2.0
    return form.reshape(16, 9)


_FORMS = {"axis": _axis_form(), "rotation": _rotation_form()}


@functools.cache
def _constant(name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A constant on its device: a copy for every picture would make the GPU wait."""
    with torch.inference_mode(False):
        return _FORMS[name].to(device, dtype)


def rotations(turns: Float[Tensor, "frames 4"]) -> Float[Tensor, "frames 3 3"]:
    """Rotation matrices of quaternions (w, x, y, z) of any length."""
    unit = torch.nn.functional.normalize(turns, dim=-1)
    products = (unit[:, :, None] * unit[:, None, :]).flatten(1)
    return (products @ _constant("rotation", turns.device, turns.dtype)).view(-1, 3, 3)


def quaternions(matrices: Float[Tensor, "frames 3 3"]) -> Float[Tensor, "frames 4"]:
    """Quaternions (w, x, y, z), of no particular length, of rotations by clearly less than half a turn."""
    trace = matrices.diagonal(dim1=-2, dim2=-1).sum(dim=-1, keepdim=True)
    return torch.cat([(1 + trace).clamp(min=1e-3) / 2, _axis(matrices)], dim=-1)


def _axis(matrices: Float[Tensor, "frames 3 3"]) -> Float[Tensor, "frames 3"]:
    """The axis of each rotation times the sine of its angle."""
    return matrices.flatten(1) @ _constant("axis", matrices.device, matrices.dtype)
