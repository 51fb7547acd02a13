"""A made person for other trackers' formats: points of a head, how it moves, and pictures drawn through any projection.

Nothing here knows of the importers: each format's writer (`tests/interop/foreign.py`) gives a function that says where
the format itself sees a point of the head, and pictures are splatted through that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

RADII_M = np.array([0.08, 0.115, 0.095])
CENTRE_M = np.array([0.0, 0.01, -0.01])  # of the ellipsoid, from the head's origin
SIZE = (96, 80)
FRAMES = 40
SURFACE_POINTS = 20_000

# u, v [P] in px, the centre of the first pixel at (0, 0), and depth [P]
Seen = tuple[np.ndarray, np.ndarray, np.ndarray]
Project = Callable[[int, np.ndarray], Seen]


@dataclass(frozen=True)
class Foreign:
    """What was written: the folder (or table), and where the format sees head points (metres) in frame k."""

    source: Path
    project: Project
    expressions: np.ndarray
    masks: list[np.ndarray]
    plate: np.ndarray
    unit_m: float = 1.0


def angles(frames: int = FRAMES) -> np.ndarray:
    """Yaw, pitch and roll in radians."""
    time = np.linspace(0, 2 * np.pi, frames)
    return np.stack([0.4 * np.sin(2 * time), 0.22 * np.cos(3 * time + 1), 0.08 * np.sin(time)], axis=1)


def shifts(frames: int = FRAMES) -> np.ndarray:
    """Movement of the head in metres."""
    time = np.linspace(0, 2 * np.pi, frames)
    return np.stack([0.03 * np.cos(time), 0.02 * np.sin(2 * time), 0.03 * np.sin(time)], axis=1)


def turn(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """A rotation by pitch about x, then yaw about y, then roll about z, written out."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def values(channels: int, frames: int = FRAMES) -> np.ndarray:
    """Expressions; the first channel is how wide the mouth opens."""
    return np.random.default_rng(7).uniform(0, 1, (frames, channels))


def landmarks_m() -> np.ndarray:
    """68 points on the head in the iBUG order [68, 3], metres: x to the right of the picture, y up, z to the front."""
    flat = []
    for k in range(17):  # jaw from ear to ear
        along = np.pi * k / 16
        flat.append((-0.07 * np.cos(along), -0.02 - 0.07 * np.sin(along)))
    flat += [(x, 0.045) for x in (-0.055, -0.045, -0.035, -0.025, -0.015, 0.015, 0.025, 0.035, 0.045, 0.055)]
    flat += [(0, 0.03), (0, 0.02), (0, 0.01), (0, 0.0), *((x, -0.012) for x in (-0.012, -0.006, 0, 0.006, 0.012))]
    for side in (-1, 1):
        ring = [(0.045, 0.03), (0.037, 0.035), (0.029, 0.035), (0.021, 0.03), (0.029, 0.025), (0.037, 0.025)]
        ring = ring if side < 0 else [ring[3], ring[2], ring[1], ring[0], ring[5], ring[4]]
        flat += [(side * x, y) for x, y in ring]
    for count, wide, tall in ((12, 0.025, 0.012), (8, 0.018, 0.005)):  # the lips, outside and inside
        around = np.pi - 2 * np.pi * np.arange(count) / count
        flat += [(wide * np.cos(a), -0.04 + tall * np.sin(a)) for a in around]
    points = np.zeros((68, 3))
    points[:, :2] = flat
    room = 1 - ((points[:, :2] - CENTRE_M[:2]) ** 2 / RADII_M[:2] ** 2).sum(axis=1)
    points[:, 2] = CENTRE_M[2] + RADII_M[2] * np.sqrt(np.maximum(room, 0.02))
    points[30, 2] += 0.02  # the nose stands out
    return points


def seen_landmarks(project: Project, frames: int = FRAMES) -> np.ndarray:
    """Where the format sees them [N, 68, 2]."""
    return np.stack([np.stack(project(k, landmarks_m())[:2], axis=-1) for k in range(frames)])


def plate(size: tuple[int, int] = SIZE) -> np.ndarray:
    """The empty scene, RGB."""
    u, v = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    return np.rint(np.stack([40 + 60 * u, 90 + 80 * v, 160 - 70 * u * v], axis=-1)).astype(np.uint8)


def draw(project: Project, frame: int, opening: float, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """The picture (RGB) and where the head is."""
    k = np.arange(SURFACE_POINTS) + 0.5
    height, around = 1 - 2 * k / SURFACE_POINTS, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - height**2)
    sphere = np.stack([ring * np.cos(around), height, ring * np.sin(around)], axis=1)
    colour = np.array([190.0, 140.0, 110.0]) + 50 * sphere
    eyes = ((np.abs(sphere[:, 0]) - 0.4) ** 2 + (sphere[:, 1] - 0.2) ** 2 < 0.02) & (sphere[:, 2] > 0)
    mouth = (np.abs(sphere[:, 0]) < 0.3) & (np.abs(sphere[:, 1] + 0.45) < 0.05 + 0.15 * opening) & (sphere[:, 2] > 0)
    colour[eyes | mouth] = [60, 10, 15]
    u, v, depth = project(frame, sphere * RADII_M + CENTRE_M)
    column, row = np.rint(u).astype(int), np.rint(v).astype(int)
    order = np.argsort(-depth)  # the nearest last
    inside = (column >= 0) & (column < size[0]) & (row >= 0) & (row < size[1])
    order = order[inside[order]]
    picture, mask = plate(size).copy(), np.zeros((size[1], size[0]), dtype=bool)
    picture[row[order], column[order]] = np.clip(colour[order], 0, 255).round().astype(np.uint8)
    mask[row[order], column[order]] = True
    return picture, mask


def save(path: Path, picture: np.ndarray) -> None:
    """An RGB, RGBA or grey picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if picture.ndim == 3:
        picture = picture[:, :, [2, 1, 0, 3][: picture.shape[2]]]
    assert cv2.imwrite(str(path), np.ascontiguousarray(picture))
