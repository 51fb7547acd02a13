"""What a capture's figures mean for its user: findings, each with what to do about it, and a verdict.

Green is as it should be, yellow costs quality or range, red is worth filming again before anything is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nerface.capture.advice_mask import mask_finding
from nerface.capture.advice_moves import move_findings
from nerface.capture.advice_words import GREEN, LEVELS, RED, YELLOW, Finding, counted, graded, listed
from nerface.capture.page_evidence import Evidence, Unused

__all__ = ["GREEN", "LEVELS", "RED", "YELLOW", "Finding", "Verdict", "judge", "report_lines", "verdict"]

# Of each pair the first number is where green ends, the second where red begins.
SECONDS = (30.0, 4.0)  # half a minute shows every sound of speech; of less than 100 frames no field has been learned
UNUSED_SHARE = (0.02, 0.25)
ERROR_SHARE = (0.012, 0.025)  # of the outer-eye distance: the target on held-out frames; twice that blurs eyes and lips
SLIP_ERROR = 3.0  # times the clip's median reprojection error: tracking has slipped there
SLIP_SHARE = 0.02
BLUR_LEVEL = 0.6  # of the clip's usual sharpness; sharp frames of four clips stayed above 0.7, capture drops below 0.4
BLUR_SHARE = (0.05, 0.4)
EYE_PX = (80.0, 40.0)  # outer-eye distance in the source: below, teeth and lids are a pixel or two
CUT_HAIR_SHARE = 0.1  # of the frames
PICTURE_EDGE = 0.004  # of the height: a head box this near to the upper edge is cut by it
EXPOSURE_SPAN = (1.12, 2.0)  # gain, 95th over 5th percentile: 12 % is 1 dB; one stop clips highlights for good
TINT_SPAN = 1.08  # the same of red over blue: seen by eye as a change of colour
FOCAL_ERROR = 0.03  # of the eye distance: no face fits as badly as one behind a focal length far off
LYING_DEG = 45.0  # median roll of the head
PLATE_SEEN = 0.15  # of the picture: less and the backdrop is mostly invented
MAX_LISTED = 3

# What helps against a reason for which frames are not used, by a word of it.
REMEDIES = {
    "no face": "keep your whole face in the picture, without hands or hair before it",
    "somebody else": "be alone in the picture",
    "outside": "stay inside the picture: further away from the camera, or in its middle",
    "turned": "turn your head less far: at a full profile the face cannot be measured",
    "unsure": "more light on the face, and nothing before it",
    "covered": "keep your hands off your face",
    "blur": "hold still and use more light: a dim room makes the shutter slow",
}
REMEDY = "look at these frames in the video and leave such moments out of the next one"


@dataclass(frozen=True)
class Verdict:
    """The light: `level` and one sentence."""

    level: str
    sentence: str


def judge(evidence: Evidence) -> list[Finding]:
    """Everything the figures of a capture say, the worst first; what an older capture did not measure is left out."""
    checks: tuple[Callable[[Evidence], Finding | None], ...] = (
        _focal,
        _lying,
        mask_finding,
        _still,
        _length,
        _unused,
        _error,
        _slips,
        _sharpness,
        _face_size,
        _cut_hair,
        _cuts,
    )
    found = [finding for check in checks if (finding := check(evidence)) is not None]
    backdrop = _stated(evidence.get("backdrop", "findings"))
    # The backdrop's own findings come from more than the page is given: where there are any, they say it all.
    found += backdrop or [finding for check in (_exposure, _plate) if (finding := check(evidence)) is not None]
    found += [*move_findings(evidence), *_remarks(evidence)]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def verdict(findings: Sequence[Finding]) -> Verdict:
    """The light over all findings and a sentence that names the worst."""
    topics = {
        level: listed([finding.topic for finding in findings if finding.level == level], MAX_LISTED) for level in LEVELS
    }
    if topics[RED]:
        return Verdict(RED, f"Film it again before training. The trouble: {topics[RED]}.")
    if topics[YELLOW]:
        return Verdict(YELLOW, f"Good enough to train, but another take could do better: {topics[YELLOW]}.")
    return Verdict(GREEN, "Good to train: nothing found that another take would mend.")


def report_lines(findings: Sequence[Finding]) -> list[str]:
    """Plain text for the command line: the verdict, then what is red or yellow."""
    light = verdict(findings)
    return [
        f"{light.level}: {light.sentence}",
        *(finding.line() for finding in findings if finding.level != GREEN),
    ]


def _focal(evidence: Evidence) -> Finding | None:
    """A stated focal length in the wrong unit: nothing fits."""
    if evidence.get("camera", "focal_assumed") is not False or evidence.error_share is None:
        return None
    if evidence.error_share[0] <= FOCAL_ERROR:
        return None
    share = 100 * evidence.error_share[0]
    what = f"With the stated focal length the face does not fit (off by {share:.0f} % of the eye distance)"
    advice = "check the stated focal length: it is in pixels of the video, not millimetres"
    return Finding(RED, "the focal length", what, advice)


def _lying(evidence: Evidence) -> Finding | None:
    roll = float(np.median(np.abs(evidence.frames.angles[:, 2])))  # of both signs around half a turn
    if roll <= LYING_DEG:
        return None
    advice = "rotate the video upright first (ffmpeg -vf transpose, or your phone's editor)"
    posture = "lies on its side" if roll < 180 - LYING_DEG else "is upside down"
    return Finding(RED, "a head that is not upright", f"The head {posture} (rolled by {roll:.0f}°)", advice)


def _still(evidence: Evidence) -> Finding | None:
    """A photo, or a clip in which nothing happens."""
    turn = np.ptp(np.percentile(evidence.frames.turns, (5, 95), axis=0), axis=0).max()
    move = np.ptp(np.percentile(evidence.frames.expressions, (5, 95), axis=0), axis=0).max()
    if turn > 1.0 or move > 0.1:  # a seated person who only listens moves by more in any ten seconds
        return None
    advice = "film a person who talks and turns the head; a photo cannot be driven"
    return Finding(RED, "nothing that moves", "Neither the head nor the face moves", advice)


def _length(evidence: Evidence) -> Finding:
    level = graded(-evidence.seconds, (-SECONDS[0], -SECONDS[1]))
    what = f"{evidence.seconds:.0f} s of usable video ({len(evidence.frames)} frames)"
    return Finding(level, "a short clip", what, "" if level == GREEN else "film longer: one to two minutes are ideal")


def _unused(evidence: Evidence) -> Finding:
    decoded = max(evidence.decoded, 1)
    lost = [part for part in evidence.unused if not part.reason.startswith("repeated")]
    share = sum(part.count for part in lost) / decoded
    if not evidence.unused:
        return Finding(GREEN, "frames lost", f"All {decoded} frames of the video are used")
    largest = sorted(evidence.unused, key=lambda part: -part.count)
    named = listed([f"{part.count} {part.reason}" for part in largest], MAX_LISTED)
    what = f"{counted(decoded - len(evidence.frames), 'frame')} of {decoded} not used: {named}"
    level = graded(share, UNUSED_SHARE)
    if level == GREEN:
        return Finding(GREEN, "frames lost", what)
    return Finding(level, "frames lost", what, _remedy(max(lost, key=lambda part: part.count)))


def _remedy(part: Unused) -> str:
    words = part.reason.lower()
    return next((advice for key, advice in REMEDIES.items() if key in words), REMEDY)


def _error(evidence: Evidence) -> Finding | None:
    if evidence.error_share is None:
        return None
    share, held_out = evidence.error_share
    over_all = evidence.number("reprojection_error", "share_of_eye_distance")
    shares = f"{100 * (over_all if held_out and over_all is not None else share):.1f} % of the eye distance"
    shares += f", {100 * share:.1f} % on frames left out of the solve" if held_out else ""
    what = f"Reprojection error {shares} (good to {100 * ERROR_SHARE[0]:.1f} %)"
    advice = "hold the phone level and still, light the face evenly, and keep hands and hair away from it"
    level = graded(share, ERROR_SHARE)
    return Finding(level, "a badly fitting face", what, "" if level == GREEN else advice)


def _slips(evidence: Evidence) -> Finding | None:
    error = evidence.measured.error_px
    if error is None:
        return None
    slipped = np.flatnonzero(error > SLIP_ERROR * np.nanmedian(error))
    if len(slipped) <= SLIP_SHARE * len(error):
        return None
    what = f"Tracking slips in {counted(len(slipped), 'frame')}, {_places(evidence, slipped)}"
    advice = "look at these moments in overlay.mp4; no fast moves, no hands before the face"
    return Finding(YELLOW, "slips in tracking", what, advice)


def _sharpness(evidence: Evidence) -> Finding | None:
    sharp = evidence.measured.sharpness
    if sharp is None:
        return None
    blurred = np.flatnonzero(sharp < BLUR_LEVEL * np.nanmedian(sharp))
    share = len(blurred) / len(sharp)
    level = graded(share, BLUR_SHARE)
    if level == GREEN:
        return Finding(GREEN, "blurred frames", f"Steadily sharp: {100 * (1 - share):.0f} % of the frames")
    what = f"{counted(len(blurred), 'frame')} ({100 * share:.0f} %) blurred, {_places(evidence, blurred)}"
    return Finding(level, "blurred frames", what, "hold still, move slowly, and use more light")


def _face_size(evidence: Evidence) -> Finding | None:
    eye = evidence.number("reprojection_error", "eye_distance_px")
    if eye is None:
        return None
    level = graded(-eye, (-EYE_PX[0], -EYE_PX[1]))
    advice = "" if level == GREEN else "come nearer or film in a higher resolution"
    return Finding(level, "a small face", f"Outer eye corners {eye:.0f} px apart in the video", advice)


def _cut_hair(evidence: Evidence) -> Finding | None:
    top = evidence.frames.head_boxes[:, 0]
    if not np.isfinite(top).any():
        return None
    share = float(np.mean(top[np.isfinite(top)] <= PICTURE_EDGE))
    if share <= CUT_HAIR_SHARE:
        return Finding(GREEN, "a cut head", "The whole head is in the picture")
    what = f"The head touches the upper edge of the picture in {100 * share:.0f} % of the frames"
    return Finding(YELLOW, "a cut head", what, "leave a hand's breadth of room above your hair")


def _cuts(evidence: Evidence) -> Finding | None:
    parts = len(np.unique(evidence.measured.segment))
    if parts == 1:
        return None
    what = f"The clip falls into {parts} parts: cuts, jumps or long gaps"
    return Finding(YELLOW, "cuts", what, "film in one go, in the same place and light")


def _plate(evidence: Evidence) -> Finding | None:
    seen = evidence.number("plate", "seen_share")
    if seen is None:
        return None
    level = GREEN if seen >= PLATE_SEEN else YELLOW
    advice = "" if level == GREEN else "leave more room round you, or film the empty scene from the same place"
    return Finding(level, "little backdrop", f"The backdrop is seen in {100 * seen:.0f} % of the picture", advice)


def _exposure(evidence: Evidence) -> Finding | None:
    gain = evidence.measured.exposure
    if gain is None:
        return None
    gain = gain[np.isfinite(gain).all(axis=1) & (gain > 0).all(axis=1)]
    if len(gain) == 0:
        return None
    span, tint = (_span(values) for values in (gain.mean(axis=1), gain[:, 0] / gain[:, 2]))
    level = graded(span, EXPOSURE_SPAN)
    if level == GREEN and tint > TINT_SPAN:
        level = YELLOW
    what = f"Brightness varies by {100 * (span - 1):.0f} %, red against blue by {100 * (tint - 1):.0f} %"
    advice = "more even light; lock exposure and white balance (a long press on the phone's picture)"
    return Finding(level, "uneven exposure", what, "" if level == GREEN else advice)


def _span(values: np.ndarray) -> float:
    low, high = np.percentile(values, (5, 95))
    return float(high / low)


def _remarks(evidence: Evidence) -> list[Finding]:
    """What is no fault, but to be known."""
    found = []
    if evidence.get("camera", "focal_assumed") is True:
        advice = "state the focal length (--focal) where you know it"
        found.append(Finding(GREEN, "focal length", "The focal length is assumed: nobody stated it", advice))
    return [*found, *(Finding(GREEN, "the video", note) for note in evidence.notes)]


def _stated(findings: Any) -> list[Finding]:
    """Findings that the capture itself wrote down, of which anything unreadable is left out."""
    found = []
    for entry in findings if isinstance(findings, list) else ():
        if isinstance(entry, Mapping) and entry.get("level") in LEVELS and isinstance(entry.get("what"), str):
            topic, advice = entry.get("topic"), entry.get("advice")
            found.append(
                Finding(
                    entry["level"],
                    topic if isinstance(topic, str) else "the backdrop",
                    entry["what"],
                    advice if isinstance(advice, str) else "",
                )
            )
    return found


def _places(evidence: Evidence, rows: np.ndarray) -> str:
    """When `rows` lie, as stretches of seconds: "at 3.2 s and 5.0-6.1 s"."""
    breaks = np.flatnonzero(np.diff(rows) > evidence.frame_rate / 2) + 1
    stretches = sorted(np.split(rows, breaks), key=len, reverse=True)
    named = []
    for stretch in stretches:
        first, last = evidence.frames.timestamps[stretch[[0, -1]]]
        named.append(f"{first:.1f} s" if last - first < 0.1 else f"{first:.1f}-{last:.1f} s")
    return "at " + listed(named, MAX_LISTED)
