"""Ways to spoil a dataset, and what the checks then say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from nerface.checking.check import check_dataset

SPLITS = ("train", "val", "test")
TRAIN = ("train",)


def edit(folder: Path, change: Callable[[dict[str, Any]], object], splits: tuple[str, ...] = SPLITS) -> None:
    """Let `change` work on the JSON files."""
    for split in splits:
        file = folder / f"transforms_{split}.json"
        meta = json.loads(file.read_text())
        change(meta)
        file.write_text(json.dumps(meta))


def each_frame(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], None]:
    """A change of every frame."""

    def whole(meta: dict[str, Any]) -> None:
        for frame in meta["frames"]:
            change(frame)

    return whole


def wrong(folder: Path) -> dict[tuple[str, str], str]:
    """Everything that is not fine: what is said, by level and check."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in check_dataset(folder).findings:
        if one.level != "fine":
            assert one.do
            found.setdefault((one.level, one.check), []).append(f"{one.what} -> {one.do}")
    return {key: "\n".join(lines) for key, lines in found.items()}


def picture(folder: Path, split: str, row: int) -> Path:
    """The file of one frame."""
    return folder / split / f"f_{row:04d}.png"


def save_plate(folder: Path, plate: np.ndarray) -> None:
    """Another background (BGR)."""
    cv2.imwrite(str(folder / "bg" / "00050.png"), np.ascontiguousarray(plate))


def in_frame(row: int, **keys: Any) -> Callable[[dict[str, Any]], object]:
    """A change of one frame."""
    return lambda meta: meta["frames"][row].update(keys)
