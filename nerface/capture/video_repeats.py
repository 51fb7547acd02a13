"""Which frames of a video only repeat the one before: a padded frame rate."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

THUMBNAIL_PX = 64
# Mean grey difference of thumbnails, in levels of 255, at and below which two frames are the same picture.
SAME_LEVELS = 0.02
# A copy that was encoded again differs a little, but far less than its neighbours do from theirs. At 0.3 three clips
# padded from 25 to 30 Hz lose 95-100 % of the copies at good quality, and 0.1 % of their true frames.
SAME_SHARE = 0.3
# Near copies rarer than this share of a clip, or fewer than this, are moments of stillness, not a padded frame rate.
PADDED_SHARE, PADDED_FRAMES = 0.03, 3


def thumbnail(image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "64 64"]:
    """A small grey picture to compare frames by."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA).astype(np.float32)


def repeated_frames(differences: Float[np.ndarray, " frames"]) -> np.ndarray:
    """Which frames [N] repeat the one before, from `differences` [N]: mean thumbnail difference to it (the first: inf).

    A frame repeats where it is the same, or, in a clip where that happens regularly, where it differs far less than
    frames on both sides of it do: so a padded frame rate is seen, and a person who holds still for a moment, slowing
    down before and speeding up after, is not. Copies in strongly compressed files (about x264's crf 30) differ as much
    as true frames and stay.
    """
    same = differences <= SAME_LEVELS
    near = same.copy()
    for index in range(1, len(differences)):
        before = differences[max(1, index - 2) : index]
        after = differences[index + 1 : index + 3]
        around = min((part.max() for part in (before, after) if len(part)), default=0.0)
        near[index] |= differences[index] <= SAME_SHARE * around
    padded = near.mean() > PADDED_SHARE and near.sum() >= PADDED_FRAMES
    return near if padded else same
