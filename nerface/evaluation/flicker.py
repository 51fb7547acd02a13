"""How much a rendered video changes from frame to frame beyond what the truth does.

With renders R_t and truth T_t (levels of 0 to 255) of consecutive frames of a video, over a box round the head:

    activity of a pair   a_t = mean |T_t - T_{t-1}|
    flicker              RMS of  r_t = (R_t - R_{t-1}) - (T_t - T_{t-1})
    shake                RMS of  R_{t+1} - 2 R_t + R_{t-1}  over RMS of  T_{t+1} - 2 T_t + T_{t-1}

r_t is also E_t - E_{t-1} with the error E = R - T: an error that stays as it is (a wrong colour, a missing detail) does
not count, one that comes and goes does. That is what the eye sees as boiling, and what figures of single frames cannot
tell from a constant error. Pairs are ranked by activity, and two thirds of them are reported, since they tell different
things. In the lowest third ("static") what is left is flicker proper: noise of the poses and coefficients that drive
the avatar. In the highest third ("moving") lag and blurred motion add to it: a render that is d frames late has an r_t
of about d times the truth's second difference.

The truth has noise too, and r_t takes it over; so the RMS of T_t - T_{t-1} and of R_t - R_{t-1} over the same pairs
stand beside it. White noise of standard deviation s in the renders gives sqrt(2) s (s in each of two frames), and so
does noise of the truth under a perfectly calm render. Hence: flicker about as large as the truth's own change on static
frames, while the render changes little, is the camera's noise and not the avatar's.

Shake compares the renders' jitter with the truth's and not their difference, so it does not ask that details agree:
above 1 the render jitters more, below 1 less (a noisy truth makes it small). A second difference is blind to steady
change and answers most to what alternates from frame to frame. Triplets are ranked by the mean activity of their pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from nerface.data.boxes import box_slices
from nerface.types import Frame

LEAST_PAIRS = 3  # below that there are no thirds
NOT_CONSECUTIVE = f"fewer than {LEAST_PAIRS + 1} of the frames are known to follow one another in the video"


@dataclass(frozen=True)
class Stretch:
    """Figures of one third of a sequence, the RMS of changes over `pairs` of frames in levels of 255.

    `flicker` is the change of the error, `render_change` and `truth_change` those of render and truth. `shake` is the
    ratio of second differences over the third of the triplets; None where there are too few triplets, or where the
    truth has no second difference.
    """

    pairs: int
    flicker: float
    render_change: float
    truth_change: float
    shake: float | None


@dataclass(frozen=True)
class FlickerFigures:
    """What `Flicker` found: `pairs` of consecutive frames in all, their `static` and `moving` thirds, or why not."""

    pairs: int
    static: Stretch | None
    moving: Stretch | None
    missing: str | None = None

    def table(self) -> list[str]:
        """The figures as lines of text."""
        if self.static is None or self.moving is None:
            return [f"flicker: n/a: {self.missing}"]
        lines = [f"{'flicker, head box (levels of 255)':<34}  flicker   render    truth    shake"]
        for title, stretch in (("static", self.static), ("moving", self.moving)):
            name = f"  {title} third ({stretch.pairs} pairs of frames)"
            shake = "n/a" if stretch.shake is None else f"{stretch.shake:.2f}"
            figures = (stretch.flicker, stretch.render_change, stretch.truth_change)
            lines.append(f"{name:<34}" + "".join(f" {value:8.2f}" for value in figures) + f" {shake:>8}")
        return lines


@dataclass(frozen=True)
class _Moment:
    """A frame that is kept until its neighbours have come."""

    number: int
    render: UInt8[np.ndarray, "height width 3"]
    truth: UInt8[np.ndarray, "height width 3"]
    box: Float[np.ndarray, " 4"]


@dataclass(frozen=True)
class _Change:
    """One pair or triplet: the truth's `activity`, and mean squares of differences of error, render and truth."""

    activity: float
    error: float
    render: float
    truth: float


