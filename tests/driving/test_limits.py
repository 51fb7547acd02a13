"""Cameras kept where training saw the head from."""

from __future__ import annotations

import numpy as np
import pytest

from nerface.driving.limits import NECK_DEG, beyond, body_poses, kept_within, seen_angles
from nerface.driving.paths import head_turn

REST = np.eye(4, dtype=np.float32)
REST[2, 3] = 0.5
LIMITS = (-10.0, 12.0, -5.0, 4.0)


def camera(yaw: float, pitch: float) -> np.ndarray:
    return head_turn(yaw, pitch).numpy() @ REST


def test_the_range_of_a_clip():
    poses = np.stack([camera(-10, 2), camera(12, 4), camera(0, -5)])
    assert seen_angles(poses) == pytest.approx(LIMITS, abs=1e-4)


def test_how_far_a_camera_leaves_the_range():
    poses = np.stack([camera(20, 0), camera(-11, 1), camera(0, -9), camera(5, 3)])
    assert beyond(poses, LIMITS) == pytest.approx(np.array([[8, 0], [-1, 0], [0, -4], [0, 0]]), abs=1e-4)


def test_cameras_are_moved_to_the_edge_of_the_range_and_no_further():
    inside, outside = camera(5, 3), camera(30, -20)
    kept = kept_within(np.stack([inside, outside]), LIMITS)
    assert np.array_equal(kept[0], inside)
    assert np.allclose(kept[1], camera(12, -5), atol=1e-6)
    rolled = outside @ np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=np.float32)
    moved = kept_within(rolled[None], LIMITS)
    assert seen_angles(moved) == pytest.approx((12, 12, -5, -5), abs=1e-4)
    assert np.linalg.norm(moved[0, :3, 3]) == pytest.approx(0.5)  # the distance stays
    assert np.linalg.det(moved[0, :3, :3].astype(float)) == pytest.approx(1.0)


def test_the_body_stands_still_as_far_as_a_neck_turns():
    rest = camera(4, -2)
    inside, outside = camera(4 + NECK_DEG - 1, 3), camera(4 + NECK_DEG + 30, 80)
    bodies = body_poses(np.stack([inside, outside]), rest, LIMITS)
    assert np.array_equal(bodies[0], inside)
    assert np.allclose(bodies[1], camera(4 + NECK_DEG, -2 + NECK_DEG), atol=1e-6)
    wider = (-100.0, 100.0, -90.0, 90.0)  # a person that training saw turn farther than any neck
    assert np.array_equal(body_poses(outside[None], rest, wider)[0], outside)
