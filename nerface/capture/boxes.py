"""The box round the whole head, hair included, in every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.ndimage import gaussian_filter1d, median_filter

Mask = Shaped[np.ndarray, "height width"]
Masks = Iterable[Mask] | Callable[[int], Mask]

_VERTICES = 468  # landmarks on the skin; the rest are irises
_FOREHEAD, _CHIN = 10, 152
_MOUTH_CORNERS = (61, 291)

# Shares of the face's height (forehead landmark to chin) and of its landmarks' width.
_SKULL_ABOVE_FOREHEAD = 0.30  # without a mask: the crown stands some 5 cm over the hairline of an 18 cm face
_MOST_HAIR_ABOVE = 0.75  # with a mask: nothing higher is believed to be hair
_SIDE_WITHOUT_MASK = 0.10  # ears
_MOST_HAIR_ASIDE = 0.40  # beyond it a shoulder, a hand or another person
_BELOW_CHIN = 0.05
_PERSON = 128  # mask values from here on are person
_LEAST_RUN = 0.06  # a row or column counts from this share of the fullest one on: ears do, stray pixels do not
_MEDIAN_FRAMES = 7
_SMOOTHING_FRAMES = 2.0

# The seed grows the box of its face mesh by these shares of the box before it draws rays from it (nerface's converter).
_GROWN_TOP = 0.27
_GROWN_ELSEWHERE = 0.15


@dataclass(frozen=True)
class _Extent:
    """Rows and columns of a box in pixels, edges counted."""

    top: float
    bottom: float
    left: float
    right: float


def head_boxes(
    landmarks: Float[np.ndarray, "frames 478 2"], masks: Masks | None, size: tuple[int, int]
) -> Float[np.ndarray, "frames 4"]:
    """Boxes [row_min, row_max, col_min, col_max] (fractions of H, W) round the head, smooth over time.

    `landmarks` px (u, v) in a picture of `size` (W, H). `masks` are the frames' person masks (255 = person) at any
    resolution, in frame order: an array [N, H, W], any iterable, or a function of the frame number (both keep memory
    bounded); without them hair and ears are guessed from the face's proportions. Every box holds all landmarks that lie
    in the picture. Raises `ValueError` where there are fewer masks than frames.
    """
    builder = HeadBoxBuilder(landmarks, size)
    if callable(masks):
        masks = map(masks, range(len(landmarks)))
    source = None if masks is None else iter(masks)
    for frame in range(len(landmarks)):
        mask = None if source is None else next(source, None)
        if source is not None and mask is None:
            raise ValueError(f"{frame} masks for {len(landmarks)} frames")
        builder.add(mask)
    return builder.finish()


class HeadBoxBuilder:
    """`head_boxes` for masks that stream by: `add` one for each frame in order, then `finish`."""

    def __init__(self, landmarks: Float[np.ndarray, "frames 478 2"], size: tuple[int, int]) -> None:
        self._points = np.asarray(landmarks, dtype=np.float64)[:, :_VERTICES]
        self._size = size
        self._extents: list[_Extent] = []

    def add(self, mask: Mask | None) -> None:
        """The next frame's person mask (uint8 from 128 on, floats from 0.5 on, or booleans), or None."""
        points = self._points[len(self._extents)]
        self._extents.append(_head_extent(points, None if mask is None else _person(mask), self._size))

    def finish(self) -> Float[np.ndarray, "frames 4"]:
        """The boxes, smooth over time."""
        if len(self._extents) != len(self._points):
            raise ValueError(f"{len(self._extents)} masks for {len(self._points)} frames")
        extents = _smooth(np.array([(e.top, e.bottom, e.left, e.right) for e in self._extents]))
        # Smoothing may cut a corner off a quick movement: the landmarks themselves stay inside.
        low, high = self._points.min(axis=1), self._points.max(axis=1) + 1
        extents[:, 0] = np.minimum(extents[:, 0], low[:, 1])
        extents[:, 1] = np.maximum(extents[:, 1], high[:, 1])
        extents[:, 2] = np.minimum(extents[:, 2], low[:, 0])
        extents[:, 3] = np.maximum(extents[:, 3], high[:, 0])
        width, height = self._size
        return np.asarray(np.clip(extents / np.array([height, height, width, width]), 0.0, 1.0))


