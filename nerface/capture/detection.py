"""BlazeFace (short range) on whole images: boxes and eye points, with a second look at small faces.

Anchors, decoding and weighted suppression are those of the network's published graph: 128x128 input in [-1, 1], strides
8 and 16, 896 anchors, values in input pixels relative to an anchor's centre (Bazarevsky et al. 2019).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from nerface.capture.network import open_network

INPUT_PX = 128
ANCHOR_LAYERS = ((16, 2), (8, 6))  # (cells along a side, anchors in a cell)
MIN_SCORE = 0.5
MIN_OVERLAP = 0.3  # boxes that overlap more (intersection over union) are one face
# Where the whole image shows no face: (parts along a side, side of a part over the image's). A face must fill about a
# seventh of what the network sees, so these find faces of a tenth and of a sixteenth of the image; the last, for frames
# that are looked through with care, faces of a thirtieth (130 px of a 4K frame).
PARTS = ((2, 0.625), (3, 0.45))
SMALLEST_PARTS = (6, 0.2)


@dataclass(frozen=True)
class Detection:
    """A face's box (centre and sides) and its two eye points (x, y), all in image pixels; `score` in [0, 1]."""

    x: float
    y: float
    width: float
    height: float
    eyes: tuple[tuple[float, float], tuple[float, float]]
    score: float


class FaceDetector:
    """The detector network with its decoding."""

    def __init__(self, content: bytes, threads: int, device: str = "cpu") -> None:
        self._network = open_network(content, threads, device)
        self._anchors = _anchors()

    def detect(self, image: UInt8[np.ndarray, "height width 3"], thorough: bool = True) -> list[Detection]:
        """Faces of an RGB image, the surest first; where there is none, overlapping parts of it are searched too.

        `thorough` goes down to the smallest parts.
        """
        found = _suppress(self._decode(image))
        for count, share in (*PARTS, SMALLEST_PARTS) if thorough else PARTS:
            if not found:
                found = _suppress(self._decode_parts(image, count, share))
        return sorted(found, key=lambda detection: -detection.score)

    def _decode_parts(
        self, image: UInt8[np.ndarray, "height width 3"], count: int, share: float
    ) -> Float[np.ndarray, "candidates 9"]:
        """Candidates of `count` x `count` overlapping parts: a face too small in the image is larger in its part."""
        height, width = image.shape[:2]
        tall, wide = math.ceil(height * share), math.ceil(width * share)
        rows = []
        for top in np.linspace(0, height - tall, count).astype(int):
            for left in np.linspace(0, width - wide, count).astype(int):
                values = self._decode(image[top : top + tall, left : left + wide])
                values[:, [0, 4, 6]] += left
                values[:, [1, 5, 7]] += top
                rows.append(values)
        return np.concatenate(rows)

    def _decode(self, image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "candidates 9"]:
        """Candidates above the least score: x, y, width, height, two eye points, score; in pixels of `image`."""
        height, width = image.shape[:2]
        side = max(height, width)
        scale = INPUT_PX / side
        inner = cv2.resize(
            image,
            (max(1, round(width * scale)), max(1, round(height * scale))),
            interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        )
        canvas = np.zeros((INPUT_PX, INPUT_PX, 3), np.float32)  # black, as [-1, 1] puts it below
        top, left = (INPUT_PX - inner.shape[0]) // 2, (INPUT_PX - inner.shape[1]) // 2
        canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        raw, logits = self._network((canvas / 127.5 - 1.0)[None])
        score = 1.0 / (1.0 + np.exp(-np.clip(logits.reshape(-1), -60.0, 60.0)))
        keep = score >= MIN_SCORE
        raw, anchors = raw.reshape(-1, 16)[keep], self._anchors[keep]
        centre = (raw[:, 0:2] + anchors - (left, top)) / scale
        first = (raw[:, 4:6] + anchors - (left, top)) / scale
        second = (raw[:, 6:8] + anchors - (left, top)) / scale
        return np.concatenate([centre, raw[:, 2:4] / scale, first, second, score[keep, None]], axis=1)


def _anchors() -> Float[np.ndarray, "896 2"]:
    """Anchor centres (x, y) in pixels of the 128x128 input."""
    parts = []
    for cells, repeats in ANCHOR_LAYERS:
        line = (np.arange(cells) + 0.5) * INPUT_PX / cells
        grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
        parts.append(np.repeat(grid, repeats, axis=0))
    return np.concatenate(parts)


def _suppress(rows: Float[np.ndarray, "candidates 9"]) -> list[Detection]:
    """Weighted suppression: candidates that overlap the surest one are averaged with it by their scores."""
    rows = rows[np.argsort(-rows[:, 8], kind="stable")]
    found = []
    while len(rows):
        together = _overlap(rows[0], rows) > MIN_OVERLAP
        together[0] = True
        mean = np.average(rows[together, :8], axis=0, weights=rows[together, 8])
        x, y, width, height, *eyes = (float(value) for value in mean)
        found.append(Detection(x, y, width, height, ((eyes[0], eyes[1]), (eyes[2], eyes[3])), float(rows[0, 8])))
        rows = rows[~together]
    return found


def _overlap(box: Float[np.ndarray, " 9"], rows: Float[np.ndarray, "candidates 9"]) -> Float[np.ndarray, " candidates"]:
    """Intersection over union of one box with each."""
    low = np.maximum(box[:2] - box[2:4] / 2, rows[:, :2] - rows[:, 2:4] / 2)
    high = np.minimum(box[:2] + box[2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2)
    shared = np.clip(high - low, 0, None).prod(axis=1)
    return shared / np.maximum(box[2] * box[3] + rows[:, 2] * rows[:, 3] - shared, 1e-9)
