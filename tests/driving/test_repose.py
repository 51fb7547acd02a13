"""Expressions for other poses: the pose's share is found and exchanged, the rest is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from nerface.driving.repose import camera_angles, fit_pose_share
from nerface.driving.views import head_turn


def poses(yaw_deg, pitch_deg):
    rest = np.eye(4, dtype=np.float32)
    rest[2, 3] = 0.5
    return np.stack([head_turn(float(yaw), float(pitch)).numpy() @ rest for yaw, pitch in zip(yaw_deg, pitch_deg)])


def test_camera_angles_are_those_the_camera_was_turned_by():
    angles = np.degrees(camera_angles(poses([20, -10, 0], [0, 0, 15])))
    assert angles[:, 0] == pytest.approx([20, -10, 0], abs=1e-4)
    assert np.abs(angles[:, 1]) == pytest.approx([0, 0, 15], abs=1e-4)


def test_the_pose_share_is_exchanged_and_the_rest_kept():
    random = np.random.default_rng(0)
    yaw, pitch = random.uniform(-25, 25, 4000), random.uniform(-12, 12, 4000)
    free = random.uniform(0, 1, 4000)
    eyes = 0.4 + 0.6 * np.radians(yaw)
    expressions = np.stack([free, eyes], axis=1).astype(np.float32)
    share = fit_pose_share(poses(yaw, pitch), expressions)
    moved = share.moved(expressions, poses(yaw, pitch), poses(np.full(4000, 10.0), np.zeros(4000)))
    assert np.abs(moved[:, 1] - (0.4 + 0.6 * np.radians(10))).max() < 0.01
    assert np.abs(moved[:, 0] - free).max() < 0.1
    assert np.corrcoef(moved[:, 0], free)[0, 1] > 0.99
    same = share.moved(expressions, poses(yaw, pitch), poses(yaw, pitch))
    assert np.allclose(same, expressions)


def test_a_still_clip_gives_no_share():
    expressions = np.random.default_rng(1).uniform(0, 1, (20, 3)).astype(np.float32)
    still = poses(np.zeros(20), np.zeros(20))
    share = fit_pose_share(still, expressions)
    assert np.abs(share.moved(expressions, still, poses(np.full(20, 20.0), np.zeros(20))) - expressions).max() < 1e-3
