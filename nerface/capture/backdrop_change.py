"""What is left of a frame's background once its exposure is known: light that moves, and things that move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from nerface.capture.exposure import DARKEST, LEAST_CELLS, Gain, Glance

MOVED_LEVELS = 12.0  # a cell (mean of 1/4096 of the picture) that differs by this much shows something else
UNKNOWN = (float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class BackdropChange:
    """How each of N frames' background differs from the plate beyond exposure and camera motion.

    `slope` [N, 2]: relative change of brightness from the left to the right edge, and from top to bottom;
    `moved` [N]: share of the seen background that is not as the plate. NaN where nothing could be seen.
    """

    slope: Float[np.ndarray, "frames 2"]
    moved: Float[np.ndarray, " frames"]


def change_of(
    seen: Glance,
    gain: Gain,
    reference: Float[np.ndarray, "cells cells 3"],
    known: Bool[np.ndarray, "cells cells"],
) -> tuple[float, float, float]:
    """One frame's slope across, slope down, and share of moved cells; NaN where too little is seen."""
    usable = seen.background & known & (reference > DARKEST).all(axis=2)
    if usable.sum() < LEAST_CELLS or not np.isfinite(gain.value).all():
        return UNKNOWN
    rows, columns = np.nonzero(usable)
    across = (columns + 0.5) / usable.shape[1] - 0.5
    down = (rows + 0.5) / usable.shape[0] - 0.5
    expected = reference[usable] * gain.value
    rest = seen.colours[usable] - expected  # [C, 3]
    weight = expected.mean(axis=1)
    design = weight[:, None] * np.stack([np.ones_like(across), across, down], axis=1)
    value = rest.mean(axis=1)
    inlier = np.abs(rest).max(axis=1) < np.maximum(MOVED_LEVELS, 0.25 * weight)
    if inlier.sum() < LEAST_CELLS:
        return UNKNOWN
    plane = np.linalg.lstsq(design[inlier], value[inlier], rcond=None)[0]
    moved = np.abs(rest - (design @ plane)[:, None]).max(axis=1) > MOVED_LEVELS
    return float(plane[1]), float(plane[2]), float(moved.mean())


def change_over_time(parts: list[tuple[float, float, float]]) -> BackdropChange:
    """The changes of all frames, in temporal order."""
    table = np.array(parts, dtype=np.float64).reshape(-1, 3)
    return BackdropChange(table[:, :2], table[:, 2])
