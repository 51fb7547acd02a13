"""A dataset in memory: small arrays as they are, pixels memory-mapped from the frame cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from nerface.data.boxes import estimate_head_boxes
from nerface.data.cache import WHITE, Pixels, Reading, Sources, cache_folder, open_pixels
from nerface.data.finder import Finder
from nerface.data.images import halve, read_image, read_mask
from nerface.data.parts import first_share
from nerface.data.seed_layout import (
    ESTIMATED,
    SplitTable,
    read_expression_names,
    read_index_map,
    read_intrinsics,
    read_split,
)
from nerface.errors import UserError
from nerface.progress import SILENT, Progress
from nerface.types import Camera, Frame, Intrinsics

SPLITS = ("train", "val", "test")
BACKGROUND = Path("bg") / "00050.png"  # the seed's fixed name
SEEN_SHARE = 0.5  # a halved plate pixel counts as never seen when at least half of its area is


@dataclass(frozen=True)
class ExpressionStats:
    """Mean, spread (population standard deviation) and range of each expression channel over the training frames."""

    mean: Float[np.ndarray, " expression"]
    std: Float[np.ndarray, " expression"]
    min: Float[np.ndarray, " expression"]
    max: Float[np.ndarray, " expression"]


@dataclass(frozen=True)
class Split:
    """The frames of one split, as arrays over frames (N); indexing and iterating give `Frame`s.

    `images` and `masks` are read-only maps of a file: take what is needed, never all at once. `sampling_boxes` is the
    seed's `bbox` (the whole image where missing); `head_boxes` is stored or estimated. `source_frames` are -1 and
    `timestamps` NaN where unknown; `exposures` are gains of red, green and blue relative to the plate (1 where
    unknown); `names` are the `file_path`s.
    """

    camera_to_head: Float[np.ndarray, "frames 4 4"]
    expressions: Float[np.ndarray, "frames expression"]
    sampling_boxes: Float[np.ndarray, "frames 4"]
    head_boxes: Float[np.ndarray, "frames 4"]
    images: UInt8[np.ndarray, "frames height width 3"]
    masks: UInt8[np.ndarray, "frames height width"] | None
    source_frames: Int[np.ndarray, " frames"]
    timestamps: Float[np.ndarray, " frames"]
    exposures: Float[np.ndarray, "frames 3"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Frame:
        """Frame `index` (negative counts from the end), its pixels copied out of the map."""
        return Frame(
            image=np.array(self.images[index]),
            camera_to_head=self.camera_to_head[index],
            expression=self.expressions[index],
            sampling_box=self.sampling_boxes[index],
            head_box=self.head_boxes[index],
            mask=None if self.masks is None else np.array(self.masks[index]),
            source_frame=int(self.source_frames[index]),
            timestamp=float(self.timestamps[index]),
            name=self.names[index],
        )

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True)
class Dataset:
    """A captured person. `intrinsics` belong to the images as loaded (halved or not).

    `background` [H, W, 3] is the plate (None only where the caller allowed that), `background_unseen` [H, W] marks
    where no training frame ever showed it (nowhere, if that is not stored). `index_map` [N, 2] gives the temporal frame
    number and the row of the train split (or -1). `head_units_per_cm` and `frame_rate` (Hz) are None where not stored;
    `source` is capture's note on the video. `head_boxes_stored` is False where head boxes were estimated from poses and
    training boxes; `poses_estimated` is True where the dataset says that its poses were tracked in a video, so that
    training may refine them.
    """

    root: Path
    intrinsics: Intrinsics
    splits: Mapping[str, Split]
    expression_names: tuple[str, ...]
    expression_stats: ExpressionStats
    background: UInt8[np.ndarray, "height width 3"] | None
    background_unseen: Bool[np.ndarray, "height width"]
    index_map: Int[np.ndarray, "temporal 2"] | None
    frame_rate: float | None
    head_units_per_cm: float | None
    source: Mapping[str, Any]
    head_boxes_stored: bool
    poses_estimated: bool = False

    @property
    def train(self) -> Split:
        return self.splits["train"]

    def camera(self, split: str, index: int) -> Camera:
        """The camera of one frame (on the host)."""
        return Camera(self.intrinsics, torch.from_numpy(self.splits[split].camera_to_head[index].copy()))


def load_dataset(
    folder: Path | str,
    *,
    half_res: bool = False,
    test_skip: int = 1,
    train_share: float = 1.0,
    white_background: bool = False,
    cache: Path | None = None,
    splits: Sequence[str] = SPLITS,
    background_required: bool = True,
    progress: Progress = SILENT,
) -> Dataset:
    """Open the dataset in `folder` (the seed's layout; see `nerface.data.seed_layout` for the keys).

    The first call decodes every picture of `splits` once into the frame cache (`nerface.data.cache`); later calls map
    it. `half_res` halves height, width and focal lengths (area averaging); `test_skip` keeps every n-th val and test
    frame (0 means 1), `train_share` the first share of the training frames in time. Transparent pictures are laid over
    the plate; with `white_background` the person stands on white, by transparency or person masks. Without stored head
    boxes they are estimated from the training boxes and the poses, never from the test frames' `bbox`.

    Raises `UserError`, one line naming file and frame, for anything missing, broken or inconsistent.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: a dataset folder with transforms_train.json is needed")
    tables, index_map = _read_tables(root, splits, test_skip), read_index_map(root)
    if "train" in tables and train_share < 1:
        tables["train"], index_map = first_share(tables["train"], index_map, train_share)
    reference = tables.get("train") or next(iter(tables.values()))
    shown = next((tables[name] for name in splits if len(tables[name])), reference)
    plate = _read_plate(root, shown, background_required and not white_background)
    reading = Reading(half_res, white_background, plate)
    pixels = _open_all(root, tables, splits, cache, reading, progress)
    width, height = next(iter(pixels.values())).stored_size
    stored = read_intrinsics(reference, width, height)
    _check_agreement(reference, tables, stored)
    unseen = _read_unseen(root, reference, (width, height), plate is not None and not white_background)
    if white_background:
        plate = np.full((height, width, 3), WHITE, dtype=np.uint8)
    intrinsics = _halved(stored) if half_res else stored
    opened = {name: _split(tables[name], pixels[name], reference, stored) for name in splits}
    rate, units = reference.meta.get("frame_rate"), reference.meta.get("units") or {}
    return Dataset(
        root=root,
        intrinsics=intrinsics,
        splits=opened,
        expression_names=read_expression_names(reference),
        expression_stats=_expression_stats(reference, train_share < 1),
        background=halve(plate) if half_res and plate is not None else plate,
        background_unseen=halve(unseen) >= SEEN_SHARE * 255 if half_res else unseen >= SEEN_SHARE * 255,
        index_map=index_map,
        frame_rate=float(rate) if isinstance(rate, (int, float)) and rate > 0 else None,
        head_units_per_cm=units.get("head_units_per_cm") if isinstance(units, dict) else None,
        source=reference.meta.get("source") or {},
        head_boxes_stored=not any(np.isnan(tables[name].head_boxes).any() for name in splits),
        poses_estimated=reference.meta.get("poses") == ESTIMATED,
    )


def _read_tables(root: Path, splits: Sequence[str], test_skip: int) -> dict[str, SplitTable]:
    """Tables of `splits`, and that of train in any case where it exists: ranges and head boxes come from it."""
    wanted = list(splits)
    if not wanted or any(name not in SPLITS for name in wanted):
        raise ValueError(f"splits {wanted}: choose from {SPLITS}")
    if "train" not in wanted and (root / "transforms_train.json").exists():
        wanted.append("train")
    tables = {name: read_split(root, name, 1 if name == "train" else test_skip) for name in wanted}
    for name, table in tables.items():
        if len(table) == 0 and (name == "train" or len(splits) == 1):
            raise UserError(f"{table.file} lists no frames")
    return tables


def _read_plate(root: Path, table: SplitTable, required: bool) -> UInt8[np.ndarray, "height width 3"] | None:
    """The plate; a larger one of the pictures' shape is shrunk to them, as the seed does (spec 1.4)."""
    if not required and not (root / BACKGROUND).exists():
        return None
    plate = read_image(root / BACKGROUND, white=True)  # an alpha channel says nothing of an empty scene
    if len(table) == 0:
        return plate
    height, width = read_image(Finder(root).image(table, 0), white=True).shape[:2]
    if plate.shape[0] <= height or abs(plate.shape[1] / plate.shape[0] - width / height) > 1 / height:
        return plate
    return np.asarray(cv2.resize(plate, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _open_all(
    root: Path,
    tables: Mapping[str, SplitTable],
    splits: Sequence[str],
    cache: Path | None,
    reading: Reading,
    progress: Progress,
) -> dict[str, Pixels]:
    plate = None if reading.white else reading.plate
    entries = cache_folder(root, cache)
    finder = Finder(root)
    pixels: dict[str, Pixels] = {}
    # An empty split takes its picture size from one that is not, so it comes last.
    for name in sorted(splits, key=lambda name: len(tables[name]) == 0):
        table = tables[name]
        if len(table) == 0:
            first = next(iter(pixels.values()))
            pixels[name] = Pixels(first.images[:0], None, first.stored_size)
            continue
        images = [finder.image(table, row) for row in range(len(table))]
        masks = None if table.mask_paths is None else [finder.mask(table, row) for row in range(len(table))]
        plate_stamp = finder.stamp([root / BACKGROUND]) if plate is not None else ""
        stamp = finder.stamp(images) + finder.stamp(masks or []) + plate_stamp
        pixels[name] = open_pixels(entries, Sources(name, images, masks, reading, stamp), progress)
        first_name, first = next(iter(pixels.items()))
        size = pixels[name].stored_size
        if size != first.stored_size:
            raise UserError(
                f"{images[0]} is {size[0]}x{size[1]} pixels, the pictures of {first_name} are "
                f"{first.stored_size[0]}x{first.stored_size[1]}: all pictures of a dataset have one size"
            )
        if plate is not None and (plate.shape[1], plate.shape[0]) != size:
            raise UserError(
                f"{root / BACKGROUND} is {plate.shape[1]}x{plate.shape[0]} pixels, "
                f"the pictures are {size[0]}x{size[1]}: the background must have their size"
            )
    return pixels


def _check_agreement(reference: SplitTable, tables: Mapping[str, SplitTable], stored: Intrinsics) -> None:
    """All splits share one camera and one number of expression channels."""
    for table in tables.values():
        if len(table) == 0:
            continue
        other = read_intrinsics(table, stored.width, stored.height)
        if not np.allclose(_numbers(stored), _numbers(other), rtol=1e-6, atol=0):
            raise UserError(f"{table.file} and {reference.file} give different 'intrinsics'")
        counts = table.expressions.shape[1], reference.expressions.shape[1]
        if counts[0] != counts[1]:
            raise UserError(
                f"{table.file} has {counts[0]} expression values a frame, {reference.file.name} has {counts[1]}"
            )


def _numbers(inner: Intrinsics) -> list[float]:
    return [inner.fx, inner.fy, inner.cx, inner.cy]


def _read_unseen(
    root: Path, table: SplitTable, size: tuple[int, int], has_plate: bool
) -> UInt8[np.ndarray, "height width"]:
    stated = table.meta.get("background_unseen")
    if not isinstance(stated, str) or not has_plate:
        return np.zeros((size[1], size[0]), dtype=np.uint8)
    return read_mask(root / stated, size)


def _halved(stored: Intrinsics) -> Intrinsics:
    # The seed halves the focal lengths exactly, also where an odd size was rounded down.
    return Intrinsics(
        stored.fx / 2, stored.fy / 2, stored.cx, stored.cy, width=stored.width // 2, height=stored.height // 2
    )


def _expression_stats(table: SplitTable, part: bool) -> ExpressionStats:
    """As stored, or worked out where they are not, or where only a part of the frames is used."""
    values = table.expressions.astype(np.float64)
    stats = {"mean": values.mean(0), "std": values.std(0), "min": values.min(0), "max": values.max(0)}
    stated = table.meta.get("expression_stats")
    if isinstance(stated, dict) and not part:
        try:
            stats = {key: np.asarray(stated.get(key, stats[key]), dtype=np.float64) for key in stats}
        except (TypeError, ValueError):
            raise UserError(f"{table.file}: 'expression_stats' holds something other than numbers") from None
        for key, value in stats.items():
            if value.shape != values.shape[1:] or not np.isfinite(value).all():
                raise UserError(f"{table.file}: 'expression_stats.{key}' is not {values.shape[1]} finite numbers")
    return ExpressionStats(**{key: value.astype(np.float32) for key, value in stats.items()})


def _split(table: SplitTable, pixels: Pixels, reference: SplitTable, stored: Intrinsics) -> Split:
    head_boxes = table.head_boxes.copy()
    missing = np.isnan(head_boxes).any(axis=1)
    if missing.any():
        head_boxes[missing] = estimate_head_boxes(
            table.camera_to_head[missing], stored, reference.sampling_boxes, reference.camera_to_head
        )
    return Split(
        camera_to_head=table.camera_to_head,
        expressions=table.expressions,
        sampling_boxes=table.sampling_boxes,
        head_boxes=head_boxes,
        images=pixels.images,
        masks=pixels.masks,
        source_frames=table.source_frames,
        timestamps=table.timestamps,
        exposures=table.exposures,
        names=table.names,
    )
