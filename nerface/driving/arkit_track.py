"""A table of Live Link Face as a driver: ARKit's coefficients, and head turns from the table's angles.

The table has no camera. Its head is seen from straight ahead, half a head unit away, and turns about its origin: what
re-enactment takes of a driver, which is the change from its own neutral frame. Without head rotation in the table the
head keeps still.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nerface.driving.conventions import PLAIN
from nerface.driving.track import EVERY_SPLIT, Track
from nerface.interop.arkit_csv import is_face_table, read_face_table

DISTANCE = 0.5  # head units


def is_table(path: Path) -> bool:
    """Whether `path` is such a table and not a dataset."""
    return path.is_file() and is_face_table(path)


def table_track(file: Path, split: str) -> Track:
    """The table's samples as the frames of `split`. Raises `UserError` for a broken table."""
    take = read_face_table(file)
    count = len(take.times)
    poses = np.tile(np.eye(4, dtype=np.float32), (count, 1, 1))
    if take.head is not None:
        poses[:, :3, :3] = take.head_rotations().transpose(0, 2, 1)
    poses[:, :3, 3] = DISTANCE * poses[:, :3, 2]
    seconds = take.times - take.times[0]
    return Track(
        folder=file,
        splits=("train" if split == EVERY_SPLIT else split,) * count,
        rows=np.arange(count),
        order=np.round(seconds * take.rate).astype(np.int64),
        times=seconds,
        camera_to_head=poses,
        expressions=take.values.astype(np.float32),
        expression_names=take.names,
        convention=PLAIN,
        frame_rate=float(take.rate),
    )
