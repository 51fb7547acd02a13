"""Reads what lies in a captured dataset's folder for the report, be it of an older capture that wrote fewer figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nerface.capture.page_evidence import (
    DEFAULT_FRAME_RATE_HZ,
    Evidence,
    FrameTable,
    Measured,
    Unused,
    finite_number,
)
from nerface.capture.splits import SPLITS
from nerface.data.finder import Finder
from nerface.data.seed_layout import SplitTable, read_split
from nerface.errors import UserError
from nerface.files import read_json

FIGURES_FILE = "capture.json"


def read_evidence(folder: Path | str) -> Evidence:
    """Read a captured dataset, be it of an older capture that wrote fewer figures.

    Raises `UserError` where `folder` holds no capture, no frames, or a file of it is broken.
    """
    folder = Path(folder)
    figures = read_json(folder / FIGURES_FILE)
    if not isinstance(figures, dict):
        raise UserError(f"{folder / FIGURES_FILE} holds no JSON object: is it of a capture?")
    tables = {split: read_split(folder, split) for split in SPLITS}
    if not any(len(table) for table in tables.values()):
        raise UserError(f"{folder} holds no frames: capture the video again")
    widths = {table.expressions.shape[1] for table in tables.values() if len(table)}
    if len(widths) > 1:
        raise UserError(f"{folder}: the splits have different numbers of expression channels")
    meta = next(table.meta for table in tables.values() if len(table))
    frames = _frames(folder, tables, meta, _rate(figures, meta))
    return Evidence(folder, figures, frames, _measured(figures.get("per_frame"), frames), _unused(figures), meta)


def _rate(figures: Mapping[str, Any], meta: Mapping[str, Any]) -> float:
    frames = figures.get("frames")
    stated = finite_number(frames.get("frame_rate")) if isinstance(frames, Mapping) else None
    return stated or finite_number(meta.get("frame_rate")) or DEFAULT_FRAME_RATE_HZ


def _frames(folder: Path, tables: Mapping[str, SplitTable], meta: Mapping[str, Any], rate: float) -> FrameTable:
    finder, used = Finder(folder), [(split, table) for split, table in tables.items() if len(table)]
    numbers = np.concatenate([table.source_frames for _, table in used])
    order = np.argsort(numbers, kind="stable")
    numbers = numbers[order]
    if numbers[0] < 0 or np.any(np.diff(numbers) <= 0):  # not stated: split after split is all that is known
        order = np.arange(len(order))
        numbers = order
    times = np.concatenate([table.timestamps for _, table in used])[order]
    if not np.isfinite(times).all() or np.any(np.diff(times) < 0):
        times = numbers / rate
    splits = [split for split, table in used for _ in range(len(table))]
    pictures = [finder.image(table, row) for _, table in used for row in range(len(table))]
    masks = [_mask(folder, table, row) for _, table in used for row in range(len(table))]
    expressions = np.concatenate([table.expressions for _, table in used])[order].astype(np.float64)
    return FrameTable(
        splits=tuple(splits[row] for row in order),
        pictures=tuple(pictures[row] for row in order),
        masks=tuple(masks[row] for row in order),
        source_frames=numbers,
        timestamps=times,
        camera_to_head=np.concatenate([table.camera_to_head for _, table in used])[order].astype(np.float64),
        head_boxes=np.concatenate([table.head_boxes for _, table in used])[order].astype(np.float64),
        expressions=expressions,
        channels=_channels(meta.get("expression_names"), expressions.shape[1]),
    )


def _mask(folder: Path, table: SplitTable, row: int) -> Path | None:
    if table.mask_paths is None or not (folder / table.mask_paths[row]).is_file():
        return None
    return folder / table.mask_paths[row]


def _channels(names: Any, count: int) -> tuple[str, ...]:
    if isinstance(names, list) and len(names) == count:
        return tuple(str(name) for name in names)
    return tuple(f"channel_{number}" for number in range(count))


def _measured(per_frame: Any, frames: FrameTable) -> Measured:
    """The per-frame lists, put in the order of `frames` by the numbers of the video's frames."""
    count = len(frames)
    lists = per_frame if isinstance(per_frame, Mapping) else {}
    numbers = _column(lists.get("source_frame"), 1)
    rows = None
    if numbers is not None:
        place = {int(number): row for row, number in enumerate(numbers) if math.isfinite(number)}
        rows = [place.get(int(number)) for number in frames.source_frames]

    def column(name: str, width: int = 1) -> np.ndarray | None:
        values = _column(lists.get(name), width)
        if values is None or rows is None:
            return values if values is not None and len(values) == count else None
        blank = np.full(values.shape[1:], np.nan)
        ordered = [blank if row is None or row >= len(values) else values[row] for row in rows]
        found = np.array(ordered, dtype=np.float64)
        return found if np.isfinite(found).any() else None

    segment = column("segment")
    return Measured(
        sharpness=column("sharpness"),
        error_px=column("frame_rms_px"),
        exposure=column("exposure", 3),
        segment=np.zeros(count, np.int64) if segment is None else np.nan_to_num(segment).astype(np.int64),
    )


def _column(values: Any, width: int) -> np.ndarray | None:
    """Numbers [N] or [N, width] from a list; what is no number becomes NaN."""
    if not isinstance(values, list) or not values:
        return None
    if width == 1:
        return np.array([_or_nan(value) for value in values])
    rows = [value if isinstance(value, list) and len(value) == width else [None] * width for value in values]
    return np.array([[_or_nan(value) for value in row] for row in rows])


def _unused(figures: Mapping[str, Any]) -> tuple[Unused, ...]:
    frames = figures.get("frames")
    dropped = frames.get("dropped") if isinstance(frames, Mapping) else None
    parts = []
    for reason, content in dropped.items() if isinstance(dropped, Mapping) else ():
        listed = content.get("frames", []) if isinstance(content, Mapping) else []
        numbers = tuple(int(number) for number in listed if finite_number(number) is not None)
        count = finite_number(content.get("count") if isinstance(content, Mapping) else content)
        parts.append(Unused(str(reason), len(numbers) if count is None else int(count), numbers))
    return tuple(parts)


def _or_nan(value: Any) -> float:
    number = finite_number(value)
    return math.nan if number is None else number
