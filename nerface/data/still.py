"""The best still image: what any avatar has to beat, because it needs no avatar at all."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from nerface.data.dataset import Split

FRAMES_AT_ONCE = 32


def best_still_image(train: Split) -> UInt8[np.ndarray, "height width 3"]:
    """The mean of the training frames, pixel by pixel: of all single pictures the one of least squared error to them.

    Where the backdrop always shows, it is the plate; over the head, the mean head. Frames are read a few at a time.
    """
    total = np.zeros(train.images.shape[1:], dtype=np.int64)
    for start in range(0, len(train), FRAMES_AT_ONCE):
        total += train.images[start : start + FRAMES_AT_ONCE].sum(axis=0, dtype=np.int64)
    return np.rint(total / len(train)).astype(np.uint8)
