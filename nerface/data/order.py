"""When the frames of a split were taken, relative to one another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


def temporal_numbers(
    source_frames: Int[np.ndarray, " frames"], index_map: Int[np.ndarray, "temporal 2"] | None
) -> Int[np.ndarray, " frames"]:
    """The number of each frame in the video, -1 where nobody knows.

    By `source_frames` where all are stored, else by the `index_map` of the train split (NeRFace shuffles it; None for
    other splits).
    """
    if (source_frames >= 0).all():
        return source_frames
    order = np.full(len(source_frames), -1, dtype=np.int64)
    if index_map is not None:
        known = index_map[(index_map[:, 1] >= 0) & (index_map[:, 1] < len(order))]
        order[known[:, 1]] = known[:, 0]
    return order
