"""The body's frame: still before the camera while the head turns, with a learned answer and twists on top."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from scipy.spatial.transform import Rotation

from nerface.cameras import project
from nerface.fields.body_frame import USUAL_SHIFT, USUAL_TURN, BodyFrame, quaternions
from nerface.types import Camera
from tests.toys import toy_subject


def turned(angles: list[float], shift: list[float]) -> torch.Tensor:
    """A camera pose: angles in degrees about x, y and z, at `shift`."""
    pose = torch.eye(4)
    pose[:3, :3] = torch.from_numpy(Rotation.from_euler("xyz", angles, degrees=True).as_matrix())
    pose[:3, 3] = torch.tensor(shift)
    return pose


REST = turned([4.0, -6.0, 2.0], [0.03, -0.02, 0.5])
POSES = torch.stack(
    [
        turned([0.0, 0.0, 0.0], [0.0, 0.0, 0.5]),
        turned([20.0, 0.0, 0.0], [0.02, -0.15, 0.45]),
        turned([-8.0, 35.0, 12.0], [0.28, 0.05, 0.4]),
        turned([5.0, -70.0, 0.0], [-0.45, 0.0, 0.2]),
    ]
)
POINTS = torch.tensor([[0.0, -0.2, -0.05], [0.12, -0.25, 0.02], [-0.1, -0.17, 0.0]])


def frame_of(mirrored: bool = False) -> tuple[BodyFrame, torch.Tensor, torch.Tensor]:
    """A frame at rest at `REST`, that pose and other poses; `mirrored`: with the x axis of the cameras turned round."""
    rest, poses = REST.clone(), POSES.clone()
    if mirrored:
        rest[:3, 0] *= -1
        poses[:, :3, 0] *= -1
    subject = replace(toy_subject(), rest_pose=tuple(map(tuple, rest.tolist())))
    return BodyFrame(subject), rest, poses


def in_head(frame: BodyFrame, poses: torch.Tensor, points: torch.Tensor, extra: torch.Tensor | None = None):
    """Where the body's points are in head space [F, P, 3]."""
    rotation, shift = frame.in_head(poses, extra)
    return points @ rotation.mT + shift[:, None]


