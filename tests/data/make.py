"""Writes a small dataset with every key of the format: an ellipsoid head of analytic colours before a gradient."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

RADII = np.array([0.09, 0.12, 0.1])  # head units
DISTANCE = 0.5
FRAME_RATE = 25.0


def write_tiny_dataset(
    folder: Path,
    *,
    frames: int = 6,
    size: tuple[int, int] = (20, 16),
    expressions: int = 5,
    seed: int = 0,
    fx_sign: int = 1,
    image_format: str = "png",
) -> Path:
    """Write the dataset and return `folder`. `size` is (W, H); `fx_sign` -1 writes the seed's mirrored convention.

    The first expression channel is how wide a dark mouth opens. The last 15 % of the frames (at least one) are test,
    one frame in the middle is val, the rest is train.
    """
    rng = np.random.default_rng(seed)
    width, height = size
    intrinsics = [fx_sign * 1.6 * width, 1.5 * width, 0.48, 0.53]
    plate = _plate(width, height)
    tests = max(1, round(0.15 * frames))
    middle = (frames - tests) // 2
    parts = {
        "train": [k for k in range(frames - tests) if k != middle],
        "val": [middle],
        "test": list(range(frames - tests, frames)),
    }
    values = rng.uniform(0, 1, (frames, expressions)).astype(np.float32)
    poses = [_pose(rng.uniform(-0.3, 0.3, 2), rng.uniform(-0.02, 0.02, 2), fx_sign) for _ in range(frames)]
    seen = np.zeros((height, width), dtype=bool)
    for split, members in parts.items():
        rows = []
        for row, k in enumerate(members):
            image, mask = _draw(poses[k], intrinsics, plate, float(values[k, 0]))
            name = f"{split}/f_{row:04d}"
            _save(folder / f"{name}.{image_format}", image[:, :, ::-1])
            _save(folder / "masks" / f"{name}.png", mask)
            seen |= (mask == 0) & (split == "train")
            box = _box(mask)
            rows.append(
                {
                    "file_path": f"./{name}",
                    "transform_matrix": poses[k].tolist(),
                    "expression": values[k].tolist(),
                    "bbox": box if split == "train" else [0.0, 1.0, 0.0, 1.0],
                    "head_box": box,
                    "source_frame": k,
                    "timestamp": k / FRAME_RATE,
                    "mask_path": f"./masks/{name}.png",
                }
            )
        _write_split(folder / f"transforms_{split}.json", rows, intrinsics, size, values[parts["train"]])
    _save(folder / "bg" / "00050.png", plate[:, :, ::-1])
    _save(folder / "bg" / "unseen.png", np.where(seen, 0, 255).astype(np.uint8))
    position = {k: row for row, k in enumerate(parts["train"])}
    np.save(folder / "index_map.npy", np.array([[k, position.get(k, -1)] for k in range(frames - tests)], float))
    return folder


def _write_split(
    file: Path, rows: list[dict], intrinsics: list[float], size: tuple[int, int], train: np.ndarray
) -> None:
    stats = {"mean": train.mean(0), "std": train.std(0), "min": train.min(0), "max": train.max(0)}
    meta = {
        "camera_angle_x": 2 * np.arctan(size[0] / (2 * intrinsics[0])),
        "intrinsics": intrinsics,
        "expression_names": ["jawOpen", *(f"shape_{k}" for k in range(1, train.shape[1]))],
        "expression_stats": {key: value.tolist() for key, value in stats.items()},
        "frame_rate": FRAME_RATE,
        "units": {"head_units_per_cm": 0.012},
        "image_size": list(size),
        "source": {"file": "made.mp4", "sha256": "0" * 64, "crop": [0, 0, *size], "rotation": 0},
        "background_unseen": "bg/unseen.png",
        "frames": rows,
    }
    file.write_text(json.dumps(meta), encoding="utf-8")


def _pose(angles: np.ndarray, shift: np.ndarray, fx_sign: int) -> np.ndarray:
    """A camera on a sphere round the head, looking at its origin but for a small shift; x mirrored where fx < 0."""
    yaw, pitch = angles
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    pose = np.eye(4)
    pose[:3, :3] = turn @ nod
    pose[:3, 3] = pose[:3, :3] @ [*shift, DISTANCE]
    pose[:3, 0] *= fx_sign
    return pose


def _plate(width: int, height: int) -> np.ndarray:
    u, v = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.rint(np.stack([40 + 60 * u, 90 + 80 * v, 160 - 70 * u * v], axis=-1)).astype(np.uint8)


def _draw(
    pose: np.ndarray, intrinsics: list[float], plate: np.ndarray, opening: float
) -> tuple[np.ndarray, np.ndarray]:
    height, width = plate.shape[:2]
    fx, fy, cx, cy = intrinsics
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    local = np.stack([(u - width * cx) / fx, -(v - height * cy) / fy, -np.ones(u.shape)], axis=-1)
    # The ellipsoid is a unit sphere once lengths are counted in its radii.
    directions, origin = (local @ pose[:3, :3].T) / RADII, pose[:3, 3] / RADII
    a, b, c = (directions**2).sum(-1), directions @ origin, origin @ origin - 1
    inside = b * b - a * c
    hit = inside > 0
    point = origin + ((-b - np.sqrt(np.maximum(inside, 0))) / a)[..., None] * directions  # on the sphere, [H, W, 3]
    colour = np.array([190.0, 140.0, 110.0]) + 50 * point
    mouth = (np.abs(point[..., 0]) < 0.35) & (np.abs(point[..., 1] + 0.45) < 0.05 + 0.25 * opening)
    colour = np.where(mouth[..., None], np.array([60.0, 10.0, 15.0]), colour)
    image = np.where(hit[..., None], np.clip(colour, 0, 255).round(), plate).astype(np.uint8)
    return image, np.where(hit, 255, 0).astype(np.uint8)


def _box(mask: np.ndarray) -> list[float]:
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    return [
        float(rows.min() / height),
        float((rows.max() + 1) / height),
        float(columns.min() / width),
        float((columns.max() + 1) / width),
    ]


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(pixels))
