"""Boxes: fractions to pixels, and head boxes from poses."""

from __future__ import annotations

import numpy as np
import pytest

from nerface.data import box_slices, load_dataset
from nerface.data.boxes import estimate_head_boxes
from tests.data.make import write_tiny_dataset


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ([0, 1, 0, 1], (0, 10), (0, 20)),
        ([0.19, 0.51, 0.26, 0.74], (1, 5), (5, 14)),
        ([-0.5, 1.5, 0.5, 0.5], (0, 10), (10, 11)),
        ([1, 1, 0, 0.01], (9, 10), (0, 1)),
    ],
)
def test_fractions_to_pixels(box, rows, columns):
    found = box_slices(np.array(box), height=10, width=20)
    assert [(part.start, part.stop) for part in found] == [rows, columns]


@pytest.mark.parametrize("fx_sign", [1, -1])
def test_estimated_boxes_follow_the_head(tmp_path, fx_sign):
    dataset = load_dataset(write_tiny_dataset(tmp_path / "d", frames=12, size=(120, 160), fx_sign=fx_sign))
    train, test = dataset.train, dataset.splits["test"]
    found = estimate_head_boxes(test.camera_to_head, dataset.intrinsics, train.sampling_boxes, train.camera_to_head)
    assert np.abs(found - test.head_boxes).max() < 0.05
    # ... and better than a box that stays where it is.
    still = np.abs(train.head_boxes.mean(axis=0) - test.head_boxes).mean()
    assert np.abs(found - test.head_boxes).mean() < 0.5 * still


def test_without_telling_boxes_the_whole_image(tmp_path):
    dataset = load_dataset(write_tiny_dataset(tmp_path / "d"))
    poses = dataset.train.camera_to_head
    whole = np.tile(np.array([0, 1, 0, 1], np.float32), (4, 1))
    assert np.array_equal(estimate_head_boxes(poses, dataset.intrinsics, whole, poses), whole)


def test_a_head_out_of_the_picture_gets_the_whole_image(tmp_path):
    dataset = load_dataset(write_tiny_dataset(tmp_path / "d"))
    train = dataset.train
    away, behind = train.camera_to_head[:1].copy(), train.camera_to_head[:1].copy()
    away[0, :3, 3] += 5 * away[0, :3, 0]
    behind[0, :3, 3] *= -1
    poses = np.concatenate([away, behind])
    found = estimate_head_boxes(poses, dataset.intrinsics, train.sampling_boxes, train.camera_to_head)
    assert found.tolist() == [[0, 1, 0, 1]] * 2
