"""The frames of the report: a large picture, a slider over some thirty frames, and the strip they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from nerface.capture.advice_wants import DEAD_CHANNELS, GAZE_CHANNELS, REST_PERCENTILE
from nerface.capture.advice_words import capital
from nerface.capture.page_evidence import Evidence
from nerface.capture.page_frames import Shown, choose_frames
from nerface.capture.page_markup import Markup, digits, element
from nerface.capture.page_pictures import FRAME_PX, FRAME_QUALITY, data_uri, overlay_frames
from nerface.capture.page_timeline import SPLIT_WORDS

STRONGEST = 3  # channels named beside a frame
TELLING = 0.15  # a channel this far above its rest is worth naming

OVERLAY_KEY = (
    ("seen", "landmarks as measured"),
    ("model", "landmarks of the solved face: they should lie on the measured ones"),
    ("x", "head axis to the right of the picture"),
    ("y", "head axis upwards"),
    ("z", "head axis out of the face"),
)


@dataclass(frozen=True)
class Linked:
    """Where each of N frames lies in the other parts of the page: `time` [N] percent of the timeline, `pose` and
    `place` [N, 2] in the maps, `channels` [N, C] percent of the bars."""

    time: Float[np.ndarray, " frames"]
    pose: Float[np.ndarray, "frames 2"]
    place: Float[np.ndarray, "frames 2"]
    channels: Float[np.ndarray, "frames channels"]


def player(evidence: Evidence, linked: Linked, maps: list[Markup]) -> list[Markup]:
    """The lead, the large picture with its controls, the `maps` beside it, and the strip."""
    shown = choose_frames(evidence)
    pictures, drawn_on = overlay_frames(evidence, [frame.row for frame in shown])
    uris = [data_uri(picture, FRAME_PX, FRAME_QUALITY) for picture in pictures]
    first = next((number for number, frame in enumerate(shown) if "rest pose" in frame.why), 0)
    captions = [_caption(evidence, frame) for frame in shown]
    strip = element(
        "div",
        [_thumb(evidence, linked, frame, uri, text) for frame, uri, text in zip(shown, uris, captions)],
        class_="strip",
        role="group",
        aria_label="The frames shown above, in order",
    )
    # The script gives it the pictures of the strip, so that each is in the page once; without script it shows this one.
    large = element("figure", element("img", src=uris[first], alt=captions[first]))
    slider = element(
        "input", type="range", min=0, max=len(shown) - 1, value=first, step=1, aria_label="Frame of the report"
    )
    controls = element("div", element("button", "Play", class_="play", type="button"), slider, class_="controls")
    key = [element("li", element("i", class_=kind), text) for kind, text in OVERLAY_KEY]
    below = [
        element("p", captions[first], class_="caption"),
        element("p", _facts(evidence, shown[first].row), class_="caption-facts"),
        element("ul", key, class_="key") if drawn_on else None,
    ]
    lead = (
        f"{len(shown)} of {len(evidence.frames)} frames: the extremes, the worst, and others as unlike as possible. "
        "Maps, bars and curves follow the frame shown here; every dot of the maps is a frame, as seen in the picture. "
        "An avatar renders well near the poses that training frames show."
    )
    return [
        element("p", lead, class_="lead"),
        element("div", element("div", large, controls, below), element("div", maps, class_="maps"), class_="player"),
        strip,
    ]


def _thumb(evidence: Evidence, linked: Linked, frame: Shown, uri: str, caption: str) -> Markup:
    row = frame.row
    return element(
        "button",
        element("img", src=uri, alt=caption),
        frame.why or f"{evidence.frames.timestamps[row]:.1f} s",
        class_=f"thumb {evidence.frames.splits[row]}",
        type="button",
        tabindex="-1",  # the slider does the same from the keyboard, in one stop
        data_caption=caption,
        data_facts=_facts(evidence, row),
        data_time=digits(linked.time[row]),
        data_pose=" ".join(digits(value, 1) for value in linked.pose[row]),
        data_place=" ".join(digits(value, 1) for value in linked.place[row]),
        data_values=" ".join(digits(value, 1) for value in linked.channels[row]),
    )


def _caption(evidence: Evidence, frame: Shown) -> str:
    frames = evidence.frames
    what = f"{capital(frame.why)}: frame" if frame.why else "Frame"
    split = SPLIT_WORDS[frames.splits[frame.row]]
    return f"{what} {frames.source_frames[frame.row]} at {frames.timestamps[frame.row]:.2f} s ({split})"


def _facts(evidence: Evidence, row: int) -> str:
    frames, measured = evidence.frames, evidence.measured
    yaw, pitch, roll = frames.turns[row]
    sideways, upwards = "left" if yaw > 0 else "right", "down" if pitch > 0 else "up"
    parts = [f"turned {abs(yaw):.0f}° to their {sideways}, {abs(pitch):.0f}° {upwards}, tilted {abs(roll):.0f}°"]
    if measured.error_px is not None and np.isfinite(measured.error_px[row]):
        parts.append(f"reprojection error {measured.error_px[row]:.2f} px")
    if measured.sharpness is not None and np.isfinite(measured.sharpness[row]):
        usual = max(float(np.nanmedian(measured.sharpness)), 1e-9)
        parts.append(f"sharpness {measured.sharpness[row] / usual:.2f} of the usual")
    strongest = _strongest(evidence, row)
    if strongest:
        parts.append("strongest: " + ", ".join(strongest))
    return "\n".join(capital(part) for part in parts)


def _strongest(evidence: Evidence, row: int) -> list[str]:
    """The channels furthest above their rest."""
    frames = evidence.frames
    rest = np.percentile(frames.expressions, REST_PERCENTILE, axis=0)
    above = frames.expressions[row] - rest
    named = [
        (above[k], f"{name} {digits(frames.expressions[row, k])}")
        for k, name in enumerate(frames.channels)
        if above[k] > TELLING and name not in DEAD_CHANNELS and name not in GAZE_CHANNELS
    ]
    return [text for _, text in sorted(named, key=lambda pair: -pair[0])[:STRONGEST]]
