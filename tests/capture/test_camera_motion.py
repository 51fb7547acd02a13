from __future__ import annotations

import numpy as np
import torch

from nerface.cameras import project
from nerface.capture.camera_motion import (
    BackdropFollower,
    Turn,
    homography,
    inside_after,
    motion_over_time,
    put_back,
    steadied_points,
    steadied_poses,
    turned,
)
from nerface.types import Camera
from tests.capture.scenes import camera, room, with_person

TURN = np.radians([0.6, -1.5, 0.8])


def test_a_turned_camera_is_measured_behind_a_person_who_moves():
    scene = room(384, 512)
    inner = camera(scene)
    reference, mask = with_person(scene, (256, 220), 70)
    follower = BackdropFollower(reference, mask < 0.01, inner)
    moved, other = with_person(turned(scene, TURN, inner), (290, 200), 70)
    turn = follower.follow(moved, other > 0.01)
    assert np.degrees(np.abs(turn.rotation - TURN).max()) < 0.02
    assert turn.error_px < 0.3


def test_a_plain_wall_tells_nothing():
    wall = np.full((192, 256, 3), 120, np.uint8)
    follower = BackdropFollower(wall, np.ones((192, 256), bool), camera(wall))
    assert not follower.follow(wall, np.zeros((192, 256), bool)).known


def test_putting_back_undoes_the_turn():
    scene = room()
    inner = camera(scene)
    back = put_back(turned(scene, TURN, inner), TURN, inner)
    inside = inside_after(TURN, inner) & inside_after(-TURN, inner)
    assert 0.8 < inside.mean() < 1
    assert np.abs(back.astype(int) - scene)[inside].mean() < 1


def test_steadied_poses_see_head_points_where_steadied_pictures_show_them():
    scene = room()
    inner = camera(scene)
    random = np.random.default_rng(0)
    pose = np.eye(4)
    pose[:3, :3] = np.linalg.qr(random.normal(size=(3, 3)))[0]
    pose[:3, :3] *= np.linalg.det(pose[:3, :3])
    pose[:3, 3] = (0.1, 0.2, 0.5)
    ahead = np.array([[0.02, 0.03, -0.5], [-0.1, 0.05, -0.6], [0.08, -0.04, -0.4]])
    points = torch.as_tensor(ahead @ pose[:3, :3].T + pose[:3, 3])
    before = project(Camera(inner, torch.as_tensor(pose)), points).numpy()[:, :2]
    after = project(Camera(inner, torch.as_tensor(steadied_poses(pose[None], TURN[None])[0])), points).numpy()[:, :2]
    np.testing.assert_allclose(steadied_points(before[None], TURN[None], inner)[0], after, atol=1e-6)
    assert np.abs(after - before).max() > 3


def test_motion_between_measured_frames_is_interpolated_and_summed_up():
    inner = camera(room(384, 512))
    turns = {frame: Turn(np.radians([0, frame / 10, 0]), 0.1) for frame in range(0, 41, 4)}
    turns[8] = Turn(np.full(3, np.nan), float("nan"))
    motion = motion_over_time(turns, 41, inner)
    np.testing.assert_allclose(np.degrees(motion.rotation[:, 1]), np.arange(41) / 10, atol=1e-9)
    assert motion.measured.sum() == 10
    assert 3.5 < motion.span_degrees <= 4
    assert abs(motion.span_px - np.radians(motion.span_degrees) * inner.fx) < 1e-6
    assert motion.moves
    assert not motion_over_time({}, 5, inner).moves


def test_homography_and_its_way_back():
    inner = camera(room())
    there, back = homography(TURN, inner), homography(TURN, inner, back=True)
    np.testing.assert_allclose(there @ back, np.eye(3), atol=1e-9)
