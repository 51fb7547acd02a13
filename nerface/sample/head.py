"""The modelled head at rest: skull, face relief and hair as one surface over (station, angle). Units: cm.

Every number here was chosen for this head; no scanned, learned or third-party face model is behind it. The origin lies
between the eyes' middles, 8 cm behind the face, x to the right of the picture, y up, z out of the face.

The surface is swept: a `station` s runs from the crown (0) down the profile, over the face (1 cm a unit), round the
chin and down the neck (`STATION_END`); an angle (degrees, 0 in front, positive to the picture's right) runs round the
head. Along the rows `EYE_STATION` and `MOUTH_STATION` the skin is cut: at rest eyes and lips are shut, and
`nerface.sample.shapes` opens them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

EYE_STATION = 13.2
MOUTH_STATION = 18.8
CHIN_STATION = 22.9
STATION_END = 31.0

EYE_X, EYE_Y, EYE_Z = 3.1, -0.05, 6.15  # centre of an eyeball, +-x
EYEBALL_RADIUS = 1.55
EYE_HALF_WIDTH = 1.42
EYE_LINE_Y = -0.2  # where shut lids meet
MOUTH_Y = -5.8
MOUTH_HALF_WIDTH = 2.45

_AXIS_Z = -1.0
_FLATNESS = 2.35  # exponent of the cross-section in front: 2 is an ellipse, more is flatter
_CAP_STATION, _CAP_Y, _CAP_HEIGHT = 10.0, 3.0, 7.4

# station, y in front, z in front, half width, z behind, rise of the row towards the ears
_PROFILE = np.array(
    [
        [10.0, 3.0, 9.05, 7.40, -9.5, 0.0],
        [11.3, 1.7, 9.20, 7.40, -9.5, 0.0],
        [13.2, -0.2, 8.85, 7.20, -9.2, 0.0],
        [15.0, -2.0, 8.85, 6.95, -8.5, 0.1],
        [17.2, -4.2, 8.90, 6.65, -7.5, 0.35],
        [18.8, -5.8, 8.85, 6.35, -6.8, 0.6],
        [20.6, -7.6, 8.45, 5.95, -6.3, 1.5],
        [22.0, -9.0, 8.20, 5.55, -6.1, 2.5],
        [22.9, -9.8, 7.60, 5.25, -6.0, 3.2],
        [23.6, -10.2, 6.80, 4.95, -6.0, 3.7],
        [24.8, -10.5, 5.60, 4.75, -5.9, 3.9],
        [26.4, -11.2, 4.10, 4.70, -5.8, 3.4],
        [28.0, -12.8, 3.50, 4.90, -5.8, 1.6],
        [31.0, -15.8, 3.60, 5.30, -5.8, 0.0],
    ]
)


def _profile_table() -> Float[np.ndarray, "knots 6"]:
    """The profile with the skull's cap, a quarter of an ellipse, before it."""
    share = np.linspace(0.0, 1.0, 9)[:-1]
    angle = share * np.pi / 2
    ring, first = np.sin(angle), _PROFILE[0]
    cap = np.stack(
        [
            share * _CAP_STATION,
            _CAP_Y + _CAP_HEIGHT * np.cos(angle),
            _AXIS_Z + (first[2] - _AXIS_Z) * ring,
            first[3] * ring,
            _AXIS_Z + (first[4] - _AXIS_Z) * ring,
            np.zeros_like(share),
        ],
        axis=1,
    )
    return np.concatenate([cap, _PROFILE])


_CURVES = PchipInterpolator(_profile_table()[:, 0], _profile_table()[:, 1:])
_NOSE_Y = np.array([1.3, 0.6, -0.2, -1.0, -2.0, -2.9, -3.4, -3.8, -4.2, -4.45, -4.8])
_NOSE_HEIGHT = PchipInterpolator(
    _NOSE_Y[::-1], np.array([0.0, 0.1, 0.45, 0.95, 1.55, 2.1, 2.25, 1.9, 0.85, 0.2, 0.0])[::-1]
)
_NOSE_WIDTH = PchipInterpolator(
    _NOSE_Y[::-1], np.array([0.7, 0.6, 0.5, 0.55, 0.62, 0.75, 0.82, 0.85, 0.85, 0.8, 0.8])[::-1]
)


@dataclass(frozen=True)
class RestSkin:
    """Points of the surface with eyes and lips shut: `points` [*, 3] cm and `hair` [*], 1 where the point is hair."""

    points: Float[np.ndarray, "*grid 3"]
    hair: Float[np.ndarray, "*grid"]


