"""What capture learns about the scene behind the person, and what it tells the user about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from nerface.capture.advice_words import GREEN, LEVELS, RED, YELLOW, Finding
from nerface.capture.backdrop_change import BackdropChange
from nerface.capture.camera_motion import STILL_SHARE, CameraMotion
from nerface.capture.exposure import BRIGHTEST, Exposure
from nerface.capture.plate import Plate

TOPIC = "the backdrop"

# Each pair: from here on yellow, from here on red.
GAIN_SPAN = (0.03, 0.25)  # brightest over darkest frame, less 1 (5th to 95th percentile)
TINT_SPAN = (0.015, 0.10)  # the same for red over green and blue over green
UNEVEN_SPAN = (0.05, 0.12)  # change of brightness across the picture beyond the common gain
DRIFT_SHARE = (STILL_SHARE, 0.012)  # camera motion over the picture's longer side: 1.5 and 6 px of 512
CHANGED_SHARE = (0.02, 0.10)  # share of the seen background that moves, over the clip
UNSEEN_SHARE = (0.60, 0.85)  # of the picture; a head and shoulders alone hide about 45 %
UNMEASURED_SHARE = (0.10, 0.5)  # frames whose exposure could not be measured
OVEREXPOSED_SHARE = 0.5  # of the seen background too bright for its exposure to be measured
PERCENTILES = (5.0, 95.0)


@dataclass(frozen=True)
class Scene:
    """All that capture knows of the backdrop after the last frame.

    `kind`: "scene" (a real place), "plain" (one flat colour, masks keyed by it) or "alpha" (masks from the file's
    transparency). `plate` and `exposure` as their classes say; `motion` of the camera against the backdrop; `change`
    is what is left; `own_plate` True where the user's photograph is the plate. `steadied` True where the pictures
    were put back in place: `applied` [N, 3] are the rotations (as in `motion`) that were taken out of them, which poses
    and points have to follow; 0 where pictures are as they were.
    """

    kind: str
    plate: Plate
    exposure: Exposure
    motion: CameraMotion
    change: BackdropChange
    applied: Float[np.ndarray, "frames 3"]
    own_plate: bool = False
    steadied: bool = False
    notes: tuple[Finding, ...] = field(default=())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What there is to tell, worst first."""
        if self.kind == "alpha":
            return (remark(GREEN, "masks come from the video's own transparency"),)
        found = [*self.notes, *_exposure_findings(self), *_light_findings(self), *_motion_findings(self)]
        found += [*_moving_findings(self), *_plate_findings(self)]
        return tuple(sorted(found, key=lambda one: LEVELS.index(one.level)))

    def figures(self) -> dict[str, Any]:
        """The "backdrop" part of `capture.json`."""
        motion = self.motion
        return {
            "kind": self.kind,
            "own_plate": self.own_plate,
            "steadied": self.steadied,
            "seen_share": self.plate.seen_share,
            "exposure_span": _number(gain_span(self.exposure)),
            "white_balance_span": _number(tint_span(self.exposure)),
            "exposure_measured_share": _number(float(self.exposure.measured.mean()) if len(self.exposure.gains) else 0),
            "uneven_light_span": _number(_span_of(self.change.slope)),
            "camera_motion_px": _number(motion.span_px),
            "camera_motion_degrees": _number(motion.span_degrees),
            "camera_shake_px": _number(motion.shake_px),
            "camera_motion_measured_share": _number(float(motion.measured.mean()) if len(motion.measured) else 0),
            "moving_share": _number(_high(self.change.moved)),
            "findings": [{"level": f.level, "what": f.what, "advice": f.advice} for f in self.findings],
        }


def remark(level: str, what: str, advice: str = "") -> Finding:
    """A finding about the backdrop."""
    return Finding(level, TOPIC, what, advice)


def gain_span(exposure: Exposure) -> float:
    """Brightest over darkest frame, less 1, of the mean gain (5th to 95th percentile)."""
    return _ratio_span(exposure.gains.mean(axis=1))


def tint_span(exposure: Exposure) -> float:
    """The larger of the two spans of red over green and blue over green, less 1."""
    gains = exposure.gains
    return max(_ratio_span(gains[:, 0] / gains[:, 1]), _ratio_span(gains[:, 2] / gains[:, 1]))