def before_camera(pose: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    return (points - pose[:3, 3]) @ torch.linalg.inv(pose[:3, :3]).T


@pytest.mark.parametrize("mirrored", [False, True])
def test_without_an_answer_the_body_stands_still_in_the_picture(mirrored):
    frame, rest, poses = frame_of(mirrored)
    inner = toy_subject().intrinsics
    wanted = project(Camera(inner, rest), POINTS)
    with torch.no_grad():
        placed = in_head(frame, poses, POINTS)
    for pose, points in zip(poses, placed):
        assert torch.allclose(project(Camera(inner, pose), points), wanted, atol=1e-4)
        head = project(Camera(inner, pose), POINTS)
        assert (head - wanted).abs().max() > 0.5  # while what follows the head moves


@pytest.mark.parametrize("mirrored", [False, True])
def test_at_the_rest_pose_nothing_moves(mirrored):
    frame, rest, _ = frame_of(mirrored)
    torch.nn.init.normal_(frame.answer)
    rotation, shift = frame.in_head(rest[None])
    assert torch.allclose(rotation, torch.eye(3)[None], atol=1e-6)
    assert torch.allclose(shift, torch.zeros(1, 3), atol=1e-6)
    assert torch.allclose(frame.head_motion(rest[None]), torch.zeros(1, 6), atol=1e-4)


def test_the_head_s_motion_in_usual_units():
    frame, rest, _ = frame_of()
    turn = torch.from_numpy(Rotation.from_rotvec([0.0, 0.2, 0.0]).as_matrix()).float()
    # The head turned by 0.2 rad about the camera's y axis and moved by 0.01 along x, as the camera sees it.
    seen = torch.linalg.inv(rest)
    moved = seen.clone()
    moved[:3, :3] = turn @ seen[:3, :3]
    moved[0, 3] += 0.01
    found = frame.head_motion(torch.linalg.inv(moved)[None])[0]
    wanted = torch.tensor([0.0, math.sin(0.2) / USUAL_TURN, 0.0, 0.01 / USUAL_SHIFT, 0.0, 0.0])
    assert torch.allclose(found, wanted, atol=1e-3)


def test_an_answer_of_one_follows_the_head():
    """Small motions: a body that answers the head fully goes where the head goes."""
    frame, rest, _ = frame_of()
    frame.answer.data = torch.eye(6)
    moved = torch.linalg.inv(rest)
    moved[:3, :3] = torch.from_numpy(Rotation.from_rotvec([0.03, -0.05, 0.02]).as_matrix()).float() @ moved[:3, :3]
    moved[:3, 3] += torch.tensor([0.01, -0.004, 0.006])
    with torch.no_grad():
        placed = in_head(frame, torch.linalg.inv(moved)[None], POINTS)[0]
    assert torch.allclose(placed, POINTS, atol=1e-4)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_twist_turns_about_the_head_s_resting_place(mirrored):
    frame, rest, poses = frame_of(mirrored)
    angle = 0.05
    extra = torch.tensor([[0.0, 0.0, angle, 0.0, 0.0, 0.0]]).expand(len(poses), 6)
    with torch.no_grad():
        origin = in_head(frame, poses, torch.zeros(1, 3), extra)
        points = in_head(frame, poses, POINTS, extra)
    place = before_camera(rest, torch.zeros(1, 3))
    turn = torch.from_numpy(Rotation.from_rotvec([0.0, 0.0, angle]).as_matrix()).float()
    wanted = (before_camera(rest, POINTS) - place) @ turn.T + place
    for pose, head, body in zip(poses, origin, points):
        assert torch.allclose(before_camera(pose, head), place, atol=1e-5)  # where the head rests, nothing moves
        assert torch.allclose(before_camera(pose, body), wanted, atol=2e-5)


def test_a_twist_shifts_before_the_camera():
    frame, rest, poses = frame_of()
    shift = torch.tensor([0.01, -0.02, 0.03])
    extra = torch.cat([torch.zeros(3), shift]).expand(len(poses), 6)
    with torch.no_grad():
        placed = in_head(frame, poses, POINTS, extra)
    for pose, points in zip(poses, placed):
        assert torch.allclose(before_camera(pose, points), before_camera(rest, POINTS) + shift, atol=1e-5)


def test_the_body_is_moved_rigidly():
    frame, _, poses = frame_of()
    torch.nn.init.normal_(frame.answer, std=0.3)
    with torch.no_grad():
        rotation, _ = frame.in_head(poses, 0.1 * torch.randn(len(poses), 6))
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3).expand_as(rotation), atol=1e-5)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(len(poses)), atol=1e-5)


def test_quaternions_are_those_of_the_rotations():
    made = Rotation.from_rotvec([[0.3, -0.2, 0.5], [1.5, 0.7, -1.0], [0.0, 0.0, 0.0], [0.0, 0.0, -2.4], [1e-4, 0, 0]])
    found = quaternions(torch.from_numpy(made.as_matrix()))
    found = found / found.norm(dim=-1, keepdim=True)
    wanted = torch.from_numpy(made.as_quat()[:, [3, 0, 1, 2]])
    wanted = wanted * wanted[:, :1].sign()
    assert torch.allclose(found, wanted, atol=1e-6)


def test_gradients_at_the_rest_pose_are_finite():
    frame, rest, _ = frame_of()
    pose, extra = rest[None].clone().requires_grad_(), torch.zeros(1, 6, requires_grad=True)
    rotation, shift = frame.in_head(pose, extra)
    turn = quaternions(rotation)
    placed = in_head(frame, pose, POINTS, extra)
    (placed.square().sum() + turn.square().sum() + turn[:, 1:].sum() + shift.sum()).backward()
    for gradient in (pose.grad, extra.grad, frame.answer.grad):
        assert torch.isfinite(gradient).all()
    assert (extra.grad != 0).any()
