"""A small software rasteriser in numpy: triangles to the nearest triangle and barycentric weights of every sample.

Triangles are worked on together, in groups of like size on the screen, so there is no loop over triangles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_NEAR = 1.0  # nearer than this (in units of the vertices) a triangle is left out
_SAMPLES_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Hits:
    """The samples that a triangle covers.

    `sample` [K] row-major index into the picture, `triangle` [K] index, `weights` [K, 3] of its corners, already
    corrected for perspective.
    """

    sample: Int[np.ndarray, " hits"]
    triangle: Int[np.ndarray, " hits"]
    weights: Float[np.ndarray, "hits 3"]


def rasterise(
    points: Float[np.ndarray, "vertices 3"],
    triangles: Int[np.ndarray, "triangles 3"],
    push_back: Float[np.ndarray, " triangles"],
    size: tuple[int, int],
) -> Hits:
    """What is seen of `triangles` through a picture of `size` (width, height) samples.

    `points` hold column, row and depth of each vertex, a sample's centre being at whole numbers; `push_back` is added
    to a triangle's depth in the test of what is in front (to keep an eyeball behind the lid that lies on it).
    """
    corners = points[triangles]  # [T, 3, 3]
    low = np.maximum(np.ceil(corners[..., :2].min(axis=1)), 0).astype(np.int64)
    high = np.minimum(np.floor(corners[..., :2].max(axis=1)), np.array(size) - 1).astype(np.int64)
    area = _area(corners)
    seen = (high >= low).all(axis=1) & (corners[..., 2].min(axis=1) > _NEAR) & (np.abs(area) > 1e-9)
    nearest = np.full(size[0] * size[1], np.inf)
    owner = np.full(size[0] * size[1], -1, np.int64)
    extent = (high - low + 1).max(axis=1)
    side = 2 ** np.ceil(np.log2(np.maximum(extent, 2))).astype(np.int64)
    for step in np.unique(side[seen]):
        group = np.flatnonzero(seen & (side == step))
        for part in np.array_split(group, max(1, len(group) * int(step) ** 2 // _SAMPLES_AT_ONCE)):
            _cover(corners, low, high, push_back, part, int(step), size, nearest, owner)
    sample = np.flatnonzero(owner >= 0)
    triangle = owner[sample]
    flat = _barycentric(corners[triangle], sample % size[0], sample // size[0])
    weights = flat / corners[triangle, :, 2]
    return Hits(sample, triangle, weights / weights.sum(axis=1, keepdims=True))


def _cover(corners, low, high, push_back, part, step, size, nearest, owner) -> None:  # type: ignore[no-untyped-def]
    """Test one group of triangles, each on a block of `step` by `step` samples, and keep what is in front."""
    offsets = np.arange(step)
    columns = low[part, 0, None, None] + offsets[None, None, :]
    rows = low[part, 1, None, None] + offsets[None, :, None]
    columns, rows = np.broadcast_arrays(columns, rows)
    weights = _barycentric(corners[part][:, None, None], columns, rows)
    inside = (weights >= 0).all(axis=-1) & (columns <= high[part, 0, None, None]) & (rows <= high[part, 1, None, None])
    which, *_ = at = np.nonzero(inside)
    if not len(which):
        return
    inverse = (weights[at] / corners[part][which][..., 2]).sum(axis=1)
    depth = 1.0 / inverse + push_back[part][which]
    sample = rows[at] * size[0] + columns[at]
    # Farthest first: of several values written to one place, numpy keeps the last.
    order = np.argsort(-depth, kind="stable")
    order = order[depth[order] < nearest[sample[order]]]
    nearest[sample[order]] = depth[order]
    owner[sample[order]] = part[which[order]]


def _area(corners: Float[np.ndarray, "triangles 3 3"]) -> Float[np.ndarray, " triangles"]:
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])


def _barycentric(corners: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Weights of the three corners on the screen, before the correction for perspective."""
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    area = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
    left_b = (b[..., 0] - column) * (c[..., 1] - row) - (b[..., 1] - row) * (c[..., 0] - column)
    left_c = (c[..., 0] - column) * (a[..., 1] - row) - (c[..., 1] - row) * (a[..., 0] - column)
    first, second = left_b / area, left_c / area
    return np.stack([first, second, 1.0 - first - second], axis=-1)
