"""The plain figures of a capture: the few at the top of the report and the tables at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from nerface.capture.page_evidence import Evidence
from nerface.capture.page_markup import Content, Markup, digits, element

Pairs = list[tuple[str, Content]]
LISTED_NOTES = 6


def tiles(evidence: Evidence) -> Markup:
    """What one wants to know first."""
    frames = evidence.frames
    found: Pairs = [
        ("frames used", f"{len(frames)} of {evidence.decoded}"),
        ("of video", f"{evidence.seconds:.0f} s"),
    ]
    if evidence.error_share is not None:
        share, held_out = evidence.error_share
        over_all = evidence.number("reprojection_error", "share_of_eye_distance")
        if over_all is not None:
            found.append(("reprojection error, of the eye distance", f"{100 * over_all:.1f} %"))
        if held_out:
            found.append(("the same on frames left out of the solve", f"{100 * share:.1f} %"))
    yaw, pitch = (np.ptp(frames.turns[:, axis]) for axis in (0, 1))
    found.append(("range of yaw and pitch", f"{yaw:.0f}° × {pitch:.0f}°"))
    seconds = _seconds(evidence)
    if seconds:
        found.append(("to capture", _duration(sum(seconds.values()))))
    return element("dl", [element("div", element("dt", k), element("dd", v)) for k, v in found], class_="tiles")


def facts(evidence: Evidence) -> Markup:
    """Video, camera, dataset, time."""
    blocks: tuple[tuple[str, Pairs], ...] = (
        ("Video", _video(evidence)),
        ("Camera", _camera(evidence)),
        ("Dataset", _dataset(evidence)),
        ("Time taken", [(name, _duration(value)) for name, value in _seconds(evidence).items()]),
    )
    return element("div", [_block(title, pairs) for title, pairs in blocks if pairs], class_="facts")


def _block(title: str, pairs: Pairs) -> Markup:
    rows = [[element("dt", key), element("dd", value)] for key, value in pairs]
    return element("div", element("h3", title), element("dl", rows))


def _video(evidence: Evidence) -> Pairs:
    pairs: Pairs = [("File", evidence.text("source", "file") or "not stated")]
    width, height = evidence.number("source", "width"), evidence.number("source", "height")
    if width and height:
        pairs.append(("Size", f"{width:.0f} × {height:.0f} px"))
    rotation = evidence.number("source", "rotation")
    if rotation:
        pairs.append(("Rotation tag", f"{rotation:.0f}°"))
    rate = evidence.number("source", "frame_rate")
    if rate:
        pairs.append(("Frame rate of the file", f"{digits(rate)} Hz"))
    pairs.append(("Frame rate of the used frames", f"{digits(evidence.frame_rate)} Hz"))
    pairs.append(("Frames", f"{evidence.decoded}"))
    colour = evidence.text("source", "colour")
    if colour:
        pairs.append(("Colour", colour))
    pairs += [("Note", note) for note in evidence.notes[:LISTED_NOTES]]
    digest = evidence.text("source", "sha256")
    if digest:
        pairs.append(("SHA-256", f"{digest[:12]}…"))
    return pairs


def _camera(evidence: Evidence) -> Pairs:
    pairs: Pairs = []
    focal, ratio = evidence.number("camera", "focal_px"), evidence.number("camera", "focal_over_longer_side")
    if focal is not None:
        stated = "assumed" if evidence.get("camera", "focal_assumed") is True else "stated"
        pairs.append(("Focal length", f"{focal:.0f} px ({stated})"))
    if ratio:
        pairs.append(("over the longer side", digits(ratio)))
        pairs.append(("Field of view, longer side", f"{math.degrees(2 * math.atan(0.5 / ratio)):.0f}°"))
    rms, eye = (evidence.number("reprojection_error", key) for key in ("rms_px", "eye_distance_px"))
    if rms is not None:
        pairs.append(("Reprojection error", f"{rms:.2f} px"))
    held_out = evidence.number("reprojection_error", "held_out_rms_px")
    if held_out is not None:
        pairs.append(("on frames left out of the solve", f"{held_out:.2f} px"))
    if eye is not None:
        pairs.append(("Outer eye corners", f"{eye:.0f} px apart"))
    units = evidence.number("camera", "head_units_per_cm")
    if units:
        pairs.append(("Head unit", f"{digits(1 / units, 1)} cm"))
    return pairs


def _dataset(evidence: Evidence) -> Pairs:
    pairs: Pairs = []
    if evidence.picture_size is not None:
        pairs.append(("Pictures", "{} × {} px".format(*evidence.picture_size)))
    crop = [evidence.number("crop", key) for key in ("left", "top", "width", "height")]
    if all(value is not None for value in crop):
        left, top, width, height = (f"{value:.0f}" for value in crop if value is not None)
        pairs.append(("Crop", f"{width} × {height} px at ({left}, {top})"))
    scale = evidence.number("crop", "scale")
    if scale is not None:
        pairs.append(("Enlarged" if scale > 1 else "Scaled", f"{digits(scale)} times"))
    for split, word in (("train", "Training"), ("val", "Validation"), ("test", "Held out")):
        pairs.append((word, f"{len(evidence.frames.rows_of(split))} frames"))
    pairs.append(("Expression channels", f"{len(evidence.frames.channels)}"))
    for key, word in (("seed", "Seed"), ("test_share", "Held-out share")):
        value = evidence.number("options", key)
        if value is not None:
            pairs.append((word, digits(value)))
    version = evidence.text("nerface_version")
    if version:
        pairs.append(("nerface", version))
    return pairs


def _seconds(evidence: Evidence) -> dict[str, float]:
    stages = evidence.get("seconds")
    names = stages if isinstance(stages, Mapping) else {}
    return {str(name): value for name in names if (value := evidence.number("seconds", name)) is not None}


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{digits(seconds, 1 if seconds < 10 else 0)} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
