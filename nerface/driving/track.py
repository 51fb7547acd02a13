"""The poses and expressions of a dataset without its pictures: what a driver gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from nerface.data.dataset import SPLITS, load_dataset
from nerface.data.order import temporal_numbers
from nerface.data.seed_layout import SplitTable, read_expression_names, read_index_map, read_intrinsics, read_split
from nerface.driving.channels import channel_map
from nerface.driving.conventions import Convention, convention_of, in_convention
from nerface.driving.gaze_channels import with_gaze_of
from nerface.driving.views import subject_convention
from nerface.errors import UserError
from nerface.fields.base import Subject
from nerface.progress import SILENT, Progress

EVERY_SPLIT = "all"
Picture = Callable[[int], UInt8[np.ndarray, "height width 3"]]


@dataclass(frozen=True)
class Track:
    """All frames of a dataset: `splits` and `rows` tell where each stands, `times` (s) and `order` when it was taken.

    `order` is the frame's number in the video, or -1 where the dataset does not tell; `times` are NaN where unknown.
    `frame_rate` (Hz) is None where not stored.
    """

    folder: Path
    splits: tuple[str, ...]
    rows: Int[np.ndarray, " frames"]
    order: Int[np.ndarray, " frames"]
    times: Float[np.ndarray, " frames"]
    camera_to_head: Float[np.ndarray, "frames 4 4"]
    expressions: Float[np.ndarray, "frames expression"]
    expression_names: tuple[str, ...]
    convention: Convention
    frame_rate: float | None

    def __len__(self) -> int:
        return len(self.splits)

    def name(self, index: int) -> str:
        """A frame in the words that `find` understands."""
        return f"{self.splits[index]}:{self.rows[index]}"

    def find(self, word: str, default: str) -> int:
        """The frame that `SPLIT:K` or `K` (of the split `default`) means: entry K of the split's JSON file, from 0.

        Raises `UserError` where there is none.
        """
        match = re.fullmatch(r"(?:(\w+):)?([0-9]+)", word)
        if match is None or (match[1] is None and default == EVERY_SPLIT):
            raise UserError(f"'{word}' is not a frame of {self.folder}: write SPLIT:K, as in train:12")
        split, row = match[1] or default, int(match[2])
        for index in self.members(split):
            if self.rows[index] == row:
                return int(index)
        raise UserError(f"{self.folder} has no frame {split}:{row}: '{split}' has {len(self.members(split))} frames")

    def members(self, split: str) -> Int[np.ndarray, " members"]:
        """The frames of one split, or of all, in the order in which they were taken, where that is known."""
        found = np.array([k for k, name in enumerate(self.splits) if split in (name, EVERY_SPLIT)], dtype=np.int64)
        if len(found) and (self.order[found] >= 0).all():
            return found[np.argsort(self.order[found], kind="stable")]
        if split == EVERY_SPLIT and len(set(self.splits)) > 1:
            raise UserError(
                f"{self.folder} does not tell when its frames were taken: choose --split train, val or test"
            )
        return found

    def rate(self, frames: Int[np.ndarray, " members"]) -> float | None:
        """Frames per second of the video that these frames are of: by their times, else as stored, else None.

        Times are counted a frame of the video, since the frames may be spread over it.
        """
        steps = np.diff(self.times[frames])
        if (self.order[frames] >= 0).all():
            steps = steps / np.maximum(np.diff(self.order[frames]), 1)
        if len(steps) and np.isfinite(steps).all() and np.median(steps) > 0:
            return float(1 / np.median(steps))
        return self.frame_rate

    def adapted(
        self, subject: Subject, channels: str, missing: Float[np.ndarray, " expression"], offered: bool = True
    ) -> Track:
        """The same frames in an avatar's convention and channels (see `channel_map`; `missing` fills the others).

        Gaze told as eye angles or as eyeLook scores is told as the avatar knows it (`with_gaze_of`).
        """
        values, names = with_gaze_of(self.expressions, self.expression_names, subject.expression_names)
        mapped = channel_map(names, subject.expression_names, channels, str(self.folder), offered)
        target = subject_convention(subject)
        return replace(
            self,
            camera_to_head=in_convention(self.camera_to_head, self.convention, target),
            expressions=mapped.apply(values, missing),
            expression_names=subject.expression_names,
            convention=target,
        )

    def pictures(self, frames: Int[np.ndarray, " members"], progress: Progress = SILENT) -> Picture:
        """The pictures of chosen frames, by their place among these."""
        wanted = [name for name in SPLITS if name in {self.splits[index] for index in frames}]
        dataset = load_dataset(self.folder, splits=wanted, background_required=False, progress=progress)
        return lambda place: np.array(dataset.splits[self.splits[frames[place]]].images[self.rows[frames[place]]])


def read_track(folder: Path, split: str = EVERY_SPLIT) -> Track:
    """The frames of every split in `folder` (NeRFace's layout), of which `split` must be there and hold some; or
    those of a table of Live Link Face (.csv), whatever `split` is called.

    Raises `UserError` for missing or broken files, and where splits have other channels or other axes than each other.
    """
    from nerface.driving.arkit_track import is_table, table_track

    if is_table(folder):
        return table_track(folder, split)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: a dataset folder with transforms_train.json is needed")
    there = [name for name in SPLITS if (folder / f"transforms_{name}.json").exists()]
    if split not in (*there, EVERY_SPLIT) or not there:
        there.append("train" if split == EVERY_SPLIT else split)  # reading it says which file is missing
    tables = {name: read_split(folder, name) for name in there}
    full = {name: table for name, table in tables.items() if len(table)}
    if not full or split not in (*full, EVERY_SPLIT):
        raise UserError(f"{tables[split if split in tables else there[0]].file} lists no frames")
    return _joined(folder, full)


def _joined(folder: Path, tables: Mapping[str, SplitTable]) -> Track:
    first = tables.get("train") or next(iter(tables.values()))
    for table in tables.values():
        if table.expressions.shape[1] != first.expressions.shape[1]:
            raise UserError(
                f"{table.file} has {table.expressions.shape[1]} expression values, "
                f"{first.file} has {first.expressions.shape[1]}"
            )
    poses = np.concatenate([table.camera_to_head for table in tables.values()])
    try:
        convention = convention_of(read_intrinsics(first, 1, 1), poses)  # only the signs of fx and fy are asked for
    except UserError as error:
        raise UserError(f"{folder}: {error}") from None
    rate = first.meta.get("frame_rate")
    return Track(
        folder=folder,
        splits=tuple(name for name, table in tables.items() for _ in range(len(table))),
        rows=np.concatenate([np.arange(len(table)) for table in tables.values()]),
        order=np.concatenate([_order(folder, name, table) for name, table in tables.items()]),
        times=np.concatenate([table.timestamps for table in tables.values()]),
        camera_to_head=poses,
        expressions=np.concatenate([table.expressions for table in tables.values()]),
        expression_names=read_expression_names(first),
        convention=convention,
        frame_rate=float(rate) if isinstance(rate, (int, float)) and rate > 0 else None,
    )


def _order(folder: Path, split: str, table: SplitTable) -> Int[np.ndarray, " frames"]:
    """When each frame was taken: its number in the video, for the seed's shuffled train split by its index map."""
    return temporal_numbers(table.source_frames, read_index_map(folder) if split == "train" else None)
