"""The first Gaussians stand on the person, in the person's colours, and know whether they follow the head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nerface.cameras import project
from nerface.data import Dataset, load_dataset
from nerface.data.boxes import box_slices
from nerface.fields.gaussian_set import StartingPoints
from nerface.fields.splat_start import FOLLOW_RANGE, starting_points
from nerface.training.begin import describe
from tests.data.make import DISTANCE, RADII, write_tiny_dataset

COUNT = 2000


def begun(dataset: Dataset, count: int = COUNT, seed: int = 0) -> StartingPoints:
    return starting_points(dataset, describe(dataset), count, torch.Generator().manual_seed(seed))


def rest_row(dataset: Dataset) -> int:
    """The training frame that the subject rests in."""
    rest = np.array(describe(dataset).rest_pose)
    return int(np.abs(dataset.train.camera_to_head - rest).reshape(len(dataset.train), -1).max(axis=1).argmin())


def pixels_of(dataset: Dataset, points: StartingPoints) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, column) of the nearest pixels of the rest frame, and the depths."""
    seen = project(dataset.camera("train", rest_row(dataset)), points.places)
    column, row, depth = seen.numpy().T
    return np.rint(row).astype(int), np.rint(column).astype(int), depth


def on_person(mask: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> float:
    height, width = mask.shape
    return float((mask[rows.clip(0, height - 1), columns.clip(0, width - 1)] > 127).mean())


def with_body(dataset: Dataset) -> Dataset:
    """The same frames, with a mask that goes down to the picture's lower edge: head box above, body below."""
    masks = np.array(dataset.train.masks)
    boxes = np.array(dataset.train.head_boxes)
    height, width = masks.shape[1:]
    masks[:, height // 2 :, 2:-2] = 255
    boxes[:] = [0.1, 0.5, 0.3, 0.7]
    masks[:, : height // 2] = 0
    for mask, box in zip(masks, boxes):
        mask[box_slices(box, height, width)] = 255
    return replace(dataset, splits={"train": replace(dataset.train, masks=masks, head_boxes=boxes)})


@pytest.fixture(params=[1, -1], ids=["fx > 0", "fx < 0"])
def person(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    """A larger tiny person, in both conventions of the camera."""
    return load_dataset(write_tiny_dataset(tmp_path / "person", size=(60, 48), fx_sign=request.param))


def test_points_project_into_the_person_s_mask(person):
    points = begun(person)
    assert len(points.places) == len(points.colours) == len(points.sizes) == len(points.follows) == COUNT
    rows, columns, depth = pixels_of(person, points)
    mask = person.train[rest_row(person)].mask
    assert (depth > 0).all()
    assert on_person(mask, rows, columns) > 0.995
    share = (mask > 127).mean()
    assert share < 0.5  # so chance alone would not do
    assert len({*zip(rows, columns)}) > 0.6 * (mask > 127).sum()  # all over the person


def test_points_lie_about_the_head_s_distance_as_a_relief(person):
    points = begun(person)
    rows, columns, depth = pixels_of(person, points)
    assert abs(depth.mean() - DISTANCE) < 0.1
    assert depth.max() - depth.min() < 0.25
    # The middle of the head stands out towards the camera, by about the head's own roundness.
    inner = person.intrinsics
    place = project(person.camera("train", rest_row(person)), torch.zeros(1, 3))[0]
    off = np.hypot(columns - float(place[0]), rows - float(place[1]))
    radius = abs(inner.fx) * RADII[0] / DISTANCE
    rise = depth[off > 0.8 * radius].mean() - depth[off < 0.3 * radius].mean()
    assert 0.3 * RADII[2] < rise < 1.5 * RADII[2]


def test_colours_are_those_of_the_picture(person):
    points = begun(person)
    rows, columns, _ = pixels_of(person, points)
    image = person.train[rest_row(person)].image.astype(float) / 255
    here = image[rows.clip(0, 47), columns.clip(0, 59)]
    assert np.abs(points.colours.numpy() - here).mean() < 0.01
    assert np.abs(points.colours.numpy() - here.mean(axis=0)).mean() > 0.03


def test_sizes_are_those_of_gaps_between_points(person):
    few, many = begun(person, 200), begun(person, 3200)
    for points in (few, many):
        assert (points.sizes >= 1e-4).all()
        assert (points.sizes <= 0.02).all()
    ratio = float(few.sizes.median() / many.sizes.median())
    assert 2 < ratio < 5  # a sheet with sixteen times the points: gaps a quarter as wide, less where it is thick


def test_half_of_the_points_are_on_the_head_however_small_it_is(person):
    dataset = with_body(person)
    frame = dataset.train[rest_row(dataset)]
    rows, columns, _ = pixels_of(dataset, begun(dataset))
    head = box_slices(frame.head_box, *frame.image.shape[:2])
    inside = (rows >= head[0].start) & (rows < head[0].stop) & (columns >= head[1].start) & (columns < head[1].stop)
    assert frame.mask[head].sum() < 0.4 * frame.mask.sum()
    assert inside.mean() == pytest.approx(0.5, abs=0.05)
    assert on_person(frame.mask, rows, columns) > 0.99


def test_the_head_is_followed_by_what_is_on_it_and_not_by_the_body(person):
    dataset = with_body(person)
    points = begun(dataset)
    rows, _, _ = pixels_of(dataset, points)
    follows, height = points.follows.numpy(), dataset.intrinsics.height
    chin = height // 2
    assert (follows[rows < chin - 0.25 * height] > 0.9).all()
    assert (follows[rows > chin + 0.25 * height] < 0.1).all()
    assert ((follows >= FOLLOW_RANGE[0] - 1e-6) & (follows <= FOLLOW_RANGE[1] + 1e-6)).all()
    neck = follows[np.abs(rows - chin) < 2]
    assert 0.3 < neck.mean() < 0.7  # softly, in between


def without_masks(dataset: Dataset, **more: object) -> Dataset:
    return replace(dataset, splits={"train": replace(dataset.train, masks=None)}, **more)


def test_without_masks_the_plate_tells_the_person(person):
    dataset = without_masks(person)
    rows, columns, _ = pixels_of(dataset, begun(dataset))
    assert on_person(person.train[rest_row(person)].mask, rows, columns) > 0.98


def test_without_masks_and_plate_the_head_s_box_does(person):
    dataset = without_masks(person, background=None)
    rows, columns, _ = pixels_of(dataset, begun(dataset))
    frame = person.train[rest_row(person)]
    top, bottom, left, right = frame.head_box * np.array([48, 48, 60, 60])
    assert (rows >= top - 1).all()
    assert (rows <= bottom).all()
    assert (columns >= left - 1).all()
    assert (columns <= right).all()


def test_an_empty_mask_is_none(person):
    empty = replace(person, splits={"train": replace(person.train, masks=np.zeros_like(person.train.masks))})
    rows, columns, _ = pixels_of(empty, begun(empty))
    assert on_person(person.train[rest_row(person)].mask, rows, columns) > 0.98


def test_equal_seeds_give_equal_points(person):
    one, same, other = begun(person, seed=1), begun(person, seed=1), begun(person, seed=2)
    assert torch.equal(one.places, same.places)
    assert not torch.equal(one.places, other.places)


def test_a_handful_of_points(person):
    for count in (1, 2, 5):
        points = begun(person, count)
        assert all(torch.isfinite(value).all() for value in vars(points).values())
        assert len(points.places) == count
