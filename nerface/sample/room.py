"""The backdrop: a room out of focus, painted in code and the same in every frame."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

BLUR = 0.006  # of the picture's height: the room lies behind the plane of focus


def paint_room(width: int, height: int, random: np.random.Generator) -> Float[np.ndarray, "height width 3"]:
    """RGB in [0, 255]: a wall lit from the left, a window, a picture, a shelf with books, a plant."""
    unit = height / 100.0
    row, column = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    light = 1.08 - 0.32 * column - 0.14 * row
    room = np.array([188.0, 186.0, 172.0]) * light[..., None]

    def box(left: float, top: float, right: float, bottom: float, colour: tuple[int, int, int]) -> None:
        # Coordinates in hundredths of the height; the picture's middle is 0 across.
        first = (round(width / 2 + left * unit), round(top * unit))
        last = (round(width / 2 + right * unit), round(bottom * unit))
        cv2.rectangle(room, first, last, colour, -1)

    box(-52, 6, -34, 58, (236, 232, 220))
    for left, top in ((-50.5, 8), (-42.5, 8), (-50.5, 33), (-42.5, 33)):
        box(left, top, left + 7, top + 23, (206, 224, 238))
    box(-54, 58, -32, 61, (228, 222, 206))
    box(22, 6, 44, 25, (82, 60, 44))
    box(23.5, 7.5, 42.5, 23.5, (214, 206, 184))
    box(25, 15, 41, 22, (118, 142, 108))
    box(25, 9, 41, 15, (166, 190, 206))
    box(24, 56, 54, 58.5, (104, 74, 52))
    edge = 26.0
    while edge < 50.0:
        thick, tall = random.uniform(1.6, 3.2), random.uniform(10.0, 17.0)
        colour = tuple(int(value) for value in random.uniform(60, 150) + random.uniform(-25, 25, 3))
        box(edge, 56 - tall, edge + thick, 56, colour)  # type: ignore[arg-type]
        edge += thick + 0.3
    for _ in range(26):
        x, y = -43 + random.normal(0, 5), 74 + random.normal(0, 6)
        axes = (round(abs(random.normal(3.2, 0.8)) * unit), max(1, round(1.1 * unit)))
        green = (int(random.uniform(48, 96)), int(random.uniform(96, 140)), int(random.uniform(50, 80)))
        centre = (round(width / 2 + x * unit), round(y * unit))
        cv2.ellipse(room, centre, axes, random.uniform(0, 180), 0, 360, green, -1)
    box(-48, 82, -38, 104, (158, 96, 70))
    room *= (1.0 + gaussian_filter(random.standard_normal((height, width)), 0.02 * height) * 0.5)[..., None]
    blurred = gaussian_filter(room, (BLUR * height, BLUR * height, 0))
    return np.clip(blurred, 0.0, 255.0)
