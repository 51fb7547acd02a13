"""Backdrops of one plain colour: found, continued behind the person, and, where the colour is strong, keyed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

FLAT_LEVELS = 7.0  # the backdrop is plain where it follows a smooth shade within this
FLAT_SHARE = 0.97
SEEN_SHARE = 0.15  # a picture that shows less backdrop than this says nothing about the rest
SHADE_LEVELS = 70.0  # a smooth shade that spans more than this is a scene out of focus, not a plain wall
STRONG_LEVELS = 60.0  # largest less smallest channel of a colour that no person wears all over: a studio screen
KEY_LEVELS = (14.0, 50.0)  # a colour this far from the screen's is half screen still; from the second on it is not
FIT_POINTS = 4000
ROUNDS = 3


@dataclass(frozen=True)
class PlainBackdrop:
    """The backdrop [H, W, 3] everywhere, the person's place included; `strong` where its colour can be keyed."""

    image: UInt8[np.ndarray, "height width 3"]
    strong: bool


def find_plain(
    plate: UInt8[np.ndarray, "height width 3"], seen: Bool[np.ndarray, "height width"]
) -> PlainBackdrop | None:
    """The backdrop as one colour with a smooth shade (a quadratic over the picture), or None where it is not that."""
    if seen.mean() < SEEN_SHARE:
        return None
    rows, columns = np.nonzero(seen)
    picked = np.linspace(0, len(rows) - 1, min(FIT_POINTS, len(rows))).astype(int)
    height, width = seen.shape
    design = _quadratic(rows[picked] / height - 0.5, columns[picked] / width - 0.5)
    colours = plate[rows[picked], columns[picked]].astype(np.float64)
    good = np.ones(len(picked), bool)
    for _ in range(ROUNDS):
        shade = np.linalg.lstsq(design[good], colours[good], rcond=None)[0]  # [6, 3]
        rest = np.abs(colours - design @ shade).max(axis=1)
        good = rest <= max(FLAT_LEVELS, 2 * float(np.median(rest)))
    if (rest <= FLAT_LEVELS).mean() < FLAT_SHARE:
        return None
    low, high = (design @ shade).min(axis=0), (design @ shade).max(axis=0)
    if (high - low).max() > SHADE_LEVELS:
        return None
    down, across = np.mgrid[0:height, 0:width]
    everywhere = _quadratic(down.ravel() / height - 0.5, across.ravel() / width - 0.5) @ shade
    everywhere = np.clip(everywhere, low - FLAT_LEVELS, high + FLAT_LEVELS).reshape(height, width, 3)
    image = plate.copy()
    image[~seen] = everywhere[~seen].round().clip(0, 255).astype(np.uint8)
    middle = np.median(colours, axis=0)
    return PlainBackdrop(image, bool(middle.max() - middle.min() >= STRONG_LEVELS))


def keyed(
    mask: Float[np.ndarray, "height width"],
    image: UInt8[np.ndarray, "height width 3"],
    plate: UInt8[np.ndarray, "height width 3"],
) -> Float[np.ndarray, "height width"]:
    """`mask` put right by the screen's colour: whatever of it hangs together with the outside is not the person.

    What is not of the screen's colour and hangs together with the person is (a hand, a hat that the network missed).
    Screen colour enclosed by the person stays theirs (an eye, a reflection in glasses).
    """
    away = cv2.blur(cv2.absdiff(image, plate).max(axis=2).astype(np.float32), (3, 3))
    low, high = KEY_LEVELS
    key = np.clip((away - low) / (high - low), 0.0, 1.0)
    _, outside = cv2.connectedComponents((key <= 0.5).astype(np.uint8), connectivity=4)
    beyond = np.isin(outside, np.unique(outside[(mask < 0.05) & (key <= 0.5)])) & (outside > 0)
    _, pieces = cv2.connectedComponents((key > 0.5).astype(np.uint8), connectivity=4)
    person = np.isin(pieces, np.unique(pieces[(mask > 0.95) & (key > 0.5)])) & (pieces > 0)
    result = np.where(person, 1.0, mask)
    result[beyond] = np.minimum(key, result)[beyond]
    result[~person & ~beyond & (key > 0.5)] = 0.0
    return np.asarray(result, dtype=np.float32)


def _quadratic(down: Float[np.ndarray, " points"], across: Float[np.ndarray, " points"]) -> np.ndarray:
    return np.stack([np.ones_like(down), down, across, down * across, down**2, across**2], axis=1)
