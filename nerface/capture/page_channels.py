"""What the face does in the clip, channel by channel, against what driving will want."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from nerface.capture.advice_wants import DEAD, FREE, GAZE_CHANNELS, REACHED, SHORT, UNSEEN, Reach, reaches
from nerface.capture.page_evidence import Evidence
from nerface.capture.page_markup import Markup, digits, element

# Channels by the beginning of their names, the first group that fits.
GROUPS = (
    ("Eyelids", ("eyeBlink", "eyeSquint", "eyeWide")),
    ("Gaze", ("leftEye", "rightEye", "eyeLook")),
    ("Brows", ("brow",)),
    ("Jaw and cheeks", ("jaw", "cheek", "nose", "_neutral", "tongue")),
    ("Mouth", ("mouth",)),
    ("Other", ("",)),
)
SIGNS = {REACHED: "✓", SHORT: "◐", UNSEEN: "○", DEAD: "–", FREE: ""}
SPOKEN = {
    REACHED: "reached",
    SHORT: "partly reached",
    UNSEEN: "hardly seen",
    DEAD: "never moves in this network",
    FREE: "not judged",
}
GAZE_RANGE_RAD = 0.6  # the bars of gaze channels span this much both ways
BAR_HEIGHT = 16


@dataclass(frozen=True)
class ChannelRows:
    """The rows as `html`, and where each frame's value lies on each channel's bar: `places` [N, C] percent."""

    html: Markup
    places: Float[np.ndarray, "frames channels"]
    reached: int
    wanted: int


def channel_rows(evidence: Evidence) -> ChannelRows:
    """Bars of all channels in groups; channels that this network never moves are grey and last."""
    frames = evidence.frames
    found = reaches(frames.expressions, frames.channels)
    scales = {name: _scale(name, reach) for name, reach in found.items()}
    groups: dict[str, list[int]] = {title: [] for title, _ in GROUPS}
    for number, name in enumerate(frames.channels):
        groups[next(title for title, starts in GROUPS if name.startswith(starts))].append(number)
    blocks = []
    for title, numbers in groups.items():
        if not numbers:
            continue
        ordered = sorted(numbers, key=lambda number: found[frames.channels[number]].status == DEAD)
        rows = [_row(number, found[frames.channels[number]], scales[frames.channels[number]]) for number in ordered]
        blocks.append(element("div", element("h3", title), rows, class_="channel-group"))
    judged = [reach for reach in found.values() if reach.status in (REACHED, SHORT, UNSEEN)]
    places = np.stack([_percent(frames.expressions[:, k], scales[name]) for k, name in enumerate(frames.channels)], 1)
    reached = sum(reach.status == REACHED for reach in judged)
    return ChannelRows(element("div", blocks, class_="channels"), places, reached, len(judged))


def _scale(name: str, reach: Reach) -> tuple[float, float]:
    """The values at both ends of the bar."""
    if name in GAZE_CHANNELS:
        span = max(GAZE_RANGE_RAD, abs(reach.least), abs(reach.greatest))
        return -span, span
    return min(0.0, reach.least), max(1.0, reach.greatest)


def _percent(values: np.ndarray | float, scale: tuple[float, float]) -> np.ndarray:
    return np.asarray(100.0 * (np.asarray(values) - scale[0]) / (scale[1] - scale[0]))


def _row(number: int, reach: Reach, scale: tuple[float, float]) -> Markup:
    def place(value: float) -> str:
        return f"{digits(float(_percent(value, scale)))}%"

    def bar_of(kind: str, low: float, high: float, tall: float) -> Markup:
        wide = max(float(_percent(high, scale) - _percent(low, scale)), 0.4)
        y = (BAR_HEIGHT - tall) / 2
        return element("rect", class_=kind, x=place(low), width=f"{digits(wide)}%", y=y, height=tall)

    parts = [
        bar_of("track", *scale, 4),
        bar_of("whole", reach.least, reach.greatest, 4),
        bar_of("usual", reach.low, reach.high, 10),
    ]
    for goal in reach.goals:
        if goal is not None:
            parts.append(element("line", class_="goal", x1=place(goal), x2=place(goal), y1=0, y2=BAR_HEIGHT))
    parts.append(element("circle", class_="now", cx="-9", cy=BAR_HEIGHT / 2, r=4, data_channel=str(number)))
    parts.append(element("title", _spoken(reach)))
    bar = element("svg", parts, width="100%", height=BAR_HEIGHT, aria_hidden="true")
    status = reach.status
    kind = {REACHED: "reached", SHORT: "short", UNSEEN: "unseen", DEAD: "dead", FREE: "free"}[status]
    sign = element("span", SIGNS[status], class_="sign", title=SPOKEN[status], aria_hidden="true")
    label = element("span", reach.channel, class_="channel-name")
    return element(
        "div", label, bar, sign, element("span", _spoken(reach), class_="unseen-text"), class_=f"channel {kind}"
    )


def _spoken(reach: Reach) -> str:
    """The row for those who do not see it."""
    text = f"seen {digits(reach.least)} to {digits(reach.greatest)}, mostly {digits(reach.low)} to {digits(reach.high)}"
    goals = [digits(goal) for goal in reach.goals if goal is not None]
    wanted = f", wanted to {' and '.join(goals)}" if goals else ""
    return f"{text}{wanted}: {SPOKEN[reach.status]}"
