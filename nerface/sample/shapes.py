"""Expression shapes of the modelled head: how the skin, the lids and the jaw move. Units: cm and degrees.

Channel names are ARKit's, as MediaPipe scores them; "left" is the subject's left, the right side of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from nerface.sample.head import (
    EYE_HALF_WIDTH,
    EYE_LINE_Y,
    EYE_X,
    EYE_Y,
    EYE_Z,
    EYEBALL_RADIUS,
    MOUTH_HALF_WIDTH,
    MOUTH_Y,
    bump,
    smoothstep,
)

CHANNELS = (
    "jawOpen",
    "mouthSmileLeft",
    "mouthSmileRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
)
LID_THICKNESS = 0.07
UPPER_LID_TRAVEL, LOWER_LID_TRAVEL = 0.64, 0.24
JAW_HINGE_Y, JAW_HINGE_Z = -1.0, 0.5
JAW_TRAVEL = 20.0  # degrees at jawOpen = 1


@dataclass(frozen=True)
class SkinPoints:
    """Points of the shut head and where they belong: `points` [V, 3]; `hair`, `jaw` [V] in [0, 1];

    `above_eye` and `above_mouth` [V]: on the upper side of the cuts; `front` [V] the front half of the head.
    """

    points: Float[np.ndarray, "vertices 3"]
    hair: Float[np.ndarray, " vertices"]
    above_eye: Bool[np.ndarray, " vertices"]
    above_mouth: Bool[np.ndarray, " vertices"]
    front: Bool[np.ndarray, " vertices"]
    jaw: Float[np.ndarray, " vertices"]


def lips_window(x: Float[np.ndarray, " vertices"]) -> Float[np.ndarray, " vertices"]:
    """1 in the middle of the mouth, 0 from its corners outwards: how far the two lips move apart."""
    return np.clip(1.0 - (x / MOUTH_HALF_WIDTH) ** 2, 0.0, 1.0) ** 0.7


def jaw_share(points: np.ndarray, station: np.ndarray, above_mouth: np.ndarray) -> Float[np.ndarray, " vertices"]:
    """How far each point of the skin turns with the jaw: 1 on the lower lip and chin, 0 on the upper lip and skull."""
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    beside = smoothstep((-3.2 - y) / 5.2)
    middle = lips_window(x)
    share = beside * (1.0 - middle) + np.where(above_mouth, 0.0, 1.0) * middle
    return share * smoothstep((z + 1.0) / 4.5) * (1.0 - smoothstep((station - 23.6) / 3.4))


def turn_jaw(points: np.ndarray, degrees: np.ndarray | float) -> np.ndarray:
    """`points` [V, 3] turned about the jaw's hinge, downwards in front."""
    angle = np.radians(degrees)
    y, z = points[:, 1] - JAW_HINGE_Y, points[:, 2] - JAW_HINGE_Z
    turned_y = JAW_HINGE_Y + y * np.cos(angle) - z * np.sin(angle)
    turned_z = JAW_HINGE_Z + y * np.sin(angle) + z * np.cos(angle)
    return np.stack([points[:, 0], turned_y, turned_z], axis=1)


def deform(skin: SkinPoints, weights: dict[str, float]) -> Float[np.ndarray, "vertices 3"]:
    """The skin under channel weights in [0, 1] (`CHANNELS`; a missing one is 0). Zero weights open the eyes."""
    value = {name: float(weights.get(name, 0.0)) for name in CHANNELS}
    x, y = skin.points[:, 0], skin.points[:, 1]
    move = np.zeros_like(skin.points)
    free = (1.0 - skin.hair) * skin.front
    move += _mouth_motion(skin, value) * free[:, None]
    for sign, side in ((1.0, "Left"), (-1.0, "Right")):
        outer = value[f"browOuterUp{side}"]
        lift = 0.65 * value["browInnerUp"] * bump(x, y, (1.5 * sign, 1.6), (1.1, 0.75))
        lift += 0.65 * outer * bump(x, y, (4.0 * sign, 1.6), (1.3, 0.75))
        move[:, 1] += lift * free
    move[:, 1] += _lid_motion(skin, value, x, y)
    moved = turn_jaw(skin.points + move, JAW_TRAVEL * value["jawOpen"] * skin.jaw)
    return _over_eyeballs(moved, skin.front, y)


def _mouth_motion(skin: SkinPoints, value: dict[str, float]) -> Float[np.ndarray, "vertices 3"]:
    """What smiles do to lips and cheeks."""
    x, y = skin.points[:, 0], skin.points[:, 1]
    middle = lips_window(x)
    move = np.zeros_like(skin.points)
    for sign, side in ((1.0, "Left"), (-1.0, "Right")):
        smile = value[f"mouthSmile{side}"]
        corner = bump(x, y, (MOUTH_HALF_WIDTH * sign, MOUTH_Y), (1.05, 1.0)) * smile
        cheek = bump(x, y, (3.9 * sign, -2.9), (1.2, 1.0)) * smile
        half = smoothstep(sign * x / 3.0 + 0.5) * bump(x, y, (0.0, MOUTH_Y), (1.9, 0.7)) * smile
        move += corner[:, None] * np.array([0.62 * sign, 0.62, -0.30])
        move += cheek[:, None] * np.array([0.12 * sign, 0.30, 0.30])
        # A smile bares the upper teeth a little and flattens the lips.
        move[:, 1] += half * np.where(skin.above_mouth, 0.30, -0.06) * middle
        move[:, 2] -= 0.15 * half
    return move


def _lid_motion(skin: SkinPoints, value: dict[str, float], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far lids stand away from the line on which they meet."""
    total = np.zeros_like(x)
    for sign, side in ((1.0, "Left"), (-1.0, "Right")):
        blink, smile = value[f"eyeBlink{side}"], value[f"mouthSmile{side}"]
        # Eyes open a little lop-sided: highest nearer the nose.
        across = (sign * x - EYE_X) / EYE_HALF_WIDTH
        shape = np.clip(1.0 - across**2, 0.0, 1.0) ** 0.8 * (1.0 - 0.18 * across)
        upper = UPPER_LID_TRAVEL * np.clip(1.0 - (y - EYE_LINE_Y) / 1.6, 0.0, 1.0) ** 1.3
        # Smiling cheeks push the lower lid up.
        lower = -(LOWER_LID_TRAVEL - 0.10 * smile) * np.clip(1.0 - (EYE_LINE_Y - y) / 1.4, 0.0, 1.0) ** 1.3
        total += (1.0 - blink) * shape * np.where(skin.above_eye, upper, lower) * skin.front
    return total


def _over_eyeballs(points: np.ndarray, front: np.ndarray, rest_y: np.ndarray) -> np.ndarray:
    """Lids ride over the eyeballs: z is a smooth maximum of the skin and a ball slightly larger than the eye."""
    near = front & (np.abs(rest_y - EYE_Y) < 2.2)
    part = points[near]
    radius = EYEBALL_RADIUS + LID_THICKNESS
    across2 = (np.abs(part[:, 0]) - EYE_X) ** 2 + (part[:, 1] - EYE_Y) ** 2
    ball = EYE_Z + np.sqrt(np.maximum(radius**2 - across2, 0.0))
    softness = 0.06
    lifted = softness * np.logaddexp(part[:, 2] / softness, ball / softness)
    result = points.copy()
    result[near, 2] = np.where(across2 < radius**2, lifted, part[:, 2])
    return result
