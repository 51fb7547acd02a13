"""Splits of a tracked clip: a held-out tail, seeded, with the index map that finds frames again."""

from __future__ import annotations

import numpy as np
import pytest

from nerface.errors import UserError
from nerface.interop.tracker_splits import SplitOptions, index_map, split_tracked


def members(places, split):
    """Temporal numbers of a split in the order of its rows."""
    rows = sorted((place.row, place.temporal) for place in places if place.split == split)
    assert [row for row, _ in rows] == list(range(len(rows)))
    return [temporal for _, temporal in rows]


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_tail_is_held_out_and_the_rest_is_divided_by_the_seed(shuffled):
    options = SplitOptions(test_frames=30, shuffled=shuffled, seed=3)
    places = split_tracked(100, options)
    train, val, test = (members(places, split) for split in ("train", "val", "test"))
    assert test == list(range(70, 100))
    assert (len(train), len(val)) == (65, 5)
    assert sorted(train + val) == list(range(70))
    assert (train == sorted(train)) is not shuffled
    assert split_tracked(100, options) == places
    assert split_tracked(100, SplitOptions(test_frames=30, shuffled=shuffled, seed=4)) != places


def test_how_many_are_held_out_by_default():
    def tests(count, **options):
        return len(members(split_tracked(count, SplitOptions(**options)), "test"))

    assert tests(6513) == 1000  # as the seed
    assert tests(200) == 30
    assert tests(200, test_share=0.25) == 50
    assert tests(200, test_frames=7) == 7


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_a_share_of_the_training_part_loses_no_thousand_frames(share):
    places = split_tracked(6513, SplitOptions(train_share=share))
    used = round(5513 * share)
    train, val = members(places, "train"), members(places, "val")
    assert sorted(train + val) == list(range(used))  # the first part, whole (the seed drops 1000 frames of it)
    assert len(members(places, "test")) == 1000


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_index_map_finds_every_training_frame(shuffled):
    places = split_tracked(80, SplitOptions(test_frames=20, train_share=0.5, val_frames=3, shuffled=shuffled))
    table = index_map(places, np.arange(80))
    assert table.shape == (80, 2)
    assert table[:, 0].tolist() == list(range(80))
    train = members(places, "train")
    assert [table[temporal, 1] for temporal in train] == list(range(len(train)))
    others = np.setdiff1d(np.arange(80), train)
    assert (table[others, 1] == -1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_frames": 50}, "50 frames cannot give 50 test frames"),
        ({"test_frames": 45}, "cannot give 45 test frames, 5 validation"),
        ({"val_frames": -1}, "-1 validation frames"),
        ({"train_share": 0.0}, "train share of 0"),
        ({"test_share": 1.0}, "test share of 1"),
        ({"test_share": 0.1, "test_frames": 3}, "not both"),
    ],
)
def test_divisions_that_leave_nothing(options, message):
    with pytest.raises(UserError, match=message):
        split_tracked(50, SplitOptions(**options))
