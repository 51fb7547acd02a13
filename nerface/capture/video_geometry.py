"""From the coded picture of a video to the upright one: shape of the pixels, size to work at, turns and mirroring."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from jaxtyping import Shaped

# A pixel aspect outside this range is taken for a wrong tag, not for a lens or a tape format.
SANE_PIXEL_ASPECT = (0.5, 2.0)
TURN_TOLERANCE = 0.01  # of a quarter turn


@dataclass(frozen=True)
class Placement:
    """How coded pictures become upright ones.

    `coded` (width, height) as decoded; `full` the same with square pixels; `inner` the size to convert to, `full` or
    less; then `quarter_turns` counter-clockwise; then, with `mirrored`, left and right exchanged.
    """

    coded: tuple[int, int]
    full: tuple[int, int]
    inner: tuple[int, int]
    quarter_turns: int
    mirrored: bool

    def turned(self, size: tuple[int, int]) -> tuple[int, int]:
        """A size (width, height) after the turns."""
        return size[::-1] if self.quarter_turns % 2 else size

    def apply(
        self, image: Shaped[np.ndarray, "rows columns *channels"]
    ) -> Shaped[np.ndarray, "height width *channels"]:
        """Turn and mirror a picture of the size `inner`."""
        turns = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, -1: cv2.ROTATE_90_CLOCKWISE}
        if self.quarter_turns:
            image = cv2.rotate(image, turns[self.quarter_turns])
        return cv2.flip(image, 1) if self.mirrored else image


def placement(frame: av.VideoFrame, aspect: float, longest: int) -> Placement:
    """The placement of all frames like `frame`, whose pixels are `aspect` times as wide as high.

    The longer side is at most `longest` px: larger pictures are made smaller as they are converted, which costs less
    than to carry them on.
    """
    coded = (frame.width, frame.height)
    full = (max(1, round(frame.width * aspect)), frame.height)
    shrink = min(1.0, longest / max(full))
    inner = (max(1, round(full[0] * shrink)), max(1, round(full[1] * shrink)))
    turns, mirrored = _display(frame)
    return Placement(coded, full, inner, turns, mirrored)


def pixel_aspect(tag: object) -> tuple[float, str]:
    """The aspect to apply, and a note where the file's tag is not believed."""
    aspect = float(tag) if tag else 1.0  # type: ignore[arg-type]
    if not SANE_PIXEL_ASPECT[0] <= aspect <= SANE_PIXEL_ASPECT[1]:
        return 1.0, f"pixel aspect {aspect:.3f} of the file not believed, taken as 1"
    return aspect, ""


def _display(frame: av.VideoFrame) -> tuple[int, bool]:
    """Quarter turns counter-clockwise (-1 to 2) and mirroring that the frame's display matrix asks for.

    Nine numbers a b u, c d v, x y w, row by row, 16.16 fixed point (ISO 14496-12, 6.2.2): the point (x, y) of the coded
    picture, y down, is shown at (a x + c y, b x + d y). Tilts between quarter turns are left as they are.
    """
    sides: Any = frame.side_data
    if SideDataType.DISPLAYMATRIX not in sides:
        return 0, False
    a, b, _, c, d = struct.unpack_from("=5i", memoryview(sides[SideDataType.DISPLAYMATRIX]))
    mirrored = a * d - b * c < 0
    if mirrored:  # shown = mirror after turn: take the mirror off
        a, c = -a, -c
    quarters = -math.atan2(b - c, a + d) / (math.pi / 2)
    turns = round(quarters)
    if abs(quarters - turns) > TURN_TOLERANCE:
        return 0, mirrored
    return (turns + 1) % 4 - 1, mirrored
