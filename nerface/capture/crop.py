"""The one fixed crop of a clip: where it lies, how it is resized, and what that does to points and to the camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from nerface.types import Intrinsics

# Room round the landmarks' box, in heights (above, below) and widths (beside) of that box. `HEAD` holds skull, hair and
# ears; `PORTRAIT` holds neck and shoulders too.
HEAD_ABOVE, HEAD_BELOW, HEAD_BESIDE = 0.45, 0.10, 0.20
PORTRAIT_ABOVE, PORTRAIT_BELOW, PORTRAIT_BESIDE = 0.60, 0.75, 0.75
WHOLE_SHARE = 0.9  # a crop this near the frame's shorter side takes the whole of it
MAX_ENLARGEMENT = 1.25  # more pixels than this times the source's hold no more of the face


@dataclass(frozen=True)
class Crop:
    """`left`, `top`, `width`, `height` px of the upright frame, resized to `out_width` x `out_height`."""

    left: int
    top: int
    width: int
    height: int
    out_width: int
    out_height: int

    @property
    def scale(self) -> float:
        """Pixels of the result for one of the source, along the width."""
        return self.out_width / self.width

    def apply(self, image: UInt8[np.ndarray, "rows columns *channels"]) -> UInt8[np.ndarray, "height width *channels"]:
        """Cut and resize: area means to shrink, cubic to enlarge."""
        cut = image[self.top : self.top + self.height, self.left : self.left + self.width]
        if (self.out_width, self.out_height) == (self.width, self.height):
            return np.ascontiguousarray(cut)
        method = cv2.INTER_AREA if self.out_width < self.width else cv2.INTER_CUBIC
        return cv2.resize(cut, (self.out_width, self.out_height), interpolation=method)

    def map_points(self, points: Float[np.ndarray, "*points 2"]) -> Float[np.ndarray, "*points 2"]:
        """Points (u, v) of the upright frame in pixels of the result, pixel centres at whole numbers in both."""
        scale = np.array([self.out_width / self.width, self.out_height / self.height])
        return (np.asarray(points) - (self.left, self.top) + 0.5) * scale - 0.5

    def intrinsics(self, focal: float, centre: tuple[float, float]) -> Intrinsics:
        """The camera of the result, for focal length and principal point (u, v) in px of the upright frame."""
        u, v = self.map_points(np.array(centre, dtype=np.float64))
        return Intrinsics(
            fx=focal * self.out_width / self.width,
            fy=focal * self.out_height / self.height,
            cx=float(u) / self.out_width,
            cy=float(v) / self.out_height,
            width=self.out_width,
            height=self.out_height,
        )


def plan_crop(
    landmarks: Float[np.ndarray, "frames points 2"], size: tuple[int, int], out_size: int, square: bool = True
) -> Crop:
    """A crop that holds head and shoulders through the whole clip.

    `landmarks` px of the upright frame of `size` (W, H). A square one lies within the frame; where the head wanders
    farther than the frame is short, no square can hold it and the crop becomes a rectangle. The longer side of the
    result is `out_size`, or less where that would enlarge more than 1.25 times; sides are even (video encoders).
    """
    portrait = _room(landmarks, size, (PORTRAIT_ABOVE, PORTRAIT_BELOW, PORTRAIT_BESIDE))
    head = _room(landmarks, size, (HEAD_ABOVE, HEAD_BELOW, HEAD_BESIDE))
    shorter = min(size)
    if square and max(head[2] - head[0], head[3] - head[1]) <= shorter:
        side = min(shorter, max(portrait[2] - portrait[0], portrait[3] - portrait[1]))
        side = shorter if side >= WHOLE_SHARE * shorter else side
        left = _place(portrait[0::2], head[0::2], side, size[0])
        top = _place(portrait[1::2], head[1::2], side, size[1])
        width = height = side
    else:
        left, top = portrait[0], portrait[1]
        width, height = portrait[2] - portrait[0], portrait[3] - portrait[1]
    longer = min(out_size, int(max(width, height) * MAX_ENLARGEMENT))
    factor = longer / max(width, height)
    return Crop(left, top, width, height, _even(width * factor), _even(height * factor))


def _room(
    landmarks: Float[np.ndarray, "frames points 2"], size: tuple[int, int], margins: tuple[float, float, float]
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of all frames' boxes with margins, within the frame."""
    low, high = landmarks.min(axis=1), landmarks.max(axis=1)  # [N, 2]
    sides = high - low
    above, below, beside = margins
    left = (low[:, 0] - beside * sides[:, 0]).min()
    right = (high[:, 0] + beside * sides[:, 0]).max()
    top = (low[:, 1] - above * sides[:, 1]).min()
    bottom = (high[:, 1] + below * sides[:, 1]).max()
    return (
        int(np.clip(np.floor(left), 0, size[0] - 2)),
        int(np.clip(np.floor(top), 0, size[1] - 2)),
        int(np.clip(np.ceil(right), 2, size[0])),
        int(np.clip(np.ceil(bottom), 2, size[1])),
    )


def _place(wanted: tuple[int, ...], needed: tuple[int, ...], side: int, limit: int) -> int:
    """Start of a stretch of `side` within [0, limit]: centred on `wanted`, moved so far that it holds `needed`."""
    start = round((wanted[0] + wanted[1] - side) / 2)
    start = min(start, needed[0])
    start = max(start, needed[1] - side)
    return int(np.clip(start, 0, limit - side))


def _even(value: float) -> int:
    return max(2, 2 * round(value / 2))
