"""Exposure and white balance of every frame, from the background beside the person.

A phone turns its gains while it films. What stands still behind the person tells by how much: the gain of a frame is
the factor, one for each colour channel, between its background and the plate's. It is measured on stored (sRGB-coded)
values, because that is what training compares. sRGB is nearly a power law, so a gain of the light is nearly a gain of
the stored value too (k of the light becomes about k^(1/2.2)); the darkest and brightest cells, where it is not, are
left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

CELLS = 64  # a frame is judged by the mean colours of this many cells along each side
DARKEST, BRIGHTEST = 16.0, 235.0  # levels; cells beyond lie in sRGB's straight part, the black clip or the white clip
CLIPPED = 250  # a cell that holds a channel value this bright is left out
LEAST_CELLS = 40  # fewer background cells than this (1 % of them) say nothing about a frame
INLIER_LEVELS = 1.5  # a cell this far from the fit is kept whatever the spread of the others
INLIER_SPREADS = 3.0
NOISE_FLOOR = 5e-4  # relative: what rounding to 8 bits and coding leave of a mean over some hundred cells
PATCH_CELLS = 8  # errors are judged by patches of so many cells a side
ROUNDS = 5
ANYTHING = 1e4  # variance of a level of which nothing is known yet


@dataclass(frozen=True)
class Glance:
    """A frame at a glance: mean colours of `CELLS` x `CELLS` cells, and which of them show background alone."""

    colours: Float[np.ndarray, "cells cells 3"]
    background: Bool[np.ndarray, "cells cells"]


@dataclass(frozen=True)
class Gain:
    """The measured gain [3] of one frame (red, green, blue) and its relative standard error; NaN = not to be seen."""

    value: Float[np.ndarray, " 3"]
    error: float


@dataclass(frozen=True)
class Exposure:
    """`gains` [N, 3]: each frame's background is the plate times its gain (red, green, blue; 1 = as the plate).

    `measured` [N] is False where too little background was seen: such a gain is interpolated. `errors` [N] are the
    relative standard errors of what was measured (NaN where nothing was).
    """

    gains: Float[np.ndarray, "frames 3"]
    measured: Bool[np.ndarray, " frames"]
    errors: Float[np.ndarray, " frames"]


def divided(
    image: UInt8[np.ndarray, "height width 3"], gain: Float[np.ndarray, " 3"]
) -> UInt8[np.ndarray, "height width 3"]:
    """`image` over `gain`, rounded and clipped; the same picture where the gain changes nothing."""
    levels = np.arange(256, dtype=np.float64)[:, None] / gain
    table = np.rint(levels).clip(0, 255).astype(np.uint8)  # [256, 3]
    if (table == np.arange(256, dtype=np.uint8)[:, None]).all():
        return image
    return np.asarray(cv2.LUT(image, table[None]), dtype=np.uint8)


def glance(image: UInt8[np.ndarray, "height width 3"], person: Bool[np.ndarray, "height width"]) -> Glance:
    """Reduce a frame and where its person is (grown by a margin already) to cells."""
    size = (CELLS, CELLS)
    colours = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    hidden = 255 - cv2.inRange(image, np.zeros(3), np.full(3, CLIPPED - 1.0))
    hidden[person] = 255
    covered = np.asarray(cv2.resize(hidden.astype(np.float32), size, interpolation=cv2.INTER_AREA))
    return Glance(colours, covered < 0.2)


def measure(
    seen: Glance, reference: Float[np.ndarray, "cells cells 3"], known: Bool[np.ndarray, "cells cells"]
) -> Gain:
    """Gain of a frame against the `reference` cells, where those are `known`: least squares over the inliers.

    The median ratio starts it, so that up to half of the cells may have changed (a passer-by, a lamp, a shadow).
    """
    usable = seen.background & known
    usable &= (reference > DARKEST).all(axis=2) & (reference < BRIGHTEST).all(axis=2)
    usable &= (seen.colours > DARKEST / 2).all(axis=2) & (seen.colours < BRIGHTEST).all(axis=2)
    if usable.sum() < LEAST_CELLS:
        return Gain(np.full(3, np.nan), float("nan"))
    colour, plate = seen.colours[usable].astype(np.float64), reference[usable].astype(np.float64)  # [C, 3]
    value = np.median(colour / plate, axis=0)
    for _ in range(2):
        rest = np.abs(colour - value * plate).max(axis=1)  # [C]
        inlier = rest <= max(INLIER_LEVELS, INLIER_SPREADS * float(np.median(rest)))
        value = (colour[inlier] * plate[inlier]).sum(axis=0) / (plate[inlier] ** 2).sum(axis=0)
    patch = np.flatnonzero(usable)[inlier]
    return Gain(value, _standard_error(colour[inlier], plate[inlier], value, patch))


def _standard_error(
    colour: Float[np.ndarray, "inliers 3"],
    plate: Float[np.ndarray, "inliers 3"],
    gain: Float[np.ndarray, " 3"],
    cell: Int[np.ndarray, " inliers"],
) -> float:
    """Relative error of the gain, from how much patches of the picture disagree (cells side by side err alike)."""
    patch = cell // CELLS // PATCH_CELLS * (CELLS // PATCH_CELLS) + cell % CELLS // PATCH_CELLS
    score = np.zeros((patch.max() + 1, 3))
    np.add.at(score, patch, (colour - gain * plate) * plate)
    return max(float((np.sqrt((score**2).sum(axis=0)) / (plate**2).sum(axis=0) / gain).max()), NOISE_FLOOR)


def balance(
    seen: list[Glance],
) -> tuple[Float[np.ndarray, "cells cells 3"], Bool[np.ndarray, "cells cells"], Float[np.ndarray, "frames 3"]]:
    """Common background cells, where they are known, and the gain of each frame; the median gain is 1.

    Cells and gains depend on each other, so they take turns: the cells are the median over the frames divided by their
    gains, the gains are measured against the cells. Frames that show too little get the median gain.
    """
    colours = np.stack([one.colours for one in seen])  # [F, C, C, 3]
    background = np.stack([one.background for one in seen])
    known: Bool[np.ndarray, "cells cells"] = np.asarray(background.any(axis=0))
    gains = np.ones((len(seen), 3))
    reference: Float[np.ndarray, "cells cells 3"] = np.zeros(colours.shape[1:], np.float32)
    for _ in range(ROUNDS):
        scaled = (colours / gains[:, None, None, :]).astype(np.float32)
        scaled[~background] = np.nan
        reference[known] = np.nanmedian(scaled[:, known], axis=0)
        measured = np.stack([measure(one, reference, known).value for one in seen])
        if not np.isfinite(measured).any():
            break
        middle = np.nanmedian(measured, axis=0)
        gains = np.where(np.isfinite(measured), measured / middle, 1.0)
    return reference, known, gains


def exposure_over_time(measured: list[Gain], segments: Sequence[int] | None = None) -> Exposure:
    """Gains of all frames in temporal order: smoothed only as far as their noise asks, interpolated where missing.

    Nothing is smoothed or interpolated across a change of `segments` (one number a frame; None: one for all). A segment
    without any measurement keeps the gain of the one before it.

    A local-level model (a random walk seen with noise) through a Kalman filter and the Rauch-Tung-Striebel smoother.
    The walk's variance comes from the clip: what the differences between frames show beyond the errors of measurement.
    So a clip whose camera moves its gain keeps every step of it, and one with a fixed gain is averaged.
    """
    values = np.stack([one.value for one in measured]) if measured else np.zeros((0, 3))
    errors = np.array([one.error for one in measured])
    known = np.isfinite(values).all(axis=1) & (values > 0).all(axis=1) & np.isfinite(errors)
    if not known.any():
        return Exposure(np.ones_like(values), known, np.where(known, errors, np.nan))
    logs = np.log(np.where(known[:, None], values, 1.0))
    noise = np.where(known, errors, 1.0) ** 2
    numbers = np.zeros(len(measured), int) if segments is None else np.asarray(segments)
    starts = np.append(True, np.diff(numbers) != 0)
    smooth = np.stack([_smoothed(logs[:, channel], noise, known, starts) for channel in range(3)], axis=1)
    return Exposure(np.exp(smooth), known, np.where(known, errors, np.nan))


def _smoothed(
    logs: Float[np.ndarray, " frames"],
    noise: Float[np.ndarray, " frames"],
    known: Bool[np.ndarray, " frames"],
    starts: Bool[np.ndarray, " frames"],
) -> Float[np.ndarray, " frames"]:
    """Local-level smoother of one channel (Durbin and Koopman, Time Series Analysis by State Space Methods, ch. 2).

    It begins anew at `starts`; the walk's variance is that of all segments together.
    """
    both = known[1:] & known[:-1] & ~starts[1:]
    steps = np.diff(logs)[both] ** 2 - (noise[1:] + noise[:-1])[both]
    walk = max(float(steps.mean()) if len(steps) else 0.0, 1e-9)
    count = len(logs)
    level, variance = np.zeros(count), np.zeros(count)  # after the frame's own measurement
    now, spread = float(logs[known][0]), ANYTHING
    for frame in range(count):
        if starts[frame]:
            spread = ANYTHING
        if known[frame]:
            share = spread / (spread + noise[frame])
            now += share * (logs[frame] - now)
            spread *= 1 - share
        level[frame], variance[frame] = now, spread
        spread += walk
    for frame in range(count - 2, -1, -1):
        share = 0.0 if starts[frame + 1] else variance[frame] / (variance[frame] + walk)
        level[frame] += share * (level[frame + 1] - level[frame])
    return level
