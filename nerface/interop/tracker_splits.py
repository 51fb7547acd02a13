"""Which tracked frame goes to which split: a held-out tail, validation frames, and a share of the rest to train on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from nerface.capture.splits import SPLITS, Place
from nerface.errors import UserError

SEED_TEST_FRAMES = 1000  # the seed's held-out tail
SHORT_CLIP = 4000  # frames; shorter clips hold out a share instead, since 1000 would be most of them
SHORT_TEST_SHARE = 0.15


@dataclass(frozen=True)
class SplitOptions:
    """How a clip is divided.

    `test_frames` or else `test_share` at the end are held out (neither: 1000, or 15 % of clips under 4000 frames);
    the first `train_share` of what comes before is used, `val_frames` of it for validation. `shuffled` numbers the
    training frames at random as the seed does, else they stay in temporal order. All chance comes from `seed`.
    """

    test_frames: int | None = None
    test_share: float | None = None
    val_frames: int = 5
    train_share: float = 1.0
    shuffled: bool = False
    seed: int = 0


def split_tracked(count: int, options: SplitOptions) -> list[Place]:
    """Places of the used frames among `count`, in temporal order (`Place.temporal` counts all frames).

    In temporal order the validation frames are drawn one from each of equal stretches; shuffled, they are the last of
    the permutation, as in the seed. Raises `UserError` where nothing would be left to train on.
    """
    tests = _test_count(count, options)
    if not 0 < options.train_share <= 1:
        raise UserError(f"a train share of {options.train_share}: give more than 0, at most 1")
    before = count - tests
    used = round(before * options.train_share)
    if options.val_frames < 0 or used - options.val_frames < 1 or tests < 0:
        raise UserError(
            f"{count} frames cannot give {tests} test frames, {options.val_frames} validation frames and a share of "
            f"{options.train_share:g} of the rest to train on: hold fewer out"
        )
    random = np.random.default_rng(options.seed)
    if options.shuffled:
        order = random.permutation(used)
        train, val = order[: used - options.val_frames], order[used - options.val_frames :]
    else:
        val = _spread(used, options.val_frames, random)
        train = np.setdiff1d(np.arange(used), val)
    places = [
        Place(split, row, int(temporal))
        for split, chosen in (("train", train), ("val", val), ("test", np.arange(before, count)))
        for row, temporal in enumerate(chosen)
    ]
    return sorted(places, key=lambda place: place.temporal)


def _test_count(count: int, options: SplitOptions) -> int:
    if options.test_frames is not None and options.test_share is not None:
        raise UserError("give the held-out frames as a number or as a share, not both")
    if options.test_frames is not None:
        return options.test_frames
    if options.test_share is not None:
        if not 0 <= options.test_share < 1:
            raise UserError(f"a test share of {options.test_share}: give 0 or more, less than 1")
        return round(count * options.test_share)
    return SEED_TEST_FRAMES if count >= SHORT_CLIP else round(count * SHORT_TEST_SHARE)


def kept_splits(splits: tuple[str, ...] | None, options: SplitOptions) -> list[Place] | None:
    """Places as the source divided the clip; None where it did not, or left nothing to train on or to test.

    Sources without validation frames (most) give one training frame from each of `val_frames` equal stretches.
    """
    if splits is None or not {"train", "test"} <= set(splits):
        return None
    kept = np.array(splits)
    train = np.flatnonzero(kept == "train")
    if "val" not in splits and len(train) > options.val_frames:
        kept[train[_spread(len(train), options.val_frames, np.random.default_rng(options.seed))]] = "val"
    places = []
    for split in SPLITS:
        members = np.flatnonzero(kept == split)
        places += [Place(split, row, int(temporal)) for row, temporal in enumerate(members)]
    return sorted(places, key=lambda place: place.temporal)


def _spread(count: int, wanted: int, random: np.random.Generator) -> Int[np.ndarray, " wanted"]:
    """One number below `count` from each of `wanted` equal stretches."""
    borders = np.linspace(0, count, wanted + 1).astype(int)
    return np.array([random.integers(low, high) for low, high in pairwise(borders)], dtype=np.int64)


def index_map(places: list[Place], numbers: Int[np.ndarray, " frames"]) -> Float[np.ndarray, "frames 2"]:
    """The seed's `index_map.npy` for all frames of the clip: number in the video, and row of the train split or -1.

    (The seed stops before the test part; its evaluator fails where the map has fewer rows than there are test frames.)
    """
    table = np.stack([numbers, np.full(len(numbers), -1)], axis=1).astype(np.float64)
    for place in places:
        if place.split == "train":
            table[place.temporal, 1] = place.row
    return table
