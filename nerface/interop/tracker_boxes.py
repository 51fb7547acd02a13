"""Boxes of tracked frames: from the mean face's rendering, from landmarks, or from an ellipsoid of a head's size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from nerface.cameras import project
from nerface.capture.boxes import sampling_boxes
from nerface.data.boxes import WHOLE_IMAGE
from nerface.errors import UserError
from nerface.interop.tracker_folder import read_table
from nerface.interop.tracker_mesh import FaceMesh, mesh_extent
from nerface.progress import Progress
from nerface.types import Camera, Intrinsics

# The seed grows the box of the rendered face by these shares of its height (top, bottom) and width (left, right).
GROWN_TOP, GROWN_BOTTOM, GROWN_SIDE = 0.27, 0.15, 0.15
HAIR = 0.15  # of a face's height: what stands above it and still is head
HEAD_RADII_M = (0.095, 0.14, 0.11)  # half of a head's width with ears, height with hair and chin, and depth
ELLIPSOID_POINTS = 400


@dataclass(frozen=True)
class TrackedBoxes:
    """`sampling` (the seed's `bbox`) and `head` [N, 4] as fractions: rows, then columns, clipped to the picture."""

    sampling: Float[np.ndarray, "frames 4"]
    head: Float[np.ndarray, "frames 4"]


def boxes_of_mesh(
    mesh: FaceMesh, poses: Float[np.ndarray, "frames 4 4"], intrinsics: Intrinsics, progress: Progress
) -> TrackedBoxes:
    """The seed's boxes: the rendered mean face of every frame, grown. Frames that do not show it: the whole picture."""
    progress.start("drawing the face for its box", len(poses))
    extents = np.full((len(poses), 4), np.nan)
    for row, pose in enumerate(poses):
        found = mesh_extent(mesh, pose, intrinsics)
        if found is not None:
            extents[row] = found
        progress.advance()
    return boxes_of_faces(extents, (intrinsics.width, intrinsics.height))


def boxes_of_landmarks(landmarks: Float[np.ndarray, "frames landmarks 2"], size: tuple[int, int]) -> TrackedBoxes:
    """The same from landmarks on the face, in pixels (column, row)."""
    low, high = landmarks.min(axis=1), landmarks.max(axis=1) + 1
    return boxes_of_faces(np.stack([low[:, 1], high[:, 1], low[:, 0], high[:, 0]], axis=1), size)


def boxes_of_faces(extents: Float[np.ndarray, "frames 4"], size: tuple[int, int]) -> TrackedBoxes:
    """Boxes from the face's rows and columns in pixels; rows of NaN (no face) give the whole picture."""
    width, height = size
    extents = np.where(np.isnan(extents), np.array(WHOLE_IMAGE) * [height, height, width, width], extents)
    tall, wide = extents[:, 1] - extents[:, 0], extents[:, 3] - extents[:, 2]
    shares = np.array([[-GROWN_TOP, GROWN_BOTTOM, -GROWN_SIDE, GROWN_SIDE], [-HAIR, 0, 0, 0]])
    grown = extents + shares[:, None] * np.stack([tall, tall, wide, wide], axis=1)  # [2, N, 4]
    fractions = np.clip(grown / [height, height, width, width], 0, 1)
    return TrackedBoxes(_not_empty(fractions[0]), _not_empty(fractions[1]))


def boxes_of_heads(poses: Float[np.ndarray, "frames 4 4"], intrinsics: Intrinsics, units_per_m: float) -> TrackedBoxes:
    """Boxes of an ellipsoid of a head's size (95, 140, 110 mm radii) round the head's origin."""
    surface = torch.from_numpy(_sphere(ELLIPSOID_POINTS) * np.array(HEAD_RADII_M) * units_per_m)
    extents = np.full((len(poses), 4), np.nan)
    for row, pose in enumerate(poses):
        seen = project(Camera(intrinsics, torch.from_numpy(pose)), surface).numpy()
        if seen[:, 2].min() > 0:
            (left, top), (right, bottom) = seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)
            extents[row] = [top, bottom + 1, left, right + 1]
    size = np.array([intrinsics.height, intrinsics.height, intrinsics.width, intrinsics.width])
    heads = np.where(np.isnan(extents), WHOLE_IMAGE, extents / size)
    return TrackedBoxes(
        _not_empty(np.asarray(sampling_boxes(heads), dtype=np.float64)), _not_empty(np.clip(heads, 0, 1))
    )


def read_landmarks(file: Path, frames: int) -> Float[np.ndarray, "frames landmarks 2"]:
    """Landmarks in pixels, one row a frame: a text table of u1 v1 u2 v2 ..., or a .npy array [N, K, 2] or [N, 2 K].

    Raises `UserError` where the file is missing or broken or tells of another number of frames.
    """
    if file.suffix.lower() == ".npy":
        try:
            table = np.load(file, allow_pickle=False)
        except FileNotFoundError:
            raise UserError(f"{file} is missing") from None
        except (ValueError, EOFError, OSError) as error:
            raise UserError(f"{file} is not a NumPy array file: {str(error).splitlines()[0]}") from None
        if table.dtype.kind not in "fiu" or not np.isfinite(table).all():
            raise UserError(f"{file} holds something other than finite numbers")
        table = table.reshape(len(table), -1) if table.ndim == 3 and table.shape[2] == 2 else table
    else:
        table = read_table(file)
    if table.ndim != 2 or table.shape[1] < 4 or table.shape[1] % 2 or len(table) != frames:
        raise UserError(
            f"{file} has shape {list(table.shape)}: {frames} rows (one a picture) of u v pairs of at least two "
            "landmarks are needed"
        )
    return table.reshape(frames, -1, 2).astype(np.float64)


def _not_empty(boxes: Float[np.ndarray, "frames 4"]) -> Float[np.ndarray, "frames 4"]:
    """Boxes that lie outside the picture say nothing: the whole picture in their place."""
    empty = (boxes[:, 1] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 2])
    return np.where(empty[:, None], WHOLE_IMAGE, boxes)


def _sphere(count: int) -> Float[np.ndarray, "points 3"]:
    """Points spread evenly over the unit sphere (Fibonacci)."""
    k = np.arange(count) + 0.5
    height, turn = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], axis=1)
