"""The background plate: what stands behind the person, and where nobody ever saw it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

MAX_FRAMES = 80
MAX_STACK_BYTES = 128 << 20
PERSON_LEVEL = 0.1  # a pixel this much person (soft mask) is not background
MARGIN_SHARE = 0.02  # the mask is grown by this share of the longer side: shadows, hair, motion between frames
MASKED = np.uint16(0xFFFF)
ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class Plate:
    """`image` [H, W, 3], with `unseen` [H, W] True where no frame shows the background and the colour is invented."""

    image: UInt8[np.ndarray, "height width 3"]
    unseen: Bool[np.ndarray, "height width"]

    @property
    def seen_share(self) -> float:
        """Share of the picture where the background was seen."""
        return float(1.0 - self.unseen.mean())


class BackgroundMean:
    """The mean colour of the background, pixel by pixel, over the frames that show it."""

    def __init__(self, height: int, width: int) -> None:
        self._sum = np.zeros((height, width, 3), np.float32)
        self._count = np.zeros((height, width), np.float32)

    def add(self, image: UInt8[np.ndarray, "height width 3"], shown: Bool[np.ndarray, "height width"]) -> None:
        """The next frame, which is background where `shown`."""
        weight = shown.astype(np.uint8)
        cv2.accumulate(image, self._sum, weight)
        self._count += weight

    def seen(self, times: int = 1) -> Bool[np.ndarray, "height width"]:
        """Where at least so many frames show the background."""
        return np.asarray(self._count >= times)

    def image(self) -> UInt8[np.ndarray, "height width 3"]:
        """The mean; black where nothing was seen."""
        mean = self._sum / np.maximum(self._count, 1)[..., None]
        return np.asarray(mean.round().clip(0, 255), dtype=np.uint8)


class PlateBuilder:
    """Collects background from frames one at a time: a bounded stack for the median, and a mean for rare sights."""

    def __init__(self, height: int, width: int, frames: int) -> None:
        """For `frames` frames to come of `height` x `width`; at most 80 of them, evenly spread, enter the median."""
        limit = stack_limit(height, width)
        spread = np.linspace(0, max(frames - 1, 0), min(limit, max(frames, 1)))
        self._chosen = {int(number) for number in spread.round()}
        self._images: list[UInt8[np.ndarray, "height width 3"]] = []
        self._masks: list[Bool[np.ndarray, "height width"]] = []
        self._mean = BackgroundMean(height, width)
        self._added = 0

    def add(self, image: UInt8[np.ndarray, "height width 3"], mask: Float[np.ndarray, "height width"]) -> None:
        """The next frame with its soft person mask."""
        person = person_area(mask)
        if self._added in self._chosen:
            self._images.append(image.copy())
            self._masks.append(person)
        self._mean.add(image, ~person)
        self._added += 1

    def finish(self) -> Plate:
        """Median where the chosen frames see background, else the mean of all that do, else a smooth fill."""
        plate = self._mean.image()
        median_into(plate, self._images, self._masks)
        unseen = ~self._mean.seen()
        return Plate(filled(plate, unseen), unseen)


def stack_limit(height: int, width: int) -> int:
    """How many frames of this size may be held for a median."""
    return max(8, min(MAX_FRAMES, MAX_STACK_BYTES // (height * width * 3)))


def person_area(mask: Float[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Where a frame does not show the background: the soft mask of whoever is in it, grown by a margin."""
    margin = max(1, round(MARGIN_SHARE * max(mask.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    return np.asarray(cv2.dilate((mask > PERSON_LEVEL).astype(np.uint8), kernel) > 0)


def median_into(
    target: UInt8[np.ndarray, "height width 3"],
    images: list[UInt8[np.ndarray, "height width 3"]],
    hidden: list[Bool[np.ndarray, "height width"]],
) -> None:
    """Write the median of the `images` that show background (are not `hidden`) into `target`, where there are any."""
    for top in range(0, target.shape[0], ROWS_AT_ONCE):
        rows = slice(top, min(top + ROWS_AT_ONCE, target.shape[0]))
        _masked_median(target[rows], [image[rows] for image in images], [mask[rows] for mask in hidden])


def filled(
    image: UInt8[np.ndarray, "height width 3"], unknown: Bool[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    """`image` with unknown pixels continued smoothly from the known ones (push-pull, Gortler et al. 1996)."""
    if not unknown.any():
        return image
    if unknown.all():
        return np.full_like(image, 127)
    colour = _push_pull(image.astype(np.float32), (~unknown).astype(np.float32))
    result = image.copy()
    result[unknown] = colour[unknown].round().clip(0, 255).astype(np.uint8)
    return result


def _masked_median(
    target: UInt8[np.ndarray, "rows width 3"], images: list[np.ndarray], masks: list[np.ndarray]
) -> None:
    """Write the median over the frames that see background into `target`, where there are any."""
    if not images:
        return
    values = np.stack(images).astype(np.uint16)  # [F, rows, W, 3]
    hidden = np.stack(masks)
    values[hidden] = MASKED
    values.sort(axis=0)
    seen = len(images) - hidden.sum(axis=0)  # [rows, W]
    middle = np.maximum(seen - 1, 0)
    low = np.take_along_axis(values, (middle // 2)[None, ..., None], axis=0)[0]
    high = np.take_along_axis(values, ((middle + 1) // 2)[None, ..., None], axis=0)[0]
    median = ((low.astype(np.uint32) + high + 1) // 2).astype(np.uint8)
    target[seen > 0] = median[seen > 0]


def _push_pull(
    colour: Float[np.ndarray, "height width 3"], weight: Float[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width 3"]:
    """Colour everywhere, from coarse to fine: known pixels keep theirs, the rest comes from coarser averages."""
    height, width = weight.shape
    if min(height, width) <= 1 or weight.all():
        mean = (colour * weight[..., None]).sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
        return np.where(weight[..., None] > 0, colour, mean)
    half = ((width + 1) // 2, (height + 1) // 2)
    small_weight = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    small_colour = cv2.resize(colour * weight[..., None], half, interpolation=cv2.INTER_AREA)
    small_colour = small_colour / np.maximum(small_weight, 1e-6)[..., None]
    coarse = _push_pull(small_colour, (small_weight > 1e-3).astype(np.float32))
    wide = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(weight[..., None] > 0, colour, cv2.blur(wide, (3, 3)))
