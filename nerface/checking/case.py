"""What the checks look at: an opened dataset, what its JSON files say beside it, and its frames in time."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from nerface.cameras import project
from nerface.checking.findings import named
from nerface.data import Dataset
from nerface.data.boxes import WHOLE_IMAGE, box_slices
from nerface.types import Camera, Intrinsics

HASHED_PX = 48  # pictures are told apart by so many samples a side first, then by all pixels


@dataclass(frozen=True)
class Case:
    """`dataset` as loaded; `meta` the top level of each split's JSON file; `files` the picture files by split."""

    dataset: Dataset
    meta: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, tuple[Path, ...]]

    def where(self, split: str, row: int) -> str:
        """A frame's name in findings."""
        return f"{split} frame {row} ({self.dataset.splits[split].names[row]})"

    def places(self, split: str, rows: Iterable[int]) -> str:
        """The names of the first few of several frames, and how many more there are."""
        return named([self.where(split, int(row)) for row in rows])

    @cached_property
    def equal_pictures(self) -> list[list[tuple[str, int]]]:
        """Groups of frames (split, row) whose pixels are all equal."""
        frames = [(split, row) for split, content in self.dataset.splits.items() for row in range(len(content))]
        alike = _grouped(frames, lambda split, row: _sampled(self.dataset.splits[split].images[row]))
        found = []
        for group in alike:
            found += _grouped(group, lambda split, row: self.dataset.splits[split].images[row])
        return found


def _grouped(frames: list[tuple[str, int]], pixels_of: Callable[[str, int], np.ndarray]) -> list[list[tuple[str, int]]]:
    """Frames with the same pixels, where there is more than one."""
    groups: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for split, row in frames:
        content = np.ascontiguousarray(pixels_of(split, row)).tobytes()
        groups[hashlib.blake2b(content, digest_size=16).digest()].append((split, row))
    return [group for group in groups.values() if len(group) > 1]


def _sampled(image: np.ndarray) -> np.ndarray:
    """Some pixels of a picture, enough to tell most apart without reading all."""
    rows, columns = (max(1, length // HASHED_PX) for length in image.shape[:2])
    return image[::rows, ::columns]


def spread_over(total: int, wanted: int) -> Int[np.ndarray, " chosen"]:
    """At most `wanted` numbers below `total`, evenly spread from the first to the last."""
    return np.unique(np.linspace(0, max(total - 1, 0), min(total, wanted)).round().astype(np.int64))


def frame_numbers(dataset: Dataset, split: str) -> Int[np.ndarray, " frames"] | None:
    """Each frame's number in the video: stored, else (training frames) from the index map; None where unknown."""
    content = dataset.splits[split]
    if len(content) and (content.source_frames >= 0).all():
        return content.source_frames
    if split == "train" and dataset.index_map is not None:
        known = {int(row): int(number) for number, row in dataset.index_map if row >= 0}
        if len(content) and all(row in known for row in range(len(content))):
            return np.array([known[row] for row in range(len(content))], dtype=np.int64)
    return None


def in_time(dataset: Dataset, split: str) -> Int[np.ndarray, " frames"]:
    """Rows of a split in temporal order, as far as it is known."""
    numbers = frame_numbers(dataset, split)
    return np.arange(len(dataset.splits[split])) if numbers is None else np.argsort(numbers, kind="stable")


def project_all(
    poses: Float[np.ndarray, "frames 4 4"], intrinsics: Intrinsics, point: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "frames 3"]:
    """Where every camera sees one head-space point: column, row, depth. Degenerate poses give NaN."""
    seen = np.full((len(poses), 3), np.nan)
    target = torch.from_numpy(np.asarray(point, dtype=np.float64))[None]
    for row, pose in enumerate(poses.astype(np.float64)):
        if abs(np.linalg.det(pose[:3, :3])) > 1e-9:
            seen[row] = project(Camera(intrinsics, torch.from_numpy(pose)), target)[0].numpy()
    return seen


def telling(boxes: Float[np.ndarray, "frames 4"]) -> Bool[np.ndarray, " frames"]:
    """Boxes that are not just the whole picture."""
    return ~np.all(np.isclose(boxes, WHOLE_IMAGE, atol=1e-4), axis=1)


def known_boxes(dataset: Dataset, split: str) -> tuple[Float[np.ndarray, "frames 4"], Bool[np.ndarray, " frames"]]:
    """Boxes that somebody stored, head boxes before sampling boxes, and for which frames there is one."""
    content = dataset.splits[split]
    boxes = content.head_boxes if dataset.head_boxes_stored else content.sampling_boxes
    return boxes, telling(boxes)


def box_centres(boxes: Float[np.ndarray, "frames 4"], intrinsics: Intrinsics) -> Float[np.ndarray, "frames 2"]:
    """Centres of boxes in pixels: column, row."""
    columns = (boxes[:, 2] + boxes[:, 3]) / 2 * intrinsics.width
    return np.stack([columns, (boxes[:, 0] + boxes[:, 1]) / 2 * intrinsics.height], axis=1)


def head_radius(dataset: Dataset) -> float | None:
    """Half the height of the head in head units, from the stored boxes; None where there are none."""
    boxes, known = known_boxes(dataset, "train")
    if not known.any():
        return None
    inner = dataset.intrinsics
    depth = project_all(dataset.train.camera_to_head[known], inner, np.zeros(3))[:, 2]
    tall = (boxes[known, 1] - boxes[known, 0]) * inner.height / 2
    radius = float(np.nanmedian(tall * np.abs(depth) / abs(inner.fy)))
    return radius if np.isfinite(radius) else None


def middle_of(picture: np.ndarray, box: Float[np.ndarray, " 4"]) -> np.ndarray:
    """The inner half of a box."""
    tall, wide = (box[1] - box[0]) / 4, (box[3] - box[2]) / 4
    inner = box + np.array([tall, -tall, wide, -wide])
    return picture[box_slices(inner, *picture.shape[:2])]
