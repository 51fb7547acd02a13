"""Datasets that are odd but usable, and ones that are broken in ways that must be told in one line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from nerface.data import load_dataset
from nerface.errors import UserError
from tests.data.make import write_tiny_dataset


@pytest.fixture
def person(tmp_path: Path) -> Path:
    return write_tiny_dataset(tmp_path / "person", frames=12)


def change(person: Path, work) -> None:
    file = person / "transforms_train.json"
    value = json.loads(file.read_text())
    work(value)
    file.write_text(json.dumps(value))


def test_an_alpha_channel_of_the_plate_is_no_hindrance(person):
    plain = load_dataset(person).background
    file = person / "bg" / "00050.png"
    cv2.imwrite(str(file), cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2BGRA))
    assert np.array_equal(load_dataset(person).background, plain)


def test_a_larger_plate_is_shrunk_as_the_seed_does(person):
    plain = np.array(load_dataset(person).background)
    file = person / "bg" / "00050.png"
    cv2.imwrite(str(file), cv2.resize(cv2.imread(str(file)), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST))
    assert np.array_equal(load_dataset(person).background, plain)
    cv2.imwrite(str(file), np.zeros((40, 90, 3), np.uint8))
    with pytest.raises(UserError, match="the background must have their size"):
        load_dataset(person)


def test_readings_of_one_dataset_keep_their_caches(person):
    readings = [{}, {"white_background": True}, {"train_share": 0.5}, {"half_res": True}, {"test_skip": 2}]
    for reading in readings:
        load_dataset(person, **reading)
    entries = {path: path.stat().st_mtime_ns for path in (person / ".cache").glob("*/images.u8")}
    for reading in readings:
        load_dataset(person, **reading)
    assert {path: path.stat().st_mtime_ns for path in (person / ".cache").glob("*/images.u8")} == entries


def test_statistics_of_a_share_are_those_of_its_frames(person):
    dataset = load_dataset(person, train_share=0.5)
    assert np.allclose(dataset.expression_stats.max, dataset.train.expressions.max(axis=0), atol=1e-6)


@pytest.mark.parametrize(
    "rows",
    [np.zeros((0, 2)), np.array([[0.0, -1.0]]), np.array([[0.0, 0.0], [1.0, 0.0]])],
    ids=["empty", "none", "twice"],
)
def test_a_share_needs_a_map_that_knows_every_frame(rows, person):
    np.save(person / "index_map.npy", rows)
    with pytest.raises(UserError, match="does not name every one of the 9 training frames once"):
        load_dataset(person, train_share=0.5)
    load_dataset(person)  # without a share it does no harm


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda value: value["frames"][1].update(source_frame=10**30), "no number of a frame"),
        (lambda value: value["expression_stats"].update(mean="abc"), "something other than numbers"),
        (lambda value: value["frames"][1].update(transform_matrix=np.diag([0.0, 1, 1, 1]).tolist()), "has no inverse"),
    ],
    ids=["source_frame", "expression_stats", "pose"],
)
def test_values_that_make_no_sense_are_one_line(work, message, person):
    change(person, work)
    with pytest.raises(UserError, match=message) as fault:
        load_dataset(person)
    assert "\n" not in str(fault.value)


def test_an_index_map_that_holds_no_numbers(person):
    np.save(person / "index_map.npy", np.array([[0.0, np.nan]]))
    with pytest.raises(UserError, match="something other than frame numbers"):
        load_dataset(person)


def test_pictures_elsewhere_on_the_disk(person, tmp_path):
    """An absolute `file_path` is taken as it is, as the seed's loader does."""
    elsewhere = tmp_path / "elsewhere"
    (person / "train").rename(elsewhere)
    change(
        person, lambda value: [f.update(file_path=str(elsewhere / Path(f["file_path"]).name)) for f in value["frames"]]
    )
    assert len(load_dataset(person).train) == 9
