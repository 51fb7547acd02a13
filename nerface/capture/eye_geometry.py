"""Eyes in the solved head: its points in the pictures, sight lines through the pictures, directions as angles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from nerface.capture.solving import SolvedClip

# Of the iris from the eyeball's centre: 1.35 behind the cornea's top, less the 0.36 that the iris lies deep.
IRIS_DISTANCE_CM = 0.95
CORNER_SIGMA_CM, CORNER_NOISE_PX = 0.3, 1.5


def project_cm(solved: SolvedClip, point: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "frames 2"]:
    """Where a point of the head (cm from its origin) lies in the pictures, px."""
    poses = np.asarray(solved.camera_to_head, np.float64)
    local = np.einsum("nij,ni->nj", poses[:, :3, :3], point * solved.units_per_cm - poses[:, :3, 3])
    depth = np.maximum(-local[:, 2], 1e-6)
    u, v = solved.centre
    return np.stack([u + solved.focal * local[:, 0] / depth, v - solved.focal * local[:, 1] / depth], axis=1)


def sight_lines(
    solved: SolvedClip, places: Float[np.ndarray, "frames 2"]
) -> tuple[Float[np.ndarray, "frames 3"], Float[np.ndarray, "frames 3"]]:
    """Sight lines through places of the pictures: origins (cm, head axes) and unit directions."""
    poses = np.asarray(solved.camera_to_head, np.float64)
    across = (places - np.asarray(solved.centre)) / solved.focal
    directions = np.stack([across[:, 0], -across[:, 1], -np.ones(len(places))], axis=1)
    directions = np.einsum("nij,nj->ni", poses[:, :3, :3], directions)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return poses[:, :3, 3] / solved.units_per_cm, directions


def corner_in_head(
    solved: SolvedClip, places: Float[np.ndarray, "frames 2"], guess: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, " 3"]:
    """The point of the head (cm) that best explains a landmark's places over the clip, held to `guess`."""
    point, steps = guess.copy(), 1e-3 * np.eye(3)
    for _ in range(5):
        away = project_cm(solved, point) - places
        slopes = np.stack(
            [(project_cm(solved, point + step) - project_cm(solved, point - step)) / 2e-3 for step in steps], axis=-1
        )
        trust = 1.0 / (1.0 + (np.linalg.norm(away, axis=1) / (2 * CORNER_NOISE_PX)) ** 2) / CORNER_NOISE_PX**2
        normal = np.einsum("n,nki,nkj->ij", trust, slopes, slopes) + np.eye(3) / CORNER_SIGMA_CM**2
        right = np.einsum("n,nki,nk->i", trust, slopes, away) + (point - guess) / CORNER_SIGMA_CM**2
        point = point - np.linalg.solve(normal, right)
    return point


def on_ball(
    origins: Float[np.ndarray, "frames 3"], directions: Float[np.ndarray, "frames 3"], centre: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "frames 3"]:
    """Unit directions from the ball's centre to where the sight lines meet it, or come nearest to it."""
    offset = origins - centre
    along = np.sum(offset * directions, axis=1)
    inside = along**2 - np.sum(offset**2, axis=1) + IRIS_DISTANCE_CM**2
    met = offset + (-along - np.sqrt(np.maximum(inside, 0.0)))[:, None] * directions
    return met / np.maximum(np.linalg.norm(met, axis=1, keepdims=True), 1e-9)


def eye_angles(directions: Float[np.ndarray, "frames 3"]) -> Float[np.ndarray, "frames 2"]:
    """Yaw (to the subject's left) and pitch (downwards), rad."""
    yaw = np.arctan2(directions[:, 0], directions[:, 2])
    return np.stack([yaw, -np.arcsin(np.clip(directions[:, 1], -1.0, 1.0))], axis=1)