class Flicker:
    """Takes the frames of a sequence one by one, in order, and keeps no more than three of them."""

    def __init__(self) -> None:
        self._kept: list[_Moment] = []
        self._pairs: list[_Change] = []
        self._triplets: list[_Change] = []

    def add(
        self,
        render: UInt8[np.ndarray, "height width 3"],
        truth: UInt8[np.ndarray, "height width 3"],
        box: Float[np.ndarray, " 4"],
        number: int | None,
    ) -> None:
        """The next frame: `box` [row_min, row_max, col_min, col_max] fractions round its head, `number` in the video.

        Only frames whose number is one more than the last one's make a pair with it; None (not known) makes none.
        Changes are measured over the box that holds the boxes of both frames, or of all three.
        """
        if number is None or (self._kept and number != self._kept[-1].number + 1):
            self._kept = []
        if number is None:
            return
        self._kept = [*self._kept[-2:], _Moment(number, render.copy(), truth.copy(), np.array(box))]
        if len(self._kept) >= 2:
            self._pairs.append(_change(self._kept[-2:], np.array([-1.0, 1.0])))
        if len(self._kept) == 3:
            change = _change(self._kept, np.array([1.0, -2.0, 1.0]))
            activity = (self._pairs[-1].activity + self._pairs[-2].activity) / 2
            self._triplets.append(_Change(activity, change.error, change.render, change.truth))

    def figures(self) -> FlickerFigures:
        """The figures of all frames so far."""
        if len(self._pairs) < LEAST_PAIRS:
            return FlickerFigures(len(self._pairs), None, None, NOT_CONSECUTIVE)
        calm, busy = _thirds(self._pairs)
        calm3, busy3 = _thirds(self._triplets)
        return FlickerFigures(len(self._pairs), _stretch(calm, calm3), _stretch(busy, busy3))


def number_in_video(frame: Frame, frame_rate: float | None) -> int | None:
    """Which frame of its video this is: its stored number, else by its time and the rate in Hz, else None."""
    if frame.source_frame >= 0:
        return frame.source_frame
    if frame_rate is None or not math.isfinite(frame.timestamp):
        return None
    return round(frame.timestamp * frame_rate)


def _change(moments: list[_Moment], weights: Float[np.ndarray, " frames"]) -> _Change:
    """Mean squares of the weighted sum of frames, over the box round all their heads."""
    boxes = np.stack([moment.box for moment in moments])
    box = np.array([boxes[:, 0].min(), boxes[:, 1].max(), boxes[:, 2].min(), boxes[:, 3].max()])
    region = box_slices(box, *moments[0].truth.shape[:2])

    def summed(pictures: list[np.ndarray]) -> np.ndarray:
        return np.tensordot(weights.astype(np.float32), np.stack([p[region] for p in pictures]).astype(np.float32), 1)

    render = summed([moment.render for moment in moments])
    truth = summed([moment.truth for moment in moments])
    return _Change(float(np.abs(truth).mean()), _mean_square(render - truth), _mean_square(render), _mean_square(truth))


def _mean_square(values: np.ndarray) -> float:
    return float(np.mean(np.square(values), dtype=np.float64))


def _thirds(changes: list[_Change]) -> tuple[list[_Change], list[_Change]]:
    """The calmest and the busiest third; equal ones in order of time."""
    ranked = sorted(changes, key=lambda change: change.activity)
    count = len(ranked) // 3
    return ranked[:count], ranked[len(ranked) - count :]


def _stretch(pairs: list[_Change], triplets: list[_Change]) -> Stretch:
    def rms(name: str, changes: list[_Change]) -> float:
        return math.sqrt(float(np.mean([getattr(change, name) for change in changes])))

    shake = None
    if triplets and rms("truth", triplets) > 0:
        shake = rms("render", triplets) / rms("truth", triplets)
    return Stretch(len(pairs), rms("error", pairs), rms("render", pairs), rms("truth", pairs), shake)
