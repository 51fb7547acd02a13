"""What the drawn head does: pose, expression weights, gaze and light over time, by seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

RATE = 25.0  # Hz
# Angle of the eyeball at a weight of one of the eyeLook shapes, in the shapes' own sense: the lids follow about as far.
LOOK_YAW_DEG, LOOK_PITCH_DEG = 30.0, 24.0
BLINK_FRAMES = 9  # length of a blink at 25 Hz: about 0.35 s from open to open
# Head axes (x right, y up, z out of the face) to those that R and t of the ground truth work on (y down, z forward).
FLIP = np.diag([1.0, -1.0, -1.0])

# The 16 controls (`g`) and the shapes each of them moves.
CONTROLS: dict[str, dict[str, float]] = {
    "jaw": {"jawOpen": 1.0},
    "smile": {"mouthSmile_L": 1.0, "mouthSmile_R": 0.9, "cheekSquint_L": 0.35, "cheekSquint_R": 0.35},
    "frown": {"mouthFrown_L": 0.8, "mouthFrown_R": 0.9, "mouthShrugLower": 0.3},
    "pucker": {"mouthPucker": 1.0},
    "funnel": {"mouthFunnel": 1.0},
    "stretch": {"mouthStretch_L": 0.8, "mouthStretch_R": 0.8, "mouthLowerDown_L": 0.6, "mouthLowerDown_R": 0.6},
    "press": {"mouthPress_L": 0.8, "mouthPress_R": 0.8, "mouthRollLower": 0.3},
    "sideways": {"mouthLeft": 1.0},
    "brow_up": {"browInnerUp_L": 1.0, "browInnerUp_R": 1.0, "browOuterUp_L": 0.8, "browOuterUp_R": 0.8},
    "brow_down": {"browDown_L": 1.0, "browDown_R": 1.0},
    "sneer": {"noseSneer_L": 0.8, "noseSneer_R": 0.7},
    "puff": {"cheekPuff_L": 0.7, "cheekPuff_R": 0.7},
    "blink": {"eyeBlink_L": 1.0, "eyeBlink_R": 1.0},
    "wide": {"eyeWide_L": 1.0, "eyeWide_R": 1.0},
    "look_right": {},  # of the picture; the eyeLook weights follow from both look controls
    "look_up": {},
}


@dataclass(frozen=True)
class Motion:
    """N frames of the head.

    `rotation` [N, 3, 3] and `translation` [N, 3] (cm) take flipped head axes to the camera (x right, y down, z
    forward); `weights` [N, E] of the named shapes in [0, 1]; `controls` [N, 16]; `gaze` [N, 2, 2] yaw and pitch of the
    subject's left and right eyeball in head axes, radians, positive to the right of the picture and up; `body` [N, 4,
    4] takes flipped head axes of the upper body to the camera.
    """

    rotation: Float[np.ndarray, "frames 3 3"]
    translation: Float[np.ndarray, "frames 3"]
    weights: Float[np.ndarray, "frames shapes"]
    controls: Float[np.ndarray, "frames 16"]
    gaze: Float[np.ndarray, "frames 2 2"]
    body: Float[np.ndarray, "frames 4 4"]


def make_motion(
    frames: int, names: tuple[str, ...], random: np.random.Generator, yaw_deg: float = 25.0, pitch_deg: float = 15.0
) -> Motion:
    """A talking, looking, blinking head at 25 Hz, that turns and nods by up to `yaw_deg` and `pitch_deg` each way."""
    time = np.arange(frames) / RATE
    yaw = _within(_wander(time, random, 3.1) + 0.35 * _wander(time, random, 1.1), -yaw_deg, yaw_deg)
    pitch = _within(_wander(time, random, 2.3) + 0.35 * _wander(time, random, 0.9), -pitch_deg, pitch_deg)
    roll = _within(_wander(time, random, 2.9), -8, 7)
    rotation = FLIP @ Rotation.from_euler("YXZ", np.stack([yaw, pitch, roll], 1), degrees=True).as_matrix() @ FLIP
    translation = np.stack(
        [
            _within(_wander(time, random, 3.7), -3.0, 3.4),
            _within(_wander(time, random, 2.7), -1.0, 2.0),
            _within(_wander(time, random, 4.3), 67.0, 76.0),
        ],
        axis=1,
    )
    # The head turns about the top of the neck, not about the origin between the ears.
    pivot = FLIP @ np.array([0.0, -5.0, -2.0])
    translation = translation + pivot - rotation @ pivot
    controls = _controls(time, random)
    gaze = _gaze(controls)
    return Motion(rotation, translation, _weights(controls, gaze, names), controls, gaze, _body(rotation, translation))


def _wander(time: np.ndarray, random: np.random.Generator, period: float) -> np.ndarray:
    """A smooth unrepeating signal about zero whose main swing takes `period` seconds."""
    return np.asarray(
        sum(
            weight * np.sin(2 * np.pi * (time / (period * stretch) + random.uniform()))
            for weight, stretch in ((1.0, random.uniform(0.9, 1.1)), (0.5, random.uniform(1.5, 1.8)))
        )
    )


def _within(values: np.ndarray, low: float, high: float) -> np.ndarray:
    share = (values - values.min()) / max(float(np.ptp(values)), 1e-9)
    return np.asarray(low + (high - low) * share)


def _controls(time: np.ndarray, random: np.random.Generator) -> Float[np.ndarray, "frames 16"]:
    frames = len(time)
    at = {name: column for column, name in enumerate(CONTROLS)}
    values = np.zeros((frames, len(CONTROLS)))
    speech = np.clip(_wander(time, random, 0.45), 0, None) * np.clip(_wander(time, random, 2.2) + 0.6, 0, 1)
    values[:, at["jaw"]] = _within(speech, 0, 0.55)
    rounds = np.clip(_wander(time, random, 0.8), 0, None)
    values[:, at["pucker"]] = _within(rounds * np.clip(_wander(time, random, 2.5), 0, 1), 0, 0.7)
    values[:, at["funnel"]] = _within(np.clip(_wander(time, random, 0.9), 0, None), 0, 0.35)
    for name, peak in (
        *(("smile", 0.85), ("frown", 0.5), ("stretch", 0.5), ("press", 0.5), ("sideways", 0.4)),
        *(("brow_up", 0.8), ("brow_down", 0.7), ("sneer", 0.6), ("puff", 0.5), ("wide", 0.6)),
    ):
        values[:, at[name]] = peak * _episodes(frames, random)
    # A mouth does not smile and pucker, or frown, at full strength at once.
    for name in ("pucker", "frown", "puff", "press"):
        values[:, at[name]] *= 1 - 0.8 * np.maximum(values[:, at["smile"]], values[:, at["jaw"]])
    values[:, at["brow_down"]] *= 1 - values[:, at["brow_up"]]
    values[:, at["blink"]] = _blinks(frames, random)
    values[:, at["wide"]] *= 1 - values[:, at["blink"]]
    values[:, at["look_right"]] = _saccades(frames, random, 0.8)
    values[:, at["look_up"]] = _saccades(frames, random, 0.7)
    return values


def _episodes(frames: int, random: np.random.Generator) -> np.ndarray:
    """Two or so stretches of 0.5 to 1.2 s in which a control rises to one and falls again."""
    values = np.zeros(frames)
    for _ in range(max(1, round(frames / 75))):
        middle, width = random.uniform(0.1, 0.9) * frames, random.uniform(0.5, 1.2) * RATE / 2
        along = np.clip(np.abs(np.arange(frames) - middle) / width, 0, 2)
        values = np.maximum(values, np.where(along < 2, 0.5 + 0.5 * np.cos(np.pi * along / 2), 0))
    return values


def _blinks(frames: int, random: np.random.Generator) -> np.ndarray:
    """Full blinks every second or so, each closed for at least one whole frame."""
    values = np.zeros(frames)
    at = random.uniform(0.4, 0.9) * RATE
    while at < frames - BLINK_FRAMES:
        along = (np.arange(frames) - at) / BLINK_FRAMES
        # Closing takes a third of the time, opening the rest (Evinger et al. 1991).
        lid = np.minimum(along / 0.33, (1 - along) / 0.55)
        values = np.maximum(values, np.clip(lid, 0, 1))
        at += random.uniform(0.6, 1.3) * RATE
    return values


def _saccades(frames: int, random: np.random.Generator, reach: float) -> np.ndarray:
    """Fixations of 0.2 to 0.8 s with quick jumps between, as eyes move."""
    values, at = np.zeros(frames), 0
    while at < frames:
        hold = round(random.uniform(0.2, 0.8) * RATE)
        values[at : at + hold] = random.uniform(-reach, reach)
        at += hold
    return np.asarray(gaussian_filter1d(values, 0.6, mode="nearest"))


def _gaze(controls: Float[np.ndarray, "frames 16"]) -> Float[np.ndarray, "frames 2 2"]:
    at = {name: column for column, name in enumerate(CONTROLS)}
    yaw = np.radians(LOOK_YAW_DEG) * controls[:, at["look_right"]]
    pitch = np.radians(LOOK_PITCH_DEG) * controls[:, at["look_up"]]
    return np.repeat(np.stack([yaw, pitch], axis=1)[:, None], 2, axis=1)


def _weights(
    controls: np.ndarray, gaze: Float[np.ndarray, "frames 2 2"], names: tuple[str, ...]
) -> Float[np.ndarray, "frames shapes"]:
    weights = np.zeros((len(controls), len(names)))
    for column, shapes in enumerate(CONTROLS.values()):
        for name, share in shapes.items():
            weights[:, names.index(name)] += share * controls[:, column]
    yaw, pitch = gaze[:, 0, 0] / np.radians(LOOK_YAW_DEG), gaze[:, 0, 1] / np.radians(LOOK_PITCH_DEG)
    # To the right of the picture is outwards for the subject's left eye and inwards for the right one.
    open_share = 1 - controls[:, list(CONTROLS).index("blink")]
    for side, right in (("L", "Out"), ("R", "In")):
        left = "In" if right == "Out" else "Out"
        weights[:, names.index(f"eyeLook{right}_{side}")] = np.clip(yaw, 0, 1)
        weights[:, names.index(f"eyeLook{left}_{side}")] = np.clip(-yaw, 0, 1)
        weights[:, names.index(f"eyeLookUp_{side}")] = np.clip(pitch, 0, 1) * open_share
        # Lids that are closed already do not come down further.
        weights[:, names.index(f"eyeLookDown_{side}")] = np.clip(-pitch, 0, 1) * open_share
    return np.clip(weights, 0, 1)


def _body(rotation: np.ndarray, translation: np.ndarray) -> Float[np.ndarray, "frames 4 4"]:
    """The shoulders follow a fifth of the head's turn, late and smoothed, and most of its travel."""
    turn = Rotation.from_matrix(rotation).as_rotvec() * 0.2
    body = np.tile(np.eye(4), (len(rotation), 1, 1))
    body[:, :3, :3] = Rotation.from_rotvec(gaussian_filter1d(turn, 6.0, axis=0, mode="nearest")).as_matrix()
    neck = FLIP @ np.array([0.0, -5.0, -2.0])
    place = np.einsum("nij,j->ni", rotation, neck) + translation
    place = gaussian_filter1d(place, 4.0, axis=0, mode="nearest")
    body[:, :3, 3] = place - np.einsum("nij,j->ni", body[:, :3, :3], neck)
    return body
