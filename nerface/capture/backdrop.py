"""What capture learns about the scene behind the person, and what it tells the user about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from nerface.capture.backdrop_change import BackdropChange
from nerface.capture.camera_motion import STILL_SHARE, CameraMotion
from nerface.capture.exposure import Exposure
from nerface.capture.plate import Plate

LEVELS = ("green", "yellow", "red")
KINDS = ("scene", "plain", "alpha")

# Each pair: from here on yellow, from here on red.
GAIN_SPAN = (0.03, 0.25)  # brightest over darkest frame, less 1 (5th to 95th percentile)
TINT_SPAN = (0.015, 0.10)  # the same for red over green and blue over green
UNEVEN_SPAN = (0.05, 0.12)  # change of brightness across the picture beyond the common gain
DRIFT_SHARE = (STILL_SHARE, 0.012)  # camera motion over the picture's longer side: 1.5 and 6 px of 512
CHANGED_SHARE = (0.02, 0.10)  # share of the seen background that moves, over the clip
UNSEEN_SHARE = (0.60, 0.85)  # of the picture; a head and shoulders alone hide about 45 %
UNMEASURED_SHARE = (0.10, 0.5)  # frames whose exposure could not be measured
PERCENTILES = (5.0, 95.0)


@dataclass(frozen=True)
class Finding:
    """One remark about the backdrop: `level` "green", "yellow" or "red"; `what` with figures; `advice` ("" = none)."""

    level: str
    what: str
    advice: str = ""


@dataclass(frozen=True)
class Scene:
    """All that capture knows of the backdrop after the last frame.

    `kind`: "scene" (a real place), "plain" (one flat colour, masks keyed by it) or "alpha" (masks from the file's
    transparency). `plate` and `exposure` as their classes say; `motion` of the camera against the backdrop; `change`
    is what is left; `own_plate` True where the user's photograph is the plate. `steadied` True where the pictures
    were put back in place, so that `motion` is what was taken out of them.
    """

    kind: str
    plate: Plate
    exposure: Exposure
    motion: CameraMotion
    change: BackdropChange
    own_plate: bool = False
    steadied: bool = False
    notes: tuple[Finding, ...] = field(default=())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What there is to tell, worst first."""
        if self.kind == "alpha":
            return (Finding("green", "masks come from the video's own transparency"),)
        found = [*self.notes, *_exposure_findings(self), *_light_findings(self), *_motion_findings(self)]
        found += [*_moving_findings(self), *_plate_findings(self)]
        return tuple(sorted(found, key=lambda one: -LEVELS.index(one.level)))

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
        what = f"exposure could not be measured in {missing:.0%} of the frames: too little of the background is seen"
        found.append(Finding(_level(missing, UNMEASURED_SHARE), what, "leave more room beside the head"))
    span, tint = gain_span(exposure), tint_span(exposure)
    level = max(_level(span, GAIN_SPAN), _level(tint, TINT_SPAN), key=LEVELS.index)
    what = f"brightness varies by {span:.1%}, white balance by {tint:.1%} over the clip"
    if level == "green":
        return [*found, Finding("green", what)]
    advice = "it is measured and compensated; for the best result lock exposure and white balance in the camera app"
    return [*found, Finding(level, what, advice)]


def _light_findings(scene: Scene) -> list[Finding]:
    span = _span_of(scene.change.slope)
    if not np.isfinite(span) or _level(span, UNEVEN_SPAN) == "green":
        return []
    what = f"the light moves: one side of the background changes by {span:.0%} against the other over the clip"
    return [
        Finding(_level(span, UNEVEN_SPAN), what, "film under steady light: lamps, not a window with passing clouds")
    ]


def _motion_findings(scene: Scene) -> list[Finding]:
    motion = scene.motion
    if not motion.measured.any():
        if scene.kind == "plain":
            return []
        what = "the background has too little texture to tell whether the camera moved"
        return [Finding("green", what, "harmless as long as the background is this plain")]
    what = f"the camera moves by {motion.span_px:.1f} px ({motion.span_degrees:.2f} degrees) over the clip"
    what += f", {motion.shake_px:.2f} px of it from frame to frame"
    level = _level(motion.span_px / max(motion.size), DRIFT_SHARE)
    if level == "green":
        return [Finding("green", f"the camera stands still (the background moves by {motion.span_px:.1f} px)")]
    if scene.steadied:
        return [Finding("yellow", what, "it was taken out of the pictures; a phone on a stand gives sharper results")]
    advice = "put the phone on a stand, or stabilise the clip first; the plate is blurred by the motion"
    return [Finding(level, what, advice)]


def _moving_findings(scene: Scene) -> list[Finding]:
    share = _high(scene.change.moved)
    if not np.isfinite(share) or _level(share, CHANGED_SHARE) == "green":
        return []
    what = f"up to {share:.0%} of the background moves (a person, a screen, leaves, a curtain)"
    return [Finding(_level(share, CHANGED_SHARE), what, "film before something that stands still")]


def _plate_findings(scene: Scene) -> list[Finding]:
    if scene.own_plate:
        return [Finding("green", "the background is your own photograph of the empty scene")]
    if scene.kind == "plain":
        return [
            Finding("green", "the background is one plain colour: the mask follows it, the plate is known everywhere")
        ]
    unseen = 1 - scene.plate.seen_share
    level = _level(unseen, UNSEEN_SHARE)
    what = f"{unseen:.0%} of the background is never seen"
    if level == "green":
        return [Finding("green", f"{what}: it is marked, and nothing is learnt from it")]
    advice = "lean out of the picture for a second before or after, or give a photograph of the empty scene (--plate)"
    return [Finding(level, what, advice)]


def _level(value: float, limits: tuple[float, float]) -> str:
    return "red" if value >= limits[1] else "yellow" if value >= limits[0] else "green"


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
