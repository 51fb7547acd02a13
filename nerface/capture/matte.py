"""The person's soft mask, frame by frame: a segmentation network, steadied in time and cleaned."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from nerface.capture.network import open_network
from nerface.errors import UserError

INPUT_PX = 256
HOLE_SHARE = 0.01  # holes in the person smaller than this share of the image are faults (shirts, reflections)
NEAR_SHARE = 0.04  # of the picture's side: a piece this near the person is a hand or a lock of hair of theirs
REACH = 2  # frames before and after that steady a mask
SAME_LEVELS = 5.0  # a neighbour counts by exp(-d^2 / (2 * this^2)) for a picture difference of d levels there
PATCH_PX = 5  # of the 256 px picture: what differences are averaged over


class PersonMatte:
    """MediaPipe's selfie segmentation network (general, 256x256). Raises `UserError` where the file is not one."""

    def __init__(self, model_file: Path, threads: int = 2, device: str = "cpu") -> None:
        try:
            self._network = open_network(Path(model_file).read_bytes(), threads, device)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"{model_file} is not a mask network that can be read ({error})") from None

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width"]:
        """Soft mask of the person in an RGB image, in [0, 1], cleaned: one piece, without small holes."""
        # A guided filter that pulls the edge to the picture's was tried: against the true mask of a rendered head it
        # raised the mean error from 0.004 to 0.006 and more, because the network's edge is the sharper one. What does
        # better is the known backdrop: `nerface.capture.matte_edge`.
        return enlarged(cleaned(self.coarse(image)), image.shape[:2])

    def coarse(self, image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "256 256"]:
        """The network's own answer in [0, 1] for the picture squeezed to 256x256: everyone in it, as it comes."""
        return self.coarse_of(squeezed(image))

    def coarse_of(self, small: UInt8[np.ndarray, "256 256 3"]) -> Float[np.ndarray, "256 256"]:
        """The same for a picture that is 256x256 already."""
        values = small[None].astype(np.float32) / np.float32(255.0)
        return np.clip(self._network(values)[0].reshape(INPUT_PX, INPUT_PX), 0.0, 1.0)


def squeezed(image: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "256 256 3"]:
    """The picture as the network takes it."""
    method = cv2.INTER_AREA if max(image.shape[:2]) > INPUT_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (INPUT_PX, INPUT_PX), interpolation=method), dtype=np.uint8)


def enlarged(mask: Float[np.ndarray, "rows columns"], shape: tuple[int, ...]) -> Float[np.ndarray, "height width"]:
    """A mask at the size of a picture (height, width)."""
    return np.asarray(cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


@dataclass
class _Moment:
    """One frame in the window: what it looks like, its mask, and how alike the earlier ones in the window are."""

    blurred: Float[np.ndarray, "256 256 3"]
    mask: Float[np.ndarray, "256 256"]
    alike: dict[int, Float[np.ndarray, "256 256"]] = field(default_factory=dict)  # by how many frames earlier


class Steadier:
    """Masks averaged over time where the picture stands still: flicker goes, a moving edge stays where it is.

    Each pixel of a mask is mixed with those of up to `REACH` frames before and after, weighted by how alike the
    pictures are there (a bilateral filter along time, after Tomasi and Manduchi 1998). Against hair of known shape it
    errs like the network alone (0.118 at the edge) where plain mixing of three frames loses (0.121), and it flickers
    less than that (0.008 instead of 0.011 between frames of `obama_450`). At a cut a new one is to be taken.
    """

    def __init__(self) -> None:
        self._window: deque[_Moment] = deque(maxlen=2 * REACH + 1)
        self._coming = 0  # frames in the window that have not been given back

    def add(
        self, small: UInt8[np.ndarray, "256 256 3"], mask: Float[np.ndarray, "256 256"]
    ) -> Float[np.ndarray, "256 256"] | None:
        """The next frame; gives the mask of the frame `REACH` before it, or None while there is none yet."""
        moment = _Moment(cv2.blur(small, (3, 3)).astype(np.float32), mask)
        for back in range(1, min(REACH, len(self._window)) + 1):
            difference = self._window[-back].blurred - moment.blurred
            energy = cv2.blur(np.einsum("hwc,hwc->hw", difference, difference), (PATCH_PX, PATCH_PX))
            moment.alike[back] = cv2.exp(energy * np.float32(-0.5 / SAME_LEVELS**2))
        self._window.append(moment)
        self._coming += 1
        return self._next() if self._coming > REACH else None

    def finish(self) -> Iterator[Float[np.ndarray, "256 256"]]:
        """The masks of the last frames."""
        while self._coming:
            yield self._next()

    def _next(self) -> Float[np.ndarray, "256 256"]:
        moments = list(self._window)
        at = len(moments) - self._coming
        self._coming -= 1
        total, weight = moments[at].mask.copy(), np.ones((INPUT_PX, INPUT_PX), np.float32)
        for other in range(max(0, at - REACH), min(len(moments), at + REACH + 1)):
            if other != at:
                later, earlier = max(other, at), min(other, at)
                alike = moments[later].alike[later - earlier]
                total += alike * moments[other].mask
                weight += alike
        return np.asarray(total / weight, dtype=np.float32)


def cleaned(
    mask: Float[np.ndarray, "rows columns"], face: tuple[float, float] | None = None
) -> Float[np.ndarray, "rows columns"]:
    """Keep the person and close small holes, with their soft borders.

    The person is the piece at `face` ((u, v) as fractions of width and height), or the largest one. Pieces near it stay
    (a hand whose wrist is cut off, a lock of hair); others go (a second person, a picture on the wall).
    """
    mask = np.array(mask, dtype=np.float32)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask > 0.5).astype(np.uint8), connectivity=8)
    if count > 2:
        person = _main_piece(labels, stats, face)
        reach = max(1, round(NEAR_SHARE * max(mask.shape)))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        near = cv2.dilate((labels == person).astype(np.uint8), kernel) > 0
        kept = np.isin(labels, np.unique(labels[near & (labels > 0)]))
        others = ((labels > 0) & ~kept).astype(np.uint8)
        mask[(cv2.dilate(others, np.ones((9, 9), np.uint8)) > 0) & ~kept] = 0.0
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask <= 0.5).astype(np.uint8), connectivity=4)
    for label in range(1, count):
        left, top, width, height, area = stats[label]
        inside = left > 0 and top > 0 and left + width < mask.shape[1] and top + height < mask.shape[0]
        if inside and area < HOLE_SHARE * mask.size:
            hole = cv2.dilate((labels == label).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            mask[hole] = 1.0
    return mask


def _main_piece(labels: np.ndarray, stats: np.ndarray, face: tuple[float, float] | None) -> int:
    if face is not None:
        row = int(np.clip(face[1] * labels.shape[0], 0, labels.shape[0] - 1))
        column = int(np.clip(face[0] * labels.shape[1], 0, labels.shape[1] - 1))
        if labels[row, column] > 0:
            return int(labels[row, column])
    return 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
