"""Cross-person re-enactment: another person's expressions and head turns, shown by an avatar (spec 6.5).

    expression  target's neutral + (driver's frame k - driver's neutral)
    camera      rotation of the driver's frame k (without translation) times the target's frontal pose

Neutral is what has no activity: for each channel the value nearest to zero within one spread of the channel's mean. A
frame is the more neutral the nearer it is to that. This holds for named scores in [0, 1] as for signed coefficients.
Gaze has no such value: its neutral is the clip's usual one (most people look at the camera most of the time), since the
most neutral face may look anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from nerface.driving.conventions import PLAIN, Convention, in_convention
from nerface.driving.gaze_channels import GAZE_NAMES, look_follows, places_of
from nerface.driving.track import Track
from nerface.driving.views import rest_pose
from nerface.errors import UserError
from nerface.fields.base import Subject

SPREAD_FLOOR = 0.05  # channels that hardly move do not decide which frame is neutral
# Beginnings of channel names that tell nothing of it (gaze is not expression).
NO_ACTIVITY = ("_neutral", "eyeLook", "leftEye", "rightEye")
PITCH_WEIGHT = 0.5  # of the frontal frame's measure: a nod matters half as much as a turn or a tilt (spec 6.5)
SAME_AXES_DEG = 90.0  # a frontal driver farther from the target's frontal pose than this has other head axes
EXPRESSIONS, ANCHORS = ("relative", "copy"), ("seed", "relative")


@dataclass(frozen=True)
class Neutral:
    """A person at rest, seen from the front: pose, expression, and in words where they come from."""

    camera_to_head: Float[np.ndarray, "4 4"]
    expression: Float[np.ndarray, " expression"]
    source: str


def neutral_point(
    mean: Float[np.ndarray, " expression"], spread: Float[np.ndarray, " expression"]
) -> Float[np.ndarray, " expression"]:
    """For each channel the value nearest to 0 that lies within one spread of its mean."""
    return np.clip(0.0, mean - spread, mean + spread).astype(np.float32)


def neutral_frame(expressions: Float[np.ndarray, "frames expression"], names: Sequence[str]) -> int:
    """The frame nearest to the neutral point of all frames, in units of each channel's spread."""
    mean, spread = expressions.mean(axis=0), expressions.std(axis=0)
    away = (expressions - neutral_point(mean, spread)) / np.maximum(spread, SPREAD_FLOOR)
    counted = np.array([not name.startswith(NO_ACTIVITY) for name in names])
    return int(np.argmin(np.linalg.norm(away[:, counted], axis=1)))


def frontal_frame(camera_to_head: Float[np.ndarray, "frames 4 4"], convention: Convention = PLAIN) -> int:
    """The frame least turned away: argmin of the norm of (0.5 ax, ay, az), the Euler angles xyz of the inverse rotation
    (spec 6.5)."""
    rotations = in_convention(camera_to_head, convention, PLAIN)[:, :3, :3].astype(np.float64)
    angles = Rotation.from_matrix(np.linalg.inv(rotations)).as_euler("xyz", degrees=True)
    return int(np.argmin(np.linalg.norm(angles * [PITCH_WEIGHT, 1.0, 1.0], axis=1)))


def transferred(
    driver: Float[np.ndarray, "frames expression"],
    driver_neutral: Float[np.ndarray, " expression"],
    target_neutral: Float[np.ndarray, " expression"],
    names: Sequence[str] = (),
) -> Float[np.ndarray, "frames expression"]:
    """What the driver does, done by the target: `target_neutral + (driver - driver_neutral)`.

    `names` of the channels: where there are eye angles, eyeLook scores are those of the angles that result.
    """
    return look_follows((target_neutral + (driver - driver_neutral)).astype(np.float32), names)


def anchored(
    driver: Float[np.ndarray, "frames 4 4"],
    frontal: Float[np.ndarray, "4 4"],
    convention: Convention = PLAIN,
    reference: Float[np.ndarray, "4 4"] | None = None,
) -> Float[np.ndarray, "frames 4 4"]:
    """Cameras that turn about the head as the driver's do: rotation of each driver pose times the pose `frontal`.

    With `reference`, a pose of the driver, rotations are counted from there: where the driver stands so, the result is
    `frontal`. All poses are in `convention`; the product is formed where rotations are proper, which for the seed's
    mirrored datasets gives the same numbers as the product of the poses as they are stored.
    """
    turns = _rotations(in_convention(driver, convention, PLAIN))
    if reference is not None:
        turns = turns @ np.linalg.inv(_rotations(in_convention(reference, convention, PLAIN)))
    return in_convention(turns @ in_convention(frontal, convention, PLAIN), PLAIN, convention)


def _rotations(camera_to_head: Float[np.ndarray, "*frames 4 4"]) -> Float[np.ndarray, "*frames 4 4"]:
    """The poses without their translations."""
    turns = np.array(camera_to_head)
    turns[..., :3, 3] = 0.0
    return turns


def avatar_neutral(subject: Subject) -> Neutral:
    """What an avatar alone knows: its rest pose, and the neutral point of the expressions it was trained on."""
    mean, spread = np.array(subject.expression_mean), np.array(subject.expression_std)
    expression = _with_usual_gaze(neutral_point(mean, spread), mean, subject.expression_names)
    return Neutral(rest_pose(subject), expression, "the avatar's rest pose and expression statistics")


def track_neutral(track: Track, neutral: str | None = None, split: str = "train") -> Neutral:
    """The most frontal and the most neutral frame of a whole dataset; or the neutral frame named, `SPLIT:K` or K of
    `split`."""
    names = track.expression_names
    chosen = neutral_frame(track.expressions, names) if neutral is None else track.find(neutral, split)
    expression = track.expressions[chosen]
    if neutral is None:
        expression = _with_usual_gaze(expression, np.median(track.expressions, axis=0), names)
    front = frontal_frame(track.camera_to_head, track.convention)
    return Neutral(
        track.camera_to_head[front],
        expression,
        f"{track.folder}: frontal frame {track.name(front)}, neutral frame {track.name(chosen)}",
    )


def _with_usual_gaze(
    expression: Float[np.ndarray, " expression"], usual: Float[np.ndarray, " expression"], names: Sequence[str]
) -> Float[np.ndarray, " expression"]:
    """The expression with the eye angles of `usual`, where there are any."""
    gaze = places_of(names, GAZE_NAMES)
    if gaze is None:
        return expression
    changed = np.array(expression, dtype=np.float32)
    changed[gaze] = usual[gaze]
    return look_follows(changed[None], names)[0]


def require_same_axes(driver: Neutral, target: Neutral, convention: Convention, where: str) -> None:
    """Raise `UserError` where the driver's frontal pose is no frontal pose for the target: other axes of head space."""
    one, other = (in_convention(person.camera_to_head, convention, PLAIN)[:3, :3] for person in (driver, target))
    apart = np.degrees(Rotation.from_matrix(one @ np.linalg.inv(other)).magnitude())
    if apart > SAME_AXES_DEG:
        raise UserError(
            f"{where}: its most frontal camera is {apart:.0f} degrees away from the avatar's, so its head has other "
            "axes (x right, y up, z out of the face are needed): turn its poses first"
        )
