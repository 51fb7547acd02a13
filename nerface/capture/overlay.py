"""The evidence video: what capture believes, drawn on the frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from nerface.cameras import project
from nerface.types import Camera, Intrinsics
from nerface.video import VideoWriter

_SHIFT = 4  # OpenCV draws at 1/16 px when coordinates carry four binary places
_AXIS_COLOURS = ((255, 60, 60), (60, 220, 60), (80, 130, 255))  # x, y, z: red, green, blue
_SEEN, _MODEL, _BOX = (255, 225, 90), (90, 235, 255), (255, 255, 255)
_DOT_SHARE = 1 / 500  # radius of a landmark's dot over the shorter side
_LINE_SHARE = 1 / 250


@dataclass(frozen=True)
class OverlayData:
    """What is drawn on N pictures.

    `landmarks` [N, L, 2] px (u, v); `projected` [N, M, 2] px, the solved face's, or None; `camera_to_head` [N, 4, 4];
    `intrinsics` of the pictures; `head_boxes` [N, 4] fractions; `axis_length` of the drawn axes in head units.
    """

    landmarks: Float[np.ndarray, "frames landmarks 2"]
    projected: Float[np.ndarray, "frames vertices 2"] | None
    camera_to_head: Float[np.ndarray, "frames 4 4"]
    intrinsics: Intrinsics
    head_boxes: Float[np.ndarray, "frames 4"]
    axis_length: float

    def __len__(self) -> int:
        return int(self.landmarks.shape[0])


def write_overlay(
    path: Path | str, images: Iterable[UInt8[np.ndarray, "height width 3"]], faces: OverlayData, frame_rate: float
) -> None:
    """Write an MP4 of `images` (RGB, one for each frame of `faces`) with landmarks, head axes and head box.

    Seen landmarks are yellow, the solved face's blue-green; head axes x, y, z are red, green, blue; the box is white.
    Raises `ValueError` where images and faces do not match in number or size.
    """
    inner = faces.intrinsics
    count = 0
    with VideoWriter(path, frame_rate, inner.width, inner.height) as writer:
        for image in images:
            if count >= len(faces):
                raise ValueError(f"more pictures than the {len(faces)} frames")
            writer.write(draw_overlay(image, faces, count))
            count += 1
        if count != len(faces):
            raise ValueError(f"{count} pictures for {len(faces)} frames")


def draw_overlay(
    image: UInt8[np.ndarray, "height width 3"], faces: OverlayData, frame: int
) -> UInt8[np.ndarray, "height width 3"]:
    """A copy of `image` with what `faces` says of `frame` drawn on it."""
    height, width = image.shape[:2]
    inner = faces.intrinsics
    if (width, height) != (inner.width, inner.height):
        raise ValueError(f"a picture of {width}x{height} for a camera of {inner.width}x{inner.height}")
    canvas = np.ascontiguousarray(image).copy()
    shorter = min(width, height)
    line = max(1, round(shorter * _LINE_SHARE))
    row_min, row_max, col_min, col_max = faces.head_boxes[frame]
    corners = np.array([[col_min * width, row_min * height], [col_max * width - 1, row_max * height - 1]])
    first, second = _fixed(corners)
    cv2.rectangle(canvas, first, second, _BOX, max(1, line // 2), cv2.LINE_AA, _SHIFT)
    if faces.projected is not None:
        _dots(canvas, faces.projected[frame], _MODEL, shorter * _DOT_SHARE)
    _dots(canvas, faces.landmarks[frame], _SEEN, shorter * _DOT_SHARE)

    tips = np.concatenate([np.zeros((1, 3)), faces.axis_length * np.eye(3)])
    camera = Camera(inner, torch.as_tensor(faces.camera_to_head[frame], dtype=torch.float64))
    seen = project(camera, torch.as_tensor(tips)).numpy()
    if np.all(seen[:, 2] > 0) and np.isfinite(seen).all():
        places = _fixed(seen[:, :2])
        for tip in np.argsort(-seen[1:, 2]):  # the axis nearest the camera on top
            cv2.line(canvas, places[0], places[tip + 1], _AXIS_COLOURS[tip], line, cv2.LINE_AA, _SHIFT)
    return canvas


def _dots(
    canvas: np.ndarray, points: Float[np.ndarray, "points 2"], colour: tuple[int, int, int], radius: float
) -> None:
    scaled = max(round(radius * 2**_SHIFT), 2**_SHIFT // 2)
    for place in _fixed(points[np.isfinite(points).all(axis=1)]):
        cv2.circle(canvas, place, scaled, colour, -1, cv2.LINE_AA, _SHIFT)


def _fixed(points: Float[np.ndarray, "points 2"]) -> list[tuple[int, int]]:
    """Pixel places as OpenCV's fixed-point integers; far-away ones are kept within what it can draw."""
    limited = np.clip(points, -1e4, 1e4)
    return [(int(u), int(v)) for u, v in np.round(limited * 2**_SHIFT)]
