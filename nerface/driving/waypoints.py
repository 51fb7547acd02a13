"""Way-points: angles of the camera and expressions to pass, in words or in a JSON file.

In words: points separated by `;`, each `yaw,pitch` in degrees, then expression channels as `name=value` if wanted, as
in "0,0; 20,0,jawOpen=0.6; 0,10". In a file: a list of objects with the keys `yaw`, `pitch`, `expression` (name: value),
`leg` (frames on the way to the point) and `hold` (frames of standing there), all of which may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from nerface.driving.channels import channels_of
from nerface.driving.edits import LARGEST
from nerface.driving.gaze_channels import eyes_agree
from nerface.driving.paths import eased
from nerface.errors import UserError
from nerface.files import read_json

LEG_FRAMES, HOLD_FRAMES = 30, 25  # about a second each; the seed has 60 and 100 at 50 Hz
KEYS = ("yaw", "pitch", "expression", "leg", "hold")


@dataclass(frozen=True)
class Waypoint:
    """A place to pass: angles in degrees, the `expression` channels that are set there (name or number: value), `leg`
    frames on the way to it (none for the first point) and `hold` frames there (1: passed)."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    expression: Mapping[str, float] = field(default_factory=dict)
    leg: int = LEG_FRAMES
    hold: int = HOLD_FRAMES


@dataclass(frozen=True)
class WaypointPath:
    """Way-points over frames: `share` [frames, points], how much of each point there is in a frame (sum 1)."""

    points: tuple[Waypoint, ...]
    share: Float[np.ndarray, "frames points"]

    def angles(self) -> Float[np.ndarray, "frames 2"]:
        """Yaw and pitch in degrees."""
        return self.share @ np.array([[point.yaw_deg, point.pitch_deg] for point in self.points])

    def expressions(
        self, base: Float[np.ndarray, "frames expression"], names: Sequence[str]
    ) -> Float[np.ndarray, "frames expression"]:
        """`base` with the channels that way-points set; what a point does not set stays as it is in `base`."""
        changed = base.astype(np.float64)
        touched: set[int] = set()
        for number, point in enumerate(self.points):
            for word, value in point.expression.items():
                channels = list(channels_of(names, word))
                away = value - base[:, channels].mean(axis=1)
                changed[:, channels] += (self.share[:, number] * away)[:, None]
                touched.update(channels)
        return eyes_agree(changed.astype(np.float32), names, touched)


def path_frames(points: Sequence[Waypoint]) -> int:
    """How many frames it takes to pass all points and to stand at each."""
    return sum(point.hold for point in points) + sum(point.leg for point in points[1:])


def waypoint_path(points: Sequence[Waypoint], frames: int) -> WaypointPath:
    """The path for `frames` frames: cut off where they are fewer than the path has, at its last point where more.

    It begins at the first point; on the way it follows half waves of the cosine.
    """
    keys: list[int] = []
    now = 0
    for number, point in enumerate(points):
        now += point.leg if number else 0
        keys += [now, now + point.hold - 1]
        now += point.hold
    rows = np.repeat(np.eye(len(points)), 2, axis=0)
    return WaypointPath(tuple(points), eased(keys, rows, frames))


def read_waypoints(text: str, leg: int = LEG_FRAMES, hold: int = HOLD_FRAMES) -> tuple[Waypoint, ...]:
    """Way-points from words or, where `text` ends in .json, from a file; `leg` and `hold` where they do not say.

    Raises `UserError` for what is not understood.
    """
    if text.strip().lower().endswith(".json"):
        file = Path(text.strip())
        value = read_json(file)
        if not isinstance(value, list) or not value:
            raise UserError(f'{file} is not a list of way-points: write [{{"yaw": 0, "pitch": 0}}, ...]')
        return tuple(_from_json(item, f"{file}, way-point {number}", leg, hold) for number, item in enumerate(value))
    words = [part.strip() for part in text.split(";") if part.strip()]
    if not words:
        raise UserError("--waypoints is empty: write yaw,pitch in degrees, as in '0,0; 20,0; 0,10'")
    return tuple(_from_words(part, leg, hold) for part in words)


def _from_words(part: str, leg: int, hold: int) -> Waypoint:
    angles: list[float] = []
    expression: dict[str, float] = {}
    for word in (word.strip() for word in part.split(",")):
        name, equals, number = word.partition("=")
        value = _number(number if equals else name)
        if value is None or (equals and not name.strip()) or (not equals and (expression or len(angles) == 2)):
            raise UserError(f"way-point '{part}' is not understood: write yaw,pitch or yaw,pitch,channel=value")
        if equals:
            expression[name.strip()] = value
        else:
            angles.append(value)
    if len(angles) != 2:
        raise UserError(f"way-point '{part}' needs two angles: write yaw,pitch in degrees")
    return Waypoint(_angle(angles[0], part), _angle(angles[1], part), expression, leg, hold)


def _from_json(item: Any, where: str, leg: int, hold: int) -> Waypoint:
    if not isinstance(item, dict):
        raise UserError(f"{where} is not an object with {', '.join(KEYS)}")
    unknown = [key for key in item if key not in KEYS]
    if unknown:
        raise UserError(f"{where} has the unknown key '{unknown[0]}': known are {', '.join(KEYS)}")
    expression = item.get("expression", {})
    if not isinstance(expression, dict):
        raise UserError(f"{where}: 'expression' is not an object of channel: value")
    numbers = {key: _number(item.get(key, 0)) for key in ("yaw", "pitch")}
    values = {name: _number(value) for name, value in expression.items()}
    wrong = [key for key, value in {**numbers, **values}.items() if value is None]
    if wrong:
        raise UserError(f"{where}: '{wrong[0]}' is not a number")
    return Waypoint(
        _angle(numbers["yaw"] or 0.0, where),
        _angle(numbers["pitch"] or 0.0, where),
        {name: value for name, value in values.items() if value is not None},
        _count(item.get("leg", leg), f"{where}: 'leg'"),
        _count(item.get("hold", hold), f"{where}: 'hold'"),
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) <= LARGEST else None


def _angle(value: float, where: str) -> float:
    if abs(value) > 180:
        raise UserError(f"{where}: {value:g} is not an angle: give degrees from -180 to 180")
    return value


def _count(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{where} is not a number of frames: give 1 or more")
    return value
