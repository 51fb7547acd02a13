"""Boxes on pictures: fractions to pixels, and where the head is in frames whose head box nobody stored."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from nerface.cameras import project
from nerface.types import Camera, Intrinsics

WHOLE_IMAGE = (0.0, 1.0, 0.0, 1.0)
SMALLEST_BOX_PX = 2.0


def box_slices(box: Float[np.ndarray, " 4"], height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of a box [row_min, row_max, col_min, col_max] of fractions, rounded down as the seed does.

    Clipped to the image, and at least one pixel each way.
    """
    rows, columns = _interval(box[0], box[1], height), _interval(box[2], box[3], width)
    return rows, columns


def _interval(low: float, high: float, size: int) -> slice:
    start = int(np.clip(np.floor(low * size), 0, size - 1))
    return slice(start, int(np.clip(np.floor(high * size), start + 1, size)))


def estimate_head_boxes(
    camera_to_head: Float[np.ndarray, "frames 4 4"],
    intrinsics: Intrinsics,
    known_boxes: Float[np.ndarray, "known 4"],
    known_poses: Float[np.ndarray, "known 4 4"],
) -> Float[np.ndarray, "frames 4"]:
    """Head boxes of frames from their poses, given boxes round the head in other frames (the seed's training boxes).

    Each known box is brought to the plane through the head's origin that faces the camera, as distances from the
    origin in head units; the mean of these rectangles is then seen with each frame's pose and clipped to the image.
    (The facing plane, not one fixed to the head: the latter shrinks to a line when the head turns away.)
    Known boxes that are the whole image say nothing and are left out; with none left, the whole image is the answer.
    """
    telling = ~np.all(np.isclose(known_boxes, WHOLE_IMAGE), axis=1)
    known = _origins_seen(known_poses[telling], intrinsics)  # [K, 3]
    telling_boxes = known_boxes[telling][known[:, 2] > 0]
    known = known[known[:, 2] > 0]
    if len(known) == 0:
        return np.tile(np.array(WHOLE_IMAGE, dtype=np.float32), (len(camera_to_head), 1))
    size = np.array([intrinsics.height, intrinsics.height, intrinsics.width, intrinsics.width], dtype=np.float64)
    rectangle = ((telling_boxes * size - known[:, [1, 1, 0, 0]]) * known[:, 2:]).mean(axis=0)  # px x depth

    seen = _origins_seen(camera_to_head, intrinsics)
    boxes = (seen[:, [1, 1, 0, 0]] + rectangle / np.maximum(seen[:, 2:], 1e-6)) / size
    boxes = np.clip(boxes, 0, 1)
    # A head out of the picture or behind the camera leaves nothing to measure on: fall back on the whole frame.
    empty = (seen[:, 2] <= 0) | np.any((boxes[:, 1::2] - boxes[:, ::2]) * size[::2] < SMALLEST_BOX_PX, axis=1)
    boxes[empty] = WHOLE_IMAGE
    return boxes.astype(np.float32)


def _origins_seen(poses: Float[np.ndarray, "frames 4 4"], intrinsics: Intrinsics) -> Float[np.ndarray, "frames 3"]:
    """Where each camera sees the head's origin: column, row, depth."""
    origin = torch.zeros(1, 3, dtype=torch.float64)
    if len(poses) == 0:
        return np.zeros((0, 3))
    # Mapped over the frames at once: thousands of single calls would be most of the time a dataset takes to open.
    seen = torch.vmap(lambda pose: project(Camera(intrinsics, pose), origin)[0])(
        torch.from_numpy(poses.astype(np.float64))
    )
    return seen.numpy()
