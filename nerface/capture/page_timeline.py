"""What was measured over time: one row under another on the same axis of seconds, the held-out part shaded.

Plots stretch with the page: curves live in a nested SVG that is stretched without its line widths, everything else is
placed in percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from nerface.capture.advice import BLUR_LEVEL, SLIP_ERROR
from nerface.capture.advice_words import counted
from nerface.capture.page_evidence import Evidence
from nerface.capture.page_markup import Markup, digits, element
from nerface.capture.splits import SPLITS

SPLIT_WORDS = {"train": "training", "val": "validation", "test": "held out"}
CURVE_UNITS = 1000.0  # width of the stretched box, 100 high
MOST_POINTS = 1200  # of a curve; beyond, least and greatest value of each stretch are drawn
TICK_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
MOST_TICKS = 9
HEADROOM = 0.15  # of the span of values, free above and below


@dataclass(frozen=True)
class Axis:
    """The seconds from `start` to `end` that all rows share."""

    start: float
    end: float

    def percent(self, seconds: Shaped[np.ndarray, " times"]) -> Float[np.ndarray, " times"]:
        """Places along the plot."""
        return 100.0 * (np.asarray(seconds, dtype=np.float64) - self.start) / (self.end - self.start)


@dataclass(frozen=True)
class Curves:
    """One plot: `lines` by style class, its `limit` line, rows `marked` with dots, and its words;
    the values `shown` are in the plot whatever the lines do."""

    title: str
    note: str
    unit: str
    lines: dict[str, Float[np.ndarray, " frames"]]
    limit: float | None = None
    marked: Bool[np.ndarray, " frames"] | None = None
    shown: tuple[float, float] = (0.0, 0.0)


def time_axis(evidence: Evidence) -> Axis:
    """From the first to the last frame of the video, used or not."""
    listed = [number for part in evidence.unused for number in part.frames]
    listed = [number for number in listed if number < evidence.decoded]
    times = np.concatenate([evidence.frames.timestamps, evidence.time_of(np.array(listed, float))])
    start, end = float(times.min()), float(times.max()) + 1.0 / evidence.frame_rate
    return Axis(start, max(end, start + 1e-3))


def timeline(evidence: Evidence, axis: Axis) -> Markup:
    """All rows: use of the frames, dropped ones by reason, then a plot for everything that was measured."""
    rows = [_splits_lane(evidence, axis), *_unused_lanes(evidence, axis)]
    rows += [_plot(evidence, axis, curves) for curves in _measurements(evidence)]
    rows.append(_ticks(axis))
    return element("div", rows, class_="timeline")


def _measurements(evidence: Evidence) -> list[Curves]:
    frames, measured = evidence.frames, evidence.measured
    found = []
    if measured.sharpness is not None:
        usual = float(np.nanmedian(measured.sharpness))
        share = measured.sharpness / max(usual, 1e-9)
        marked = share < BLUR_LEVEL
        note = "detail of the face, 1 = usual; below the line a frame counts as blurred"
        found.append(Curves("Sharpness", note, "", {"line-a": share}, BLUR_LEVEL, marked, (0.0, 1.5)))
    if measured.exposure is not None:
        gain = measured.exposure.T
        lines = {"line-red": gain[0], "line-green": gain[1], "line-blue": gain[2]}
        note = "brightness of red, green and blue over that of the plate"
        found.append(Curves("Exposure", note, "×", lines, 1.0, shown=(0.9, 1.1)))
    if measured.error_px is not None:
        limit = SLIP_ERROR * float(np.nanmedian(measured.error_px))
        marked = measured.error_px > limit
        note = "reprojection error in pixels of the video; above the line tracking has slipped"
        found.append(Curves("Error", note, " px", {"line-a": measured.error_px}, limit, marked))
    yaw, pitch, roll = frames.turns.T
    lines = {"line-a": yaw, "line-b": pitch, "line-c": roll}
    note = "yaw (solid), pitch (dashed), roll (dotted) from rest"
    found.append(Curves("Head", note, "°", lines, shown=(-10.0, 10.0)))
    jaw, lids = frames.channel("jawOpen"), frames.channel("eyeBlinkLeft")
    mouth = {name: values for name, values in (("line-a", jaw), ("line-b", lids)) if values is not None}
    if mouth:
        found.append(Curves("Jaw, lids", "jawOpen (solid), eyeBlinkLeft (dashed)", "", mouth, shown=(0.0, 1.0)))
    return found


def _row(title: str, note: str, plot: Markup) -> Markup:
    head = element("div", element("b", title), element("small", note), class_="row-head")
    return element("div", head, plot, class_="row")


def _splits_lane(evidence: Evidence, axis: Axis) -> Markup:
    """Which frame serves what, with a gap at every cut."""
    frames, step = evidence.frames, 1.0 / evidence.frame_rate
    stretch = np.cumsum(evidence.gaps)
    parts = []
    for split in SPLITS:
        rows = frames.rows_of(split)
        for run in _runs(rows, stretch[rows]):
            first, last = axis.percent(frames.timestamps[run[[0, -1]]] + [0.0, step])
            parts.append(_bar(first, last - first, split, 14))
    counts = [f"{len(frames.rows_of(split))} {SPLIT_WORDS[split]}" for split in SPLITS]
    words = ", ".join(counts)
    cuts = len(np.unique(evidence.measured.segment)) - 1
    words += f", {counted(cuts, 'cut')}" if cuts else ""
    return _row("Frames", words, _canvas([*parts, *_cuts(evidence, axis)], 14, f"Use of the frames: {words}"))


def _unused_lanes(evidence: Evidence, axis: Axis) -> list[Markup]:
    lanes = []
    for part in sorted(evidence.unused, key=lambda part: -part.count):
        numbers = np.unique(np.array(part.frames, dtype=np.int64))
        bars = []
        for run in _runs(numbers, np.zeros(len(numbers))):
            times = evidence.time_of(run[[0, -1]])
            first, last = axis.percent(times + np.array([0.0, 1.0 / evidence.frame_rate]))
            bars.append(_bar(first, max(last - first, 0.15), "unused", 14))
        words = f"{counted(part.count, 'frame')} not used"
        lanes.append(_row(part.reason.capitalize(), words, _canvas(bars, 14, f"{part.reason}: {words}")))
    return lanes


def _runs(numbers: np.ndarray, groups: np.ndarray) -> list[np.ndarray]:
    """Runs of consecutive `numbers` of one group."""
    if len(numbers) == 0:
        return []
    return np.split(numbers, np.flatnonzero((np.diff(numbers) > 1) | (np.diff(groups) != 0)) + 1)


def _bar(first: float, wide: float, kind: str, height: float) -> Markup:
    return element("rect", class_=f"bar {kind}", x=f"{digits(first)}%", width=f"{digits(wide, 3)}%", height=height)


def _cuts(evidence: Evidence, axis: Axis) -> list[Markup]:
    """Lines where the clip breaks."""
    rows = np.flatnonzero(np.diff(evidence.measured.segment)) + 1
    places = axis.percent(evidence.frames.timestamps[rows])
    return [element("line", class_="cut", x1=f"{digits(x)}%", x2=f"{digits(x)}%", y1="0", y2="100%") for x in places]


def _plot(evidence: Evidence, axis: Axis, curves: Curves) -> Markup:
    values = np.concatenate(list(curves.lines.values()))
    values = values[np.isfinite(values)]
    low, high = _range(curves, values)
    span = high - low
    x = axis.percent(evidence.frames.timestamps)
    paths = [
        element("path", class_=f"curve {kind}", d=_path(x, (high - line) / span * 100, np.cumsum(evidence.gaps)))
        for kind, line in curves.lines.items()
    ]
    box = f"0 0 {digits(CURVE_UNITS)} 100"
    stretched = element("svg", paths, viewBox=box, preserveAspectRatio="none", width="100%", height="100%")
    parts = [_held_out(evidence, axis)]
    if curves.limit is not None:
        y = f"{digits((high - curves.limit) / span * 100)}%"
        parts.append(element("line", class_="limit", x1="0", x2="100%", y1=y, y2=y))
    parts += [*_cuts(evidence, axis), stretched]
    if curves.marked is not None:
        line = next(iter(curves.lines.values()))
        parts += [_mark(x[row], (high - line[row]) / span * 100) for row in _thinned(np.flatnonzero(curves.marked))]
    for value, y, base, inwards in ((high, "0", "hanging", 2), (low, "100%", "auto", -4)):  # whole letters: "px" hangs
        text = f"{digits(value, 2 if span < 5 else 0)}{curves.unit}"
        parts.append(element("text", text, class_="scale", x=3, y=y, dy=inwards, dominant_baseline=base))
    words = f"{curves.title} over time, {digits(float(values.min()))} to {digits(float(values.max()))}{curves.unit}"
    return _row(curves.title, curves.note, _canvas(parts, 76, words))


def _range(curves: Curves, values: Float[np.ndarray, " values"]) -> tuple[float, float]:
    """Bottom and top of the plot: what is to be shown anyway, or what the curves reach and a little more."""
    low, high = float(values.min()), float(values.max())
    if curves.limit is not None:
        low, high = min(low, curves.limit), max(high, curves.limit)
    room = HEADROOM * max(high - low, 1e-6)
    bottom, top = curves.shown
    return (bottom if low >= bottom else low - room), (top if high <= top else high + room)


def _mark(x: float, y: float) -> Markup:
    return element("circle", class_="mark", cx=f"{digits(x)}%", cy=f"{digits(y)}%", r=3)


def _thinned(rows: np.ndarray) -> np.ndarray:
    """At most some hundred of them: more dots are a smear."""
    return rows[:: max(1, len(rows) // 200)]


def _held_out(evidence: Evidence, axis: Axis) -> Markup | None:
    rows = evidence.frames.rows_of("test")
    if len(rows) == 0:
        return None
    times = evidence.frames.timestamps[rows[[0, -1]]] + np.array([0.0, 1.0 / evidence.frame_rate])
    first, last = axis.percent(times)
    return element(
        "rect", class_="held-out", x=f"{digits(first)}%", width=f"{digits(last - first)}%", y="0", height="100%"
    )


def _canvas(parts: Sequence[Markup | None], height: int, words: str) -> Markup:
    cursor = element("line", class_="cursor", x1="-9", x2="-9", y1="0", y2="100%")
    return element("svg", parts, cursor, class_="plot", width="100%", height=height, role="img", aria_label=words)


def _path(
    x: Float[np.ndarray, " frames"], y: Float[np.ndarray, " frames"], stretch: Shaped[np.ndarray, " frames"]
) -> str:
    """The curve in the stretched box; broken between stretches and where nothing was measured."""
    kept = _outline(y) if len(y) > MOST_POINTS else np.arange(len(y))
    words, before = [], None
    for row in kept:
        if not np.isfinite(y[row]):
            before = None
            continue
        joint = "L" if before is not None and stretch[before] == stretch[row] else "M"
        words.append(f"{joint}{digits(x[row] * CURVE_UNITS / 100, 1)} {digits(y[row], 1)}")
        before = row
    return "".join(words)


def _outline(y: Float[np.ndarray, " frames"]) -> np.ndarray:
    """Rows of the least and greatest value of each short stretch: peaks survive, the number of points is bounded."""
    kept: set[int] = set()
    for stretch in np.array_split(np.arange(len(y)), MOST_POINTS // 2):
        values = np.nan_to_num(y[stretch], nan=0.0)
        kept |= {int(stretch[values.argmin()]), int(stretch[values.argmax()])}
    return np.array(sorted(kept))


def _ticks(axis: Axis) -> Markup:
    span = axis.end - axis.start
    step = next((step for step in TICK_STEPS_S if span / step <= MOST_TICKS), TICK_STEPS_S[-1])
    values = np.arange(np.ceil(axis.start / step), np.floor(axis.end / step) + 1) * step
    parts: list[Markup | None] = []
    for value, place in zip(values, axis.percent(values)):
        anchor = "start" if place < 3 else "end" if place > 97 else "middle"
        text = f"{digits(float(value), 1)} s"
        parts.append(element("text", text, class_="scale", x=f"{digits(place)}%", y="13", text_anchor=anchor))
    plot = element("svg", parts, class_="plot ticks", width="100%", height=18, aria_hidden="true")
    return element("div", element("div", class_="row-head"), plot, class_="row")
