"""Head boxes from the 68 iBUG points that most other trackers follow."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from nerface.data.boxes import WHOLE_IMAGE
from nerface.interop.tracker_boxes import TrackedBoxes, boxes_of_faces

# The points reach from the brows to the chin and from ear to ear. The forehead and the hair over it take about as much
# of a head's height again as half of that stretch; the ears stand out by a little.
FOREHEAD_SHARE, EARS_SHARE = 0.5, 0.08


def boxes_of_ibug(landmarks: Float[np.ndarray, "frames 68 2"], size: tuple[int, int]) -> TrackedBoxes:
    """Sampling and head boxes for pictures of `size` (W, H); frames without points take those of their neighbours."""
    known = np.isfinite(landmarks).all(axis=(1, 2))
    if not known.any():
        whole = np.tile(np.array(WHOLE_IMAGE), (len(landmarks), 1))
        return TrackedBoxes(whole, whole)
    rows = np.arange(len(landmarks))
    points = np.stack(
        [np.interp(rows, rows[known], column) for column in landmarks[known].reshape(known.sum(), -1).T], axis=1
    ).reshape(len(landmarks), -1, 2)
    low, high = points.min(axis=1), points.max(axis=1) + 1
    tall, wide = high[:, 1] - low[:, 1], high[:, 0] - low[:, 0]
    return boxes_of_faces(
        np.stack(
            [
                low[:, 1] - FOREHEAD_SHARE * tall,
                high[:, 1],
                low[:, 0] - EARS_SHARE * wide,
                high[:, 0] + EARS_SHARE * wide,
            ],
            axis=1,
        ),
        size,
    )
