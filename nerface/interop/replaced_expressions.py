"""A dataset with other expressions: the same pictures, poses and splits, each frame's expression from elsewhere."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from nerface.capture.splits import SPLITS
from nerface.capture.writer import expression_stats
from nerface.data.images import read_image
from nerface.data.seed_layout import INDEX_MAP, read_index_map, read_intrinsics, read_split
from nerface.errors import UserError
from nerface.files import read_json, whole_folder, write_json
from nerface.types import Intrinsics

STALE = ("report.html", ".cache")  # tell of the old expressions, or can be made again


@dataclass(frozen=True)
class Replacement:
    """For F frames of a dataset, each named by `splits` and `rows`: `values` [F, E] of the channels `names`, and
    whether they are `known` (frames that are not are left out). `source` names where they come from."""

    names: tuple[str, ...]
    values: Float[np.ndarray, "frames channels"]
    known: Bool[np.ndarray, " frames"]
    splits: tuple[str, ...]
    rows: Int[np.ndarray, " frames"]
    source: str


@dataclass(frozen=True)
class Replaced:
    """`counts` of frames by split, `unused` ones, and the dataset's camera."""

    counts: dict[str, int]
    unused: int
    intrinsics: Intrinsics


def replace_expressions(dataset: Path, output: Path, replacement: Replacement, move: bool = False) -> Replaced:
    """Write `output`: `dataset` (copied, or with `move` taken over, file by file) with the expressions replaced.

    Raises `UserError` where the dataset is broken or no training frame is left.
    """
    tables = {split: read_json(dataset / f"transforms_{split}.json") for split in SPLITS}
    kept = {split: np.zeros(len(table["frames"]), dtype=bool) for split, table in tables.items()}
    place = {key: k for k, key in enumerate(zip(replacement.splits, replacement.rows.tolist()))}
    for (split, row), k in place.items():
        kept[split][row] = replacement.known[k]
    if not kept["train"].any():
        raise UserError(f"{replacement.source} tells of no training frame of {dataset}")
    with whole_folder(output) as folder:
        for item in sorted(dataset.iterdir()):
            if item.name in STALE or item.name in (f"transforms_{split}.json" for split in SPLITS):
                continue
            if move:
                shutil.move(str(item), folder / item.name)
            elif item.is_dir():
                shutil.copytree(item, folder / item.name)
            else:
                shutil.copy2(item, folder / item.name)
        _write_map(folder, kept["train"])
        training = [place[("train", int(row))] for row in np.flatnonzero(kept["train"])]
        stats = expression_stats(replacement.values[training])
        for split, table in tables.items():
            frames = []
            for row in np.flatnonzero(kept[split]):
                values = replacement.values[place[(split, int(row))]]
                frames.append({**table["frames"][row], "expression": [float(value) for value in values]})
            shared: dict[str, Any] = {key: value for key, value in table.items() if key != "frames"}
            shared["expression_names"], shared["expression_stats"] = list(replacement.names), stats
            shared["source"] = {**(shared.get("source") or {}), "expressions": replacement.source}
            write_json(folder / f"transforms_{split}.json", {**shared, "frames": frames}, indent=1)
        _mark_evidence(folder, replacement.source)
        table_of_train = read_split(folder, "train")
        height, width = read_image(next(iter(sorted((folder / "train").iterdir()))), white=True).shape[:2]
        intrinsics = read_intrinsics(table_of_train, width, height)
    counts = {split: int(rows.sum()) for split, rows in kept.items()}
    return Replaced(counts, sum(len(rows) for rows in kept.values()) - sum(counts.values()), intrinsics)


def _write_map(folder: Path, kept: Bool[np.ndarray, " frames"]) -> None:
    """The index map for the training frames that stay, in their new rows."""
    table = read_index_map(folder)
    if table is None or kept.all():
        return
    new_row = np.where(kept, np.cumsum(kept) - 1, -1)
    rows = table[:, 1]
    table[:, 1] = np.where(rows >= 0, new_row[rows.clip(0, len(kept) - 1)], -1)
    (folder / INDEX_MAP).unlink()
    np.save(folder / INDEX_MAP, table.astype(np.float64), allow_pickle=False)


def _mark_evidence(folder: Path, source: str) -> None:
    """capture.json without what it said of the old expressions."""
    file = folder / "capture.json"
    if not file.is_file():
        return
    content = read_json(file)
    file.unlink()
    write_json(file, {**{k: v for k, v in content.items() if k != "scores"}, "expressions_from": source})
