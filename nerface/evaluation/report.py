"""Pictures for people: a sheet of frames beside their truth, and curves of a run. Drawn with OpenCV alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

ERROR_GAIN = 4  # the absolute error is shown this many times as bright
SHEET_WIDTH_PX = 256  # of one picture on the sheet: smaller ones are enlarged, larger ones shrunk
HEADER_PX = 22
INK, PALE = (40, 40, 40), (215, 215, 215)
COLOURS = ((31, 119, 180), (214, 96, 18), (44, 140, 60), (150, 60, 160))
CURVES_SIZE_PX = (900, 420)  # width, height
MARGIN_PX = (60, 20, 34, 46)  # left, right, top, bottom of the plot
TICKS = 5


class PictureTable:
    """Rows of pictures under column titles, added one by one and kept small."""

    def __init__(self, titles: Sequence[str]) -> None:
        self._titles = titles
        self._rows: list[np.ndarray] = []

    def add(self, pictures: Sequence[UInt8[np.ndarray, "height width 3"]], label: str = "") -> None:
        """Append one row; `label` stands in its corner."""
        row = np.concatenate([_fit(picture) for picture in pictures], axis=1)
        _write(row, label, (5, 15), (255, 255, 255), outline=True)
        self._rows.append(row)

    def image(self) -> UInt8[np.ndarray, "height width 3"]:
        """The table with its header; a header alone where nothing was added."""
        header = np.full((HEADER_PX, len(self._titles) * SHEET_WIDTH_PX, 3), 255, dtype=np.uint8)
        for column, title in enumerate(self._titles):
            _write(header, title, (column * SHEET_WIDTH_PX + 5, 15), INK)
        return np.concatenate([header, *self._rows], axis=0)


class ContactSheet:
    """Rows of truth, render and absolute error (four times as bright)."""

    def __init__(self) -> None:
        self._table = PictureTable(("truth", "render", f"absolute error x{ERROR_GAIN}"))

    def add(
        self, truth: UInt8[np.ndarray, "height width 3"], render: UInt8[np.ndarray, "height width 3"], label: str
    ) -> None:
        """Append one row; `label` stands in its corner."""
        error = np.abs(truth.astype(np.int16) - render.astype(np.int16)) * ERROR_GAIN
        self._table.add([truth, render, np.clip(error, 0, 255).astype(np.uint8)], label)

    def image(self) -> UInt8[np.ndarray, "height width 3"]:
        """The sheet with its header; a header alone where nothing was added."""
        return self._table.image()


@dataclass(frozen=True)
class Series:
    """One curve: `x` and `y` of equal length; values that are not finite are left out."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def curves(title: str, series: Sequence[Series], log_scale: bool = False) -> UInt8[np.ndarray, "height width 3"]:
    """A plot of `series` over a common x (steps or frames), with ticks and a legend; `log_scale` is that of y."""
    width, height = CURVES_SIZE_PX
    canvas = np.full((height, width, 3), 255, dtype=np.uint8)
    points = [_finite(line, log_scale) for line in series]
    everything = np.concatenate([np.zeros((0, 2)), *points])
    _write(canvas, title, (MARGIN_PX[0], 20), INK)
    if len(everything) == 0:
        _write(canvas, "no values", (width // 2 - 30, height // 2), INK)
        return canvas
    low, high = everything.min(axis=0), everything.max(axis=0)
    high = np.where(high > low, high, low + 1)
    left, right, top, bottom = MARGIN_PX
    start, span = np.array([left, height - bottom]), np.array([width - left - right, -(height - top - bottom)])

    for fraction in np.linspace(0, 1, TICKS):
        x, y = (start + fraction * span).round().astype(int)
        value = low + fraction * (high - low)
        cv2.line(canvas, (left, int(y)), (width - right, int(y)), PALE, 1)
        _write(canvas, _tick(10 ** value[1] if log_scale else value[1]), (6, int(y) + 4), INK)
        _write(canvas, _tick(value[0]), (int(x) - 12, height - bottom + 18), INK)
    for number, (line, values) in enumerate(zip(series, points)):
        colour = COLOURS[number % len(COLOURS)]
        places = (start + (values - low) / (high - low) * span).round().astype(np.int32)
        cv2.polylines(canvas, [places.reshape(-1, 1, 2)], False, colour, 1, cv2.LINE_AA)
        if len(places) <= 30:
            for x, y in places:
                cv2.circle(canvas, (int(x), int(y)), 2, colour, -1, cv2.LINE_AA)
        _write(canvas, line.name, (left + 150 * number, height - 8), colour)
    return canvas


def _finite(line: Series, log_scale: bool) -> np.ndarray:
    points = np.stack([np.asarray(line.x, dtype=np.float64), np.asarray(line.y, dtype=np.float64)], axis=-1)
    if log_scale:
        points = points[points[:, 1] > 0]
        points[:, 1] = np.log10(points[:, 1])
    return points[np.isfinite(points).all(axis=1)]


def _tick(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _fit(picture: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "fitted width 3"]:
    height = max(1, round(picture.shape[0] * SHEET_WIDTH_PX / picture.shape[1]))
    way = cv2.INTER_AREA if picture.shape[1] > SHEET_WIDTH_PX else cv2.INTER_CUBIC
    return cv2.resize(picture, (SHEET_WIDTH_PX, height), interpolation=way)


def _write(
    canvas: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, int, int], outline: bool = False
) -> None:
    if outline:
        cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
