"""The pose metrics: nothing is counted that no picture shows, and what is wrong is counted as it is."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from capture_accuracy import Truth, pose_errors, pose_jitter, read_truth, rotation_vectors

FRAMES, UNITS = 50, 0.008


def truth() -> Truth:
    time = np.linspace(0, 2 * np.pi, FRAMES)
    turns = np.stack([0.2 * np.sin(2 * time), 0.35 * np.sin(time), 0.05 * np.cos(3 * time)], axis=1)
    place = np.stack([3 * np.sin(time), 1.5 * np.cos(2 * time), -60 + 3 * np.cos(time)], axis=1)
    return Truth(Rotation.from_rotvec(turns).as_matrix(), place, 650.0)


def as_captured(rotation: np.ndarray, place: np.ndarray) -> np.ndarray:
    matrices = np.tile(np.eye(4), (len(rotation), 1, 1))
    matrices[:, :3, :3] = rotation.transpose(0, 2, 1)
    matrices[:, :3, 3] = -np.einsum("nji,nj->ni", rotation, place) * UNITS
    return matrices


def test_a_turned_shifted_and_scaled_head_space_is_no_error() -> None:
    real = truth()
    turn = Rotation.from_rotvec([0.3, -0.2, 0.1]).as_matrix()
    place = (real.translation + real.rotation @ np.array([0.5, -2.0, 1.0])) * 1.2
    found = pose_errors(as_captured(real.rotation @ turn, place), real, UNITS, 325.0)
    assert found.rotation_deg.max() < 1e-5
    assert found.across_mm.max() < 1e-6
    assert found.depth_mm.max() < 1e-6
    assert found.pitch_gain == pytest.approx(1)
    assert found.yaw_gain == pytest.approx(1)
    assert found.focal_error == pytest.approx(-0.5)
    assert found.scale == pytest.approx(1 / 1.2)


def test_errors_are_told_in_their_units_and_axes() -> None:
    real = truth()
    sign = np.where(np.arange(FRAMES) % 2, 1.0, -1.0)
    wobble = Rotation.from_rotvec(np.deg2rad(2.0) * sign[:, None] * [0, 0, 1]).as_matrix()
    shift = 0.1 * sign[:, None] * [0.0, 0.0, 1.0]
    found = pose_errors(as_captured(wobble @ real.rotation, real.translation + shift), real, UNITS)
    assert found.mean_rotation_deg == pytest.approx(2.0, rel=0.02)
    assert found.mean_depth_mm == pytest.approx(1.0, rel=0.1)
    assert found.mean_across_mm < 0.1
    pitch, yaw, roll = Rotation.from_matrix(real.rotation).as_rotvec().T
    less = Rotation.from_rotvec(np.stack([0.8 * pitch, 1.1 * yaw, roll], axis=1)).as_matrix()
    gains = pose_errors(as_captured(less, real.translation), real, UNITS)
    assert gains.pitch_gain == pytest.approx(0.8, abs=0.02)
    assert gains.yaw_gain == pytest.approx(1.1, abs=0.02)


def test_only_the_used_frames_are_compared() -> None:
    real = truth()
    used = np.arange(3, FRAMES, 2)
    found = pose_errors(as_captured(real.rotation, real.translation)[used], real, UNITS, numbers=used)
    assert found.rotation_deg.shape == (len(used),)
    assert found.mean_rotation_deg < 1e-5


def test_jitter_is_what_a_smooth_path_leaves() -> None:
    real = truth()
    calm = pose_jitter(as_captured(real.rotation, real.translation), UNITS)
    rng = np.random.default_rng(0)
    noise = Rotation.from_rotvec(np.deg2rad(0.5) * rng.normal(size=(FRAMES, 1)) * [1, 0, 0]).as_matrix()
    rough = pose_jitter(as_captured(noise @ real.rotation, real.translation), UNITS)
    assert calm.pitch_deg < 0.05
    assert 0.3 < rough.pitch_deg < 0.6
    assert rough.yaw_deg < 0.15


def test_rotation_vectors() -> None:
    vectors = 0.5 * np.random.default_rng(1).normal(size=(20, 3))
    np.testing.assert_allclose(rotation_vectors(Rotation.from_rotvec(vectors).as_matrix()), vectors, atol=1e-9)
    np.testing.assert_allclose(rotation_vectors(np.eye(3)[None]), 0, atol=1e-12)


def test_the_files_camera_is_turned_into_the_projects(tmp_path: Path) -> None:
    np.savez(tmp_path / "a_gt.npz", R=np.eye(3)[None], t=np.array([[1.0, 2.0, 60.0]]), f=500.0)
    read = read_truth(tmp_path / "a_gt.npz")
    np.testing.assert_allclose(read.translation, [[1.0, -2.0, -60.0]])
    np.testing.assert_allclose(read.rotation, np.eye(3)[None])
