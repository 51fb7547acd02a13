"""Hard footage made from plain clips: small faces, things before the face, blur, cuts, a second face."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from nerface.capture.video import VideoFrame, iterate

Place = tuple[float, float]


def first_frames(clip: Path, count: int, start: int = 0) -> list[np.ndarray]:
    """Some pictures of a clip."""
    return [frame.image for frame in islice(iterate(clip), start, start + count)]


def as_video(images: Iterable[np.ndarray], rate: float = 25.0) -> Callable[[], Iterator[VideoFrame]]:
    """What `track_face` reads, from pictures."""
    kept = list(images)
    return lambda: (VideoFrame(number, number / rate, image) for number, image in enumerate(kept))


def pasted(image: np.ndarray, size: tuple[int, int], place: Place, side: int) -> np.ndarray:
    """The picture, `side` px high, centred at `place` of a textured frame of `size` (W, H)."""
    random = np.random.default_rng(7)
    scene = cv2.resize(random.integers(60, 190, (9, 16, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC)
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    left, top = round(place[0] - side / 2), round(place[1] - side / 2)
    right, bottom = min(left + side, size[0]), min(top + side, size[1])
    if right > max(left, 0) and bottom > max(top, 0):
        scene[max(top, 0) : bottom, max(left, 0) : right] = small[
            max(-top, 0) : bottom - top, max(-left, 0) : right - left
        ]
    return scene


def with_head(scene: np.ndarray, head: np.ndarray, place: Place, side: int) -> np.ndarray:
    """Another person's head (the middle of a square picture), cut out as a soft ellipse, before the scene."""
    small = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    rows, columns = np.mgrid[0:side, 0:side] / side - 0.5
    inside = 1 - np.hypot(columns / 0.30, (rows + 0.04) / 0.42)
    alpha = np.clip(inside * 12, 0, 1)[..., None].astype(np.float32)
    shift = np.array([[1, 0, place[0] - side / 2], [0, 1, place[1] - side / 2]], np.float64)
    size = (scene.shape[1], scene.shape[0])
    alpha, colour = (cv2.warpAffine(layer, shift, size) for layer in (alpha, small))
    return (scene * (1 - alpha[..., None]) + colour * alpha[..., None]).astype(np.uint8)


def with_box(image: np.ndarray, place: Place, side: float) -> np.ndarray:
    """A dark cup or telephone before the picture."""
    out = image.copy()
    low, high = np.rint(np.subtract(place, side / 2)).astype(int), np.rint(np.add(place, side / 2)).astype(int)
    out[max(low[1], 0) : max(high[1], 0), max(low[0], 0) : max(high[0], 0)] = (25, 22, 20)
    return out


def with_hand(image: np.ndarray, place: Place, width: float, skin: np.ndarray) -> np.ndarray:
    """A palm and four fingers of the person's own skin colour, shaded at their edges."""
    mask = np.zeros(image.shape[:2], np.uint8)
    x, y = place
    palm = (round(width / 2), round(0.47 * width))
    cv2.ellipse(mask, (round(x), round(y + 0.23 * width)), palm, 0, 0, 360, 255, -1, cv2.LINE_AA)
    for finger in range(4):
        across = round(x + width * (-0.34 + 0.22 * finger))
        thick = max(3, round(0.17 * width))
        cv2.line(mask, (across, round(y)), (across, round(y - 0.7 * width)), 255, thick, cv2.LINE_AA)
    depth = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3)
    shade = 0.65 + 0.35 * np.clip(depth / (0.09 * width), 0, 1)[..., None]
    alpha = mask[..., None] / 255.0
    return (image * (1 - alpha) + np.asarray(skin) * shade * alpha).clip(0, 255).astype(np.uint8)


def motion_blurred(image: np.ndarray, length: float, angle: float = 0.3) -> np.ndarray:
    """The camera or the head moved by `length` px while the shutter was open."""
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    step = (np.cos(angle) * length / 2, np.sin(angle) * length / 2)
    ends = [(round(half + sign * step[0]), round(half + sign * step[1])) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def renumbered(frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
    """Parts of videos joined into one."""
    for number, frame in enumerate(frames):
        yield replace(frame, index=number, timestamp=number / 25)