def _exposure_findings(scene: Scene) -> list[Finding]:
    exposure, found = scene.exposure, []
    if not len(exposure.gains):
        return []
    missing = float(1 - exposure.measured.mean())
    if missing >= UNMEASURED_SHARE[0]:
        found.append(_unmeasured(scene.plate, missing))
    if not exposure.measured.any():
        return found
    span, tint = gain_span(exposure), tint_span(exposure)
    level = min(_level(span, GAIN_SPAN), _level(tint, TINT_SPAN), key=LEVELS.index)
    what = f"brightness varies by {span:.1%}, white balance by {tint:.1%} over the clip"
    if level == GREEN:
        return [*found, remark(GREEN, what)]
    advice = "lock exposure and white balance in the camera app; what changed was measured and is compensated"
    return [*found, remark(level, what, advice)]


def _unmeasured(plate: Plate, missing: float) -> Finding:
    """Why exposures are not known: a white background has lost its shades, or too little of it is seen."""
    seen = plate.image[~plate.unseen]  # [P, 3]
    if len(seen) and np.mean(seen.max(axis=1) >= BRIGHTEST) >= OVEREXPOSED_SHARE:
        what = "the background is overexposed (pure white): its exposure cannot be measured"
        return remark(YELLOW, what, "expose for the background: lower the exposure a little, or light the wall less")
    what = f"exposure could not be measured in {missing:.0%} of the frames: too little of the background is seen"
    return remark(_level(missing, UNMEASURED_SHARE), what, "leave more room beside the head")


def _light_findings(scene: Scene) -> list[Finding]:
    span = _span_of(scene.change.slope)
    if not np.isfinite(span) or _level(span, UNEVEN_SPAN) == GREEN:
        return []
    what = f"the light moves: one side of the background changes by {span:.0%} against the other over the clip"
    return [remark(_level(span, UNEVEN_SPAN), what, "film under steady light: lamps, not a window with passing clouds")]


def _motion_findings(scene: Scene) -> list[Finding]:
    motion = scene.motion
    if not motion.measured.any():
        if scene.kind == "plain":
            return []
        what = "the background has too little texture to tell whether the camera moved"
        return [remark(GREEN, what, "camera motion is harmless as long as the background is this plain")]
    share, shake = (length / max(motion.size) for length in (motion.span_px, motion.shake_px))
    what = f"the camera moves by {share:.1%} of the picture's longer side ({motion.span_degrees:.2f} degrees)"
    what += f" over the clip, {shake:.2%} of it from frame to frame"
    level = _level(share, DRIFT_SHARE)
    if level == GREEN:
        what = f"the camera stands still (the background moves by {share:.2%} of the picture's longer side)"
        return [remark(GREEN, what)]
    if scene.steadied:
        return [remark(YELLOW, what, "put the phone on a stand; small camera motion was taken out")]
    advice = "put the phone on a stand, or stabilise the clip first: the motion blurs the background"
    return [remark(level, what, advice)]


def _moving_findings(scene: Scene) -> list[Finding]:
    share = _high(scene.change.moved)
    if not np.isfinite(share) or _level(share, CHANGED_SHARE) == GREEN:
        return []
    what = f"up to {share:.0%} of the background moves (a person, a screen, leaves, a curtain)"
    return [remark(_level(share, CHANGED_SHARE), what, "film before something that stands still")]


def _plate_findings(scene: Scene) -> list[Finding]:
    if scene.own_plate:
        return [remark(GREEN, "the background is your own photograph of the empty scene")]
    if scene.kind == "plain":
        return [remark(GREEN, "the background is one plain colour: the mask follows it, the plate is known everywhere")]
    unseen = 1 - scene.plate.seen_share
    level = _level(unseen, UNSEEN_SHARE)
    what = f"in {unseen:.0%} of the picture the background is never seen"
    if level == GREEN:
        return [remark(GREEN, f"{what}: this part is marked, and nothing is learnt from it")]
    advice = (
        "lean out of the picture for a second before or after, or give a photograph of the empty scene (--plate-photo)"
    )
    return [remark(level, what, advice)]


def _level(value: float, limits: tuple[float, float]) -> str:
    return RED if value >= limits[1] else YELLOW if value >= limits[0] else GREEN


def _ratio_span(values: Float[np.ndarray, " frames"]) -> float:
    if not len(values):
        return float("nan")
    low, high = np.percentile(values, PERCENTILES)
    return float(high / low - 1)


def _span_of(values: Float[np.ndarray, "frames columns"]) -> float:
    """The largest span (5th to 95th percentile) of any column, NaN left out."""
    seen = values[np.isfinite(values).all(axis=1)]
    if not len(seen):
        return float("nan")
    low, high = np.percentile(seen, PERCENTILES, axis=0)
    return float((high - low).max())


def _high(values: Float[np.ndarray, " frames"]) -> float:
    seen = values[np.isfinite(values)]
    return float(np.percentile(seen, PERCENTILES[1])) if len(seen) else float("nan")


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
