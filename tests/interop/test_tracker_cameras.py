"""The converter's change of convention: hand-written numbers, and points that project alike before and after."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nerface.cameras import pixel_directions, project, to_head_space
from nerface.data import load_dataset
from nerface.errors import UserError
from nerface.interop.tracker_cameras import pose_scale, to_intrinsics, to_poses
from nerface.interop.tracker_import import ImportOptions, import_tracker_folder
from nerface.types import Camera, Intrinsics
from tests.interop.tracker import RADII_M, seen_by_the_tracker, write_tracker_folder

STORED = np.array([2.5, -3.0, 0.4, 0.55])


def test_the_seeds_numbers_for_a_picture_that_is_not_square():
    inner = to_intrinsics(STORED, (640, 480))
    assert inner == Intrinsics(
        fx=-1600.0, fy=1440.0, cx=0.4, cy=pytest.approx(0.45), width=640, height=480
    )  # -2.5 * 640, 3 * 480, 0.4, 1 - 0.55


def test_columns_0_and_2_are_turned_and_the_mean_z_translation_becomes_one_half():
    rigid = np.tile(np.eye(4), (2, 1, 1))
    rigid[0] = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 1.5], [0, 0, 0, 1]]
    rigid[1, :3, 3] = [1, 1, 2.5]
    scale = pose_scale(rigid)
    assert scale == 0.25  # 0.5 / mean(1.5, 2.5)
    poses = to_poses(rigid, scale)
    assert poses[0].tolist() == [[-1, 2, -3, 1], [-5, 6, -7, 2], [-9, 10, -11, 0.375], [0, 0, 0, 1]]
    assert np.diag(poses[1]).tolist() == [-1, 1, -1, 1]
    assert poses[:, 2, 3].mean() == 0.5
    rigid[:, 2, 3] *= -1
    with pytest.raises(UserError, match=r"mean z translation .*must be positive"):
        pose_scale(rigid)


def test_the_middle_of_a_larger_picture():
    """A 1280x720 video cut to its centre square and scaled to 512: a point keeps its place on the scene."""
    inner = to_intrinsics(STORED, (512, 512), cropped_from=(1280, 720))
    whole = to_intrinsics(STORED, (1280, 720))
    point = np.array([0.03, -0.02, -0.5])
    u, v = (
        whole.fx * point[0] / 0.5 + 1280 * whole.cx,
        -whole.fy * point[1] / 0.5 + 720 * whole.cy,
    )
    expected = (u - 280) * 512 / 720, v * 512 / 720
    found = inner.fx * point[0] / 0.5 + 512 * inner.cx, -inner.fy * point[1] / 0.5 + 512 * inner.cy
    np.testing.assert_allclose(found, expected)


def test_known_points_project_alike_before_and_after_conversion(tmp_path):
    """Every frame of a written dataset sees head-space points where the tracker did, and its rays go through them."""
    tracked = write_tracker_folder(tmp_path / "source", frames=12, size=(61, 40))
    report = import_tracker_folder(tracked.folder, tmp_path / "person", ImportOptions(overlay=False))
    assert report.scale == pytest.approx(0.5 / tracked.rigid[:, 2, 3].mean())
    dataset = load_dataset(tmp_path / "person")
    points = np.random.default_rng(0).uniform(-1, 1, (30, 3)) * RADII_M
    frames = 0
    for split, content in dataset.splits.items():
        for row, frame in enumerate(content):
            camera = Camera(dataset.intrinsics, dataset.camera(split, row).camera_to_head.double())
            expected = seen_by_the_tracker(tracked, frame.source_frame, points)
            seen = project(camera, torch.from_numpy(points * report.scale)).numpy()
            np.testing.assert_allclose(seen[:, :2], expected[:, :2], atol=1e-3)
            np.testing.assert_allclose(seen[:, 2], expected[:, 2] * report.scale, atol=1e-6)
            frames += 1

            pixel = torch.tensor([[7, 11]])  # row, column
            local = pixel_directions(dataset.intrinsics, pixel[:, 0], pixel[:, 1]).double()
            origin, direction = to_head_space(local, camera.camera_to_head)
            on_ray = (origin + 0.4 * direction).numpy() / report.scale
            back = seen_by_the_tracker(tracked, frame.source_frame, on_ray)
            np.testing.assert_allclose(back[0, :2], [11, 7], atol=1e-3)
    assert frames == 12
