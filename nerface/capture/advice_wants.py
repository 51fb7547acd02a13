"""What driving will want of an avatar's head and face, channel by channel, and how much of it a clip shows.

A driver's face goes on from the person's own rest, so what is wanted of a score is a share of the way from its value at
rest to 1 (a score reads up to 0.8 on some faces at rest, measured on rendered neutral heads). Gaze is wanted in radians
to both sides of the median.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

REACHED_FRAMES = (
    3  # a value counts as reached that so many frames have: a blink shuts the eye for 2 to 4 of 25 a second
)
REST_PERCENTILE = 5.0  # of a score, which only rises from rest; speech and smiles leave it there one frame in twenty
USUAL_PERCENTILES = (5.0, 95.0)
ENOUGH = 0.8  # of what is wanted: what lies a little beyond is still reached by a field that has seen this much
GAZE_YAW_RAD, GAZE_PITCH_RAD = 0.35, 0.18  # 20 and 10 degrees: beyond, people turn the head

# Degrees from the median pose. A driver before a screen turns so far in talk; the eyes stay on the
# screen, which 30 degrees still allow.
YAW_DEG, PITCH_DEG, ROLL_DEG = 30.0, 20.0, 10.0

# These outputs of FaceLandmarker's network never rise (under 0.1 in 6,003 frames of 19 clips) and `tongueOut` is not
# among them; what they mean cannot be captured or driven.
DEAD_CHANNELS = frozenset(
    {
        *("_neutral", "cheekPuff", "cheekSquintLeft", "cheekSquintRight"),
        *("jawForward", "noseSneerLeft", "noseSneerRight", "tongueOut"),
    }
)
GAZE_CHANNELS = ("leftEyeYaw", "leftEyePitch", "rightEyeYaw", "rightEyePitch")


@dataclass(frozen=True)
class Want:
    """One thing a face should do in the clip.

    `what` it is; `shares` wanted of each channel (from rest to 1; radians to both sides for gaze); `film` what to do
    before the camera; `needed` by nearly every drive, else merely good to have; `any_of` one of the channels will do.
    """

    what: str
    shares: dict[str, float]
    film: str
    needed: bool = False
    any_of: bool = False


def _both(*names: str, share: float) -> dict[str, float]:
    return {f"{name}{side}": share for name in names for side in ("Left", "Right")}


WANTS = (
    Want("a wide open mouth", {"jawOpen": 0.6}, "open your mouth wide a few times: 'aah', a yawn", needed=True),
    Want("closed eyes", _both("eyeBlink", share=0.9), "blink a few times and keep your eyes shut for a second", True),
    Want(
        "pressed lips",
        {**_both("mouthPress", share=0.3), "mouthRollLower": 0.3, "mouthRollUpper": 0.3, "mouthClose": 0.25},
        "say something with closed lips ('mama, papa, baby') and press your lips together",
        needed=True,
        any_of=True,
    ),
    Want(
        "rounded lips",
        {"mouthPucker": 0.5, "mouthFunnel": 0.4},
        "say 'ooh' and 'you', and pout as for a kiss",
        needed=True,
        any_of=True,
    ),
    Want("a smile", _both("mouthSmile", share=0.6), "smile broadly, once with closed lips and once with teeth", True),
    Want(
        "raised eyebrows",
        {"browInnerUp": 0.5, **_both("browOuterUp", share=0.5)},
        "raise your eyebrows as if surprised",
        needed=True,
    ),
    Want("lowered eyebrows", _both("browDown", share=0.4), "frown as if angry"),
    Want("narrowed eyes", _both("eyeSquint", share=0.4), "narrow your eyes"),
    Want("wide eyes", _both("eyeWide", share=0.2), "open your eyes wide"),
    Want("bared teeth", _both("mouthUpperUp", "mouthLowerDown", share=0.4), "show your teeth: 'cheese'"),
    Want("a drawn mouth", _both("mouthStretch", "mouthDimple", share=0.3), "draw the corners of your mouth apart"),
    Want("a sideways mouth", _both("mouth", share=0.3), "push your mouth to each side"),
    Want("a shrug of the lips", {"mouthShrugLower": 0.3, "mouthShrugUpper": 0.3}, "push up your chin and lower lip"),
)
GAZE = Want(
    "eyes that wander",
    {
        **dict.fromkeys(("leftEyeYaw", "rightEyeYaw"), GAZE_YAW_RAD),
        **dict.fromkeys(("leftEyePitch", "rightEyePitch"), GAZE_PITCH_RAD),
    },
    "keep your head still and look left, right, up and down with your eyes only",
)
# Only where a capture has no gaze channels: these scores follow the true gaze badly.
GAZE_SCORES = Want("eyes that wander", _both("eyeLookIn", "eyeLookOut", "eyeLookUp", share=0.4), GAZE.film)

REACHED, SHORT, UNSEEN, DEAD, FREE = "reached", "short", "hardly seen", "dead", "not judged"


@dataclass(frozen=True)
class Reach:
    """How far one channel goes in the clip.

    `least`, `greatest`; `low`, `high` the 5th and 95th percentile; `rest`; `goals` (below, above) that are wanted, None
    where nothing is; `share` of the want that is reached (of the worse side), NaN where nothing is wanted.
    """

    channel: str
    least: float
    low: float
    rest: float
    high: float
    greatest: float
    goals: tuple[float | None, float | None]
    share: float

    @property
    def status(self) -> str:
        """One of REACHED, SHORT, UNSEEN (under half), DEAD, FREE."""
        if self.channel in DEAD_CHANNELS:
            return DEAD
        if np.isnan(self.share):
            return FREE
        return REACHED if self.share >= ENOUGH else SHORT if self.share >= ENOUGH / 2 else UNSEEN


def wants_for(channels: tuple[str, ...]) -> tuple[Want, ...]:
    """The wants that a capture with these channels can fulfil."""
    gaze = GAZE if set(GAZE.shares) & set(channels) else GAZE_SCORES
    known = [Want(w.what, _known(w, channels), w.film, w.needed, w.any_of) for w in (*WANTS, gaze)]
    return tuple(want for want in known if want.shares)


def reaches(expressions: Float[np.ndarray, "frames expression"], channels: tuple[str, ...]) -> dict[str, Reach]:
    """How far every channel goes, by name."""
    wanted = {name: share for want in wants_for(channels) for name, share in want.shares.items()}
    return {name: _reach(name, expressions[:, k], wanted.get(name)) for k, name in enumerate(channels)}


def fulfilled(want: Want, found: dict[str, Reach]) -> float:
    """The share of `want` that is reached: the best channel's where one will do, else the mean."""
    shares = [min(found[name].share, 1.0) for name in want.shares]
    return float(max(shares) if want.any_of else np.mean(shares))