def bump(x: np.ndarray, y: np.ndarray, centre: tuple[float, float], spread: tuple[float, float]) -> np.ndarray:
    """A Gaussian hill of height 1."""
    return np.exp(-0.5 * (((x - centre[0]) / spread[0]) ** 2 + ((y - centre[1]) / spread[1]) ** 2))


def smoothstep(value: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(value, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _relief(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What the face adds to the smooth head, in z (cm)."""
    side = np.abs(x)
    inside = (y < _NOSE_Y[0]) & (y > _NOSE_Y[-1])
    y_nose = np.clip(y, _NOSE_Y[-1], _NOSE_Y[0])
    nose = np.where(inside, _NOSE_HEIGHT(y_nose), 0.0) * np.exp(-0.5 * (x / _NOSE_WIDTH(y_nose)) ** 2)
    height = nose + 0.75 * bump(side, y, (1.2, -3.75), (0.36, 0.42))
    height -= 0.75 * bump(side, y, (3.1, -0.1), (1.5, 0.85)) + 0.35 * bump(side, y, (1.6, 0.0), (0.5, 0.7))
    height += 0.30 * bump(side, y, (2.7, 1.7), (1.9, 0.5)) + 0.30 * bump(side, y, (4.6, -2.3), (1.5, 1.2))
    height += 0.35 * bump(x, y, (0.0, -5.9), (2.5, 1.6)) + 0.35 * 0.7 * bump(x, y, (0.0, -9.0), (1.4, 0.8))
    height -= 0.25 * bump(x, y, (0.0, -7.35), (1.8, 0.40)) + 0.10 * bump(x, y, (0.0, -4.9), (0.25, 0.4))
    lips = np.clip(1.0 - (side / 2.6) ** 2, 0.0, 1.0)
    height += lips * (0.36 * bump(x, y, (0.0, -5.4), (9.0, 0.30)) + 0.42 * bump(x, y, (0.0, -6.3), (9.0, 0.36)))
    return height - 0.12 * lips * bump(x, y, (0.0, MOUTH_Y), (9.0, 0.12))


def fringe_y(x: np.ndarray) -> np.ndarray:
    """Height of the fringe's lower edge (cm): it falls to the picture's right, as in the portrait."""
    return 2.75 - 0.07 * np.clip(x, -6.0, 6.0)


def _side_hair(y: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """1 where hair covers the sides and the back: from 53 degrees on, down to the ear lobes, lower at the nape."""
    behind = smoothstep((np.abs(angle) - 100.0) / 30.0)
    edge = 53.0 + 13.0 * smoothstep((-1.0 - y) / 3.4)  # it recedes towards the jaw
    return smoothstep((np.abs(angle) - edge) / 9.0 + 0.5) * smoothstep((y + 4.0 + 1.2 * behind) / 0.9 + 0.5)


def rest_skin(station: Float[np.ndarray, "*grid"], angle: Float[np.ndarray, "*grid"]) -> RestSkin:
    """Points at (station, angle in degrees), both of one shape."""
    y_front, z_front, half_width, z_back, rise = np.moveaxis(_CURVES(station), -1, 0)
    turn = np.radians(angle)
    sine, front = np.sin(turn), np.cos(turn) > 0
    share = np.abs(sine)
    x = half_width * sine
    y = y_front + rise * np.where(front, share**2.6, 1.0)
    across = np.where(
        front,
        (z_front - _AXIS_Z) * np.maximum(1.0 - share**_FLATNESS, 0.0) ** (1.0 / _FLATNESS),
        -(_AXIS_Z - z_back) * np.sqrt(np.maximum(1.0 - share**2, 0.0)),
    )
    z = _AXIS_Z + across
    z = z + np.where(front, _relief(x, y) * smoothstep((np.cos(turn) - 0.05) / 0.4) * (station > 8.0), 0.0)

    top, sides, crown = smoothstep((y - fringe_y(x)) / 0.9 + 0.5), _side_hair(y, angle), smoothstep((y - 2.0) / 5.5)
    hair = (1.0 - (1.0 - top) * (1.0 - sides)) * (station < 22.0)
    over, beside = top * (0.5 + 1.2 * crown), sides * (1.0 - crown) * (0.5 + 1.25 * smoothstep((y + 4.2) / 4.0))
    thickness = (over**4 + beside**4) ** 0.25  # a smooth maximum
    outward = np.stack([x, 0.8 * (y - 1.0), z - _AXIS_Z], axis=-1)
    outward /= np.maximum(np.linalg.norm(outward, axis=-1, keepdims=True), 1e-9)
    points = np.stack([x, y, z], axis=-1) + outward * (thickness * (station < 22.0))[..., None]
    return RestSkin(points, hair)