def sampling_boxes(boxes: Float[np.ndarray, "frames 4"]) -> Float[np.ndarray, "frames 4"]:
    """The boxes that weigh training pixels: head boxes with a margin of the seed's kind, clipped to the picture.

    The seed grows the box of a bare face mesh by 0.27 of its height at the top and 0.15 elsewhere. A head box already
    holds hair and ears; it grows at the top only by what the seed's margin there exceeds the others.
    """
    height = boxes[:, 1] - boxes[:, 0]
    width = boxes[:, 3] - boxes[:, 2]
    grown = np.stack(
        [
            boxes[:, 0] - (_GROWN_TOP - _GROWN_ELSEWHERE) * height,
            boxes[:, 1] + _GROWN_ELSEWHERE * height,
            boxes[:, 2] - _GROWN_ELSEWHERE * width,
            boxes[:, 3] + _GROWN_ELSEWHERE * width,
        ],
        axis=1,
    )
    return np.asarray(np.clip(grown, 0.0, 1.0))


def _person(mask: Mask) -> Bool[np.ndarray, "height width"]:
    if mask.dtype == np.bool_:
        return mask
    return np.asarray(mask >= (0.5 if np.issubdtype(mask.dtype, np.floating) else _PERSON))


def _head_extent(
    points: Float[np.ndarray, "468 2"], person: Bool[np.ndarray, "height width"] | None, size: tuple[int, int]
) -> _Extent:
    """One frame's head: the landmarks' box grown to crown, hair and chin."""
    left, top = points.min(axis=0)
    right, bottom = points.max(axis=0)
    face_height = float(np.linalg.norm(points[_FOREHEAD] - points[_CHIN]))
    face_width = right - left
    up = (points[_FOREHEAD] - points[_CHIN]) / max(face_height, 1e-6)
    crown = points[_FOREHEAD] + _SKULL_ABOVE_FOREHEAD * face_height * up
    guess = _Extent(
        top=min(top, crown[1]),
        bottom=bottom + 1 + _BELOW_CHIN * face_height,
        left=min(left - _SIDE_WITHOUT_MASK * face_width, crown[0]),
        right=max(right + 1 + _SIDE_WITHOUT_MASK * face_width, crown[0]),
    )
    if person is None:
        return guess
    window = _Extent(
        top=top - _MOST_HAIR_ABOVE * face_height,
        bottom=float(points[list(_MOUTH_CORNERS), 1].mean()),
        left=left - _MOST_HAIR_ASIDE * face_width,
        right=right + 1 + _MOST_HAIR_ASIDE * face_width,
    )
    found = _person_extent(person, window, size)
    if found is None:
        return guess
    return _Extent(min(top, found.top), guess.bottom, min(left, found.left), max(right + 1, found.right))


def _person_extent(person: Bool[np.ndarray, "height width"], window: _Extent, size: tuple[int, int]) -> _Extent | None:
    """Where the person reaches inside a window, or None where the mask is empty there.

    Rows and columns with a few person pixels only do not count, so that wrong pixels and thin rims of the mask do not
    stretch the box.
    """
    rows_per_px, columns_per_px = person.shape[0] / size[1], person.shape[1] / size[0]
    first_row = int(np.clip(window.top * rows_per_px, 0, person.shape[0]))
    first_column = int(np.clip(window.left * columns_per_px, 0, person.shape[1]))
    part = person[
        first_row : int(np.clip(np.ceil(window.bottom * rows_per_px), 0, person.shape[0])),
        first_column : int(np.clip(np.ceil(window.right * columns_per_px), 0, person.shape[1])),
    ]
    if not part.any():
        return None
    in_rows, in_columns = part.sum(axis=1), part.sum(axis=0)
    rows = np.flatnonzero(in_rows >= max(1.0, _LEAST_RUN * in_rows.max()))
    columns = np.flatnonzero(in_columns >= max(1.0, _LEAST_RUN * in_columns.max()))
    return _Extent(
        top=(first_row + rows[0]) / rows_per_px,
        bottom=(first_row + rows[-1] + 1) / rows_per_px,
        left=(first_column + columns[0]) / columns_per_px,
        right=(first_column + columns[-1] + 1) / columns_per_px,
    )


def _smooth(extents: Float[np.ndarray, "frames 4"]) -> Float[np.ndarray, "frames 4"]:
    """A running median against single bad masks, then a Gaussian."""
    steady = median_filter(extents, size=(_MEDIAN_FRAMES, 1), mode="nearest")
    return np.asarray(gaussian_filter1d(steady, _SMOOTHING_FRAMES, axis=0, mode="nearest"))
