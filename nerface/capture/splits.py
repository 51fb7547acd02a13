"""Which frame goes to which split, and under which name."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from nerface.errors import UserError

SPLITS = ("train", "val", "test")
VAL_SHARE = 0.01
MAX_VAL = 5


@dataclass(frozen=True)
class Place:
    """Where one used frame goes: `split`, its `row` there, and `temporal`, its number among all used frames."""

    split: str
    row: int
    temporal: int

    @property
    def name(self) -> str:
        """The dataset's `file_path`, without an ending."""
        return f"./{self.split}/f_{self.row:04d}"


def split_frames(count: int, test_share: float, seed: int) -> list[Place]:
    """Places of `count` frames in temporal order.

    The last `test_share` are held out for testing, in order (the seed's habit: the future of the clip, not frames
    between training frames); of the rest about 1 %, at least 1 and at most 5, drawn one from each of equal stretches,
    are validation frames; the others train, in order. Raises `UserError` where a split would be empty.
    """
    tests = max(1, round(count * test_share))
    before = count - tests
    vals = min(MAX_VAL, max(1, round(VAL_SHARE * before)))
    if before - vals < 2:
        raise UserError(f"{count} usable frames are too few to split into training, validation and test frames")
    borders = np.linspace(0, before, vals + 1).astype(int)
    random = np.random.default_rng(seed)
    chosen = {int(random.integers(low, high)) for low, high in pairwise(borders)}
    rows = dict.fromkeys(SPLITS, 0)
    places = []
    for temporal in range(count):
        split = "test" if temporal >= before else "val" if temporal in chosen else "train"
        places.append(Place(split, rows[split], temporal))
        rows[split] += 1
    return places


def index_map(places: list[Place]) -> Float[np.ndarray, "frames 2"]:
    """The seed's `index_map.npy`: for every frame before the test part, its temporal number and its train row or -1."""
    rows = [(place.temporal, place.row if place.split == "train" else -1) for place in places if place.split != "test"]
    return np.array(rows, dtype=np.float64)


def rows_of(places: list[Place], split: str) -> Int[np.ndarray, " frames"]:
    """Temporal numbers of the frames of one split."""
    return np.array([place.temporal for place in places if place.split == split], dtype=np.int64)
