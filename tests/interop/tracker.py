"""A tracker's folder of the seed's form, made from known cameras with the tracker's own formulas.

The tracker's camera: x right, y up, z forward; a camera point (X, Y, Z) is seen at column W (fx X / Z + cx) and row
H (fy Y / Z + 1 - cy), with fx > 0 and fy < 0. `rigid` maps it to head space, in metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

RADII_M = np.array([0.08, 0.11, 0.09])
INTRINSICS = np.array([2.4, -3.1, 0.47, 0.54])  # fx, fy, cx, cy as fractions of width and height
DISTANCE_M = 0.9


@dataclass(frozen=True)
class Tracked:
    """What was written: all that a test needs to know of the truth."""

    folder: Path
    size: tuple[int, int]
    rigid: np.ndarray
    expressions: np.ndarray
    masks: np.ndarray
    plate: np.ndarray


def write_tracker_folder(
    folder: Path,
    *,
    frames: int = 40,
    size: tuple[int, int] = (72, 56),
    expressions: int = 7,
    ending: str = "png",
    alpha: bool = False,
) -> Tracked:
    """Write a clip of a turning ellipsoid with a mouth that opens, before a gradient."""
    rng = np.random.default_rng(5)
    width, height = size
    (folder / "images").mkdir(parents=True)
    time = np.linspace(0, 2 * np.pi, frames)
    yaw, pitch = 0.35 * np.sin(2 * time), 0.2 * np.cos(3 * time)
    shifts = np.stack([0.03 * np.cos(time), 0.02 * np.sin(2 * time), 0.03 * np.sin(time)], axis=1)
    values = rng.uniform(0, 1, (frames, expressions))
    rigid = np.stack([_rigid(*angles) for angles in zip(yaw, pitch, shifts)])
    u, v = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    plate = np.rint(np.stack([40 + 60 * u, 90 + 80 * v, 160 - 70 * u * v], axis=-1)).astype(np.uint8)
    masks = []
    for k in range(frames):
        image, mask = _draw(rigid[k], plate, float(values[k, 0]))
        masks.append(mask)
        pixels = image[:, :, ::-1]
        if alpha:
            pixels = np.dstack([pixels, np.where(mask, 255, 0).astype(np.uint8)])
        assert cv2.imwrite(str(folder / "images" / f"{k:05d}.{ending}"), np.ascontiguousarray(pixels))
    np.savetxt(folder / "intrinsics.txt", np.tile(INTRINSICS, (2, 1)))
    np.savetxt(folder / "expression.txt", values)
    np.savetxt(folder / "rigid.txt", rigid.reshape(-1, 4))
    cv2.imwrite(str(folder / "empty.png"), np.ascontiguousarray(plate[:, :, ::-1]))
    return Tracked(folder, size, rigid, values, np.array(masks), plate)


def seen_by_the_tracker(tracked: Tracked, frame: int, points_m: np.ndarray) -> np.ndarray:
    """Where the tracker sees head-space points (metres): columns, rows, depths [P, 3]."""
    rigid = tracked.rigid[frame]
    x, y, z = ((points_m - rigid[:3, 3]) @ rigid[:3, :3]).T
    fx, fy, cx, cy = INTRINSICS
    width, height = tracked.size
    return np.stack([width * (fx * x / z + cx), height * (fy * y / z + 1 - cy), z], axis=-1)


def _rigid(yaw: float, pitch: float, shift: np.ndarray) -> np.ndarray:
    """A camera in front of the face (+z of the head): a rotation, its axes x right, y up, z forward."""
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    pose = np.eye(4)
    # Facing the head: z forward is -z of the head, and a rotation then has x along -x of the head.
    pose[:3, :3] = turn @ nod @ np.diag([-1.0, 1.0, -1.0])
    pose[:3, 3] = pose[:3, :3] @ [shift[0], shift[1], -DISTANCE_M + shift[2]]
    return pose


def _draw(rigid: np.ndarray, plate: np.ndarray, opening: float) -> tuple[np.ndarray, np.ndarray]:
    height, width = plate.shape[:2]
    fx, fy, cx, cy = INTRINSICS
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    local = np.stack([(u / width - cx) / fx, (v / height - (1 - cy)) / fy, np.ones(u.shape)], axis=-1)
    directions, origin = (local @ rigid[:3, :3].T) / RADII_M, rigid[:3, 3] / RADII_M
    a, b, c = (directions**2).sum(-1), directions @ origin, origin @ origin - 1
    inside = b * b - a * c
    hit = inside > 0
    point = origin + ((-b - np.sqrt(np.maximum(inside, 0))) / a)[..., None] * directions
    colour = np.array([190.0, 140.0, 110.0]) + 50 * point
    eyes = ((np.abs(point[..., 0]) - 0.4) ** 2 + (point[..., 1] - 0.25) ** 2 < 0.02) & (point[..., 2] > 0)
    mouth = (np.abs(point[..., 0]) < 0.35) & (np.abs(point[..., 1] + 0.45) < 0.05 + 0.2 * opening)
    colour = np.where((mouth | eyes)[..., None], np.array([60.0, 10.0, 15.0]), colour)
    image = np.where(hit[..., None], np.clip(colour, 0, 255).round(), plate).astype(np.uint8)
    return image, hit