def extremes(values: Float[np.ndarray, " frames"]) -> tuple[float, float]:
    """The least and greatest value that at least `REACHED_FRAMES` frames reach (fewer in a shorter clip)."""
    ordered = np.sort(values)
    place = min(REACHED_FRAMES, len(ordered)) - 1
    return float(ordered[place]), float(ordered[len(ordered) - 1 - place])


def _known(want: Want, channels: tuple[str, ...]) -> dict[str, float]:
    return {name: share for name, share in want.shares.items() if name in channels and name not in DEAD_CHANNELS}


def _reach(name: str, values: Float[np.ndarray, " frames"], wanted: float | None) -> Reach:
    low, high = np.percentile(values, USUAL_PERCENTILES)
    lowest, highest = extremes(values)
    goals: tuple[float | None, float | None] = (None, None)
    share = np.nan
    signed = name in GAZE_CHANNELS
    rest = float(np.median(values) if signed else np.percentile(values, REST_PERCENTILE))
    if wanted is not None and signed:
        goals = (rest - wanted, rest + wanted)
        share = min(rest - lowest, highest - rest) / wanted
    elif wanted is not None:
        way = wanted * max(1.0 - rest, 1e-3)
        goals = (None, rest + way)
        share = (highest - rest) / way
    least, greatest = float(values.min()), float(values.max())
    return Reach(name, least, float(low), rest, float(high), greatest, goals, float(share))
