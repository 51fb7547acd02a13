from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from nerface.cameras import project
from nerface.driving.views import ORBIT_PERIOD_FRAMES, Script, dataset_views, head_turn, orbit_views
from tests.toys import toy_subject


def _angles(views):
    """Yaw and pitch in degrees of where the cameras stand, seen from the head's origin."""
    place = torch.stack([view.camera.camera_to_head[:3, 3] for view in views]).double()
    yaw = torch.rad2deg(torch.atan2(place[:, 0], place[:, 2]))
    return yaw, torch.rad2deg(torch.asin(place[:, 1] / place.norm(dim=-1)))


def _facing_subject():
    subject = toy_subject()
    rest = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.5), (0.0, 0.0, 0.0, 1.0))
    return type(subject)(**{**vars(subject), "rest_pose": rest})


def test_an_orbit_begins_at_rest_and_reaches_its_angles():
    subject = _facing_subject()
    views = list(orbit_views(subject, np.zeros((2 * ORBIT_PERIOD_FRAMES, 3), np.float32), 30.0, 10.0))
    yaw, pitch = _angles(views)
    torch.testing.assert_close(views[0].camera.camera_to_head, torch.tensor(subject.rest_pose))
    assert float(yaw.max()) == pytest.approx(30, abs=0.1)
    assert float(yaw.min()) == pytest.approx(-30, abs=0.1)
    assert float(pitch.max()) == pytest.approx(10, abs=0.1)
    assert float(pitch.min()) == pytest.approx(-10, abs=0.1)
    assert float((yaw[1:] - yaw[:-1]).abs().max()) < 3  # no jump
    assert float((pitch[1:] - pitch[:-1]).abs().max()) < 1.5
    torch.testing.assert_close(yaw[ORBIT_PERIOD_FRAMES + 25], yaw[25])


def test_an_orbit_keeps_distance_and_looks_at_the_head():
    subject = _facing_subject()
    for view in orbit_views(subject, np.zeros((60, 3), np.float32), 40.0, -15.0):
        pose = view.camera.camera_to_head
        assert float(pose[:3, 3].norm()) == pytest.approx(0.5, abs=1e-6)
        torch.testing.assert_close(pose[:3, :3] @ pose[:3, :3].T, torch.eye(3), atol=1e-6, rtol=0)
        torch.testing.assert_close(-0.5 * pose[:3, 2], -pose[:3, 3], atol=1e-6, rtol=0)  # along -z to the origin
        assert view.camera.intrinsics == subject.intrinsics


def test_an_orbit_shows_the_given_expressions():
    expressions = np.random.default_rng(0).random((7, 3), dtype=np.float32)
    shown = [view.expression.numpy() for view in orbit_views(toy_subject(), expressions, 5.0, 5.0)]
    np.testing.assert_array_equal(np.stack(shown), expressions)


def test_turns_go_to_the_right_and_up():
    """The head's left side is +x in the picture: the subject faces the camera."""
    torch.testing.assert_close(head_turn(90, 0)[:3, :3] @ torch.tensor([0.0, 0, 1]), torch.tensor([1.0, 0, 0]))
    torch.testing.assert_close(head_turn(0, 90)[:3, :3] @ torch.tensor([0.0, 0, 1]), torch.tensor([0.0, 1, 0]))
    torch.testing.assert_close(head_turn(0, 0), torch.eye(4))
    assert float(torch.linalg.det(head_turn(33, -21)[:3, :3])) == pytest.approx(1)


def test_views_of_a_dataset_are_its_frames(tiny_dataset):
    split = tiny_dataset.train
    views = list(dataset_views(split, tiny_dataset.intrinsics))
    assert len(views) == len(split)
    for view, frame in zip(views, split):
        np.testing.assert_array_equal(view.camera.camera_to_head.numpy(), frame.camera_to_head)
        np.testing.assert_array_equal(view.expression.numpy(), frame.expression)
        assert view.camera.intrinsics == tiny_dataset.intrinsics


def test_paths_of_a_mirrored_head_go_to_the_same_side_of_the_picture():
    """The toy subject has fx < 0 and a proper rest pose, as the seed's datasets: its head's x runs to the left."""
    mirrored = _facing_subject()
    inner = dataclasses.replace(mirrored.intrinsics, fx=-mirrored.intrinsics.fx)
    plain = dataclasses.replace(mirrored, intrinsics=inner)
    expressions = np.zeros((30, 3), np.float32)
    for one, other in zip(orbit_views(mirrored, expressions, 30, 10), orbit_views(plain, expressions, 30, 10)):
        mirror = torch.diag(torch.tensor([-1.0, 1, 1, 1]))
        torch.testing.assert_close(one.camera.camera_to_head, mirror @ other.camera.camera_to_head @ mirror)
    nose = torch.tensor([[0.0, 0.0, 0.1]])
    seen = [project(list(orbit_views(subject, expressions, 30, 0))[-1].camera, nose) for subject in (mirrored, plain)]
    torch.testing.assert_close(seen[0], seen[1])


def test_a_script_gives_views_with_all_their_parts():
    poses = np.stack([np.eye(4, dtype=np.float32) * (k + 1) for k in range(3)])
    expressions = np.arange(6, dtype=np.float32).reshape(3, 2)
    latents = torch.arange(12.0).reshape(3, 4)
    plain = Script(poses, expressions).views(toy_subject().intrinsics)
    full = Script(poses, expressions, latents, poses[::-1]).views(toy_subject().intrinsics)
    assert len(plain) == len(full) == 3
    for k in range(3):
        assert plain[k].latent is None
        assert plain[k].viewed_from is None
        for view in (plain[k], full[k]):
            np.testing.assert_array_equal(view.camera.camera_to_head.numpy(), poses[k])
            np.testing.assert_array_equal(view.expression.numpy(), expressions[k])
        torch.testing.assert_close(full[k].latent, latents[k])
        np.testing.assert_array_equal(full[k].viewed_from.numpy(), poses[2 - k])


def test_the_body_of_an_orbit_turns_where_a_neck_does_not():
    subject = dataclasses.replace(_facing_subject(), seen_angles=(-5.0, 5.0, -5.0, 5.0))
    for view in orbit_views(subject, np.zeros((60, 3), np.float32), 90.0, 0.0):
        (yaw,), (body,) = _angles([view])[0].tolist(), torch.atan2(*view.body_from[[0, 2], 3])[None].rad2deg().tolist()
        assert body == pytest.approx(np.clip(yaw, -45, 45), abs=1e-3)
