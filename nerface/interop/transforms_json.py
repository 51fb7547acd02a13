"""`transforms*.json` of the NeRF family: what Blender's, instant-ngp's and nerfstudio's descendants have in common.

Top level or frame: `fl_x`, `fl_y`, `cx`, `cy` (px), `w`, `h`, or `camera_angle_x` (radians); frame: `file_path`,
`transform_matrix` (camera to world, 4x4). What axes the camera has differs between formats, so that readers say it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from nerface.errors import UserError
from nerface.files import read_json
from nerface.interop.tracked import pixel_intrinsics
from nerface.types import Intrinsics

SPLITS = ("train", "val", "test")
WHOLE = "transforms.json"
CAMERA_KEYS = ("fl_x", "fl_y", "cx", "cy")
SAME_PX = 1e-3  # cameras of one clip differ by no more


@dataclass(frozen=True)
class Entry:
    """One frame of one file: its `split` ("" where the file is not a split's), its keys, those of its file, and how
    errors name it."""

    split: str
    keys: Mapping[str, Any]
    shared: Mapping[str, Any]
    where: str

    def text(self, key: str) -> str:
        """A key that holds a text. Raises `UserError` where it does not."""
        value = self.keys.get(key)
        if not isinstance(value, str):
            raise UserError(f"{self.where} has no text under '{key}'")
        return value

    def number(self, key: str) -> int:
        """A key that holds a whole number. Raises `UserError` where it does not."""
        value = self.keys.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
            raise UserError(f"{self.where} has no whole number under '{key}'")
        return int(value)

    def matrix(self, key: str, rows: Sequence[int] = (4,)) -> Float[np.ndarray, "4 4"]:
        """A key that holds a 4x4 matrix, or its upper three rows where `rows` allows 3. Raises `UserError`
        otherwise."""
        try:
            value = np.array(self.keys.get(key), dtype=np.float64)
        except (TypeError, ValueError):
            value = np.zeros(0)
        if value.ndim != 2 or value.shape[0] not in rows or value.shape[1] != 4 or not np.isfinite(value).all():
            raise UserError(f"{self.where}: '{key}' is not a matrix of {' or '.join(map(str, rows))} rows of 4 numbers")
        if len(value) == 3:
            value = np.vstack([value, [0, 0, 0, 1]])
        if np.abs(value[3] - [0, 0, 0, 1]).max() > 1e-4:
            raise UserError(f"{self.where}: the last row of '{key}' is not 0 0 0 1: are matrices transposed?")
        return value


def read_entries(folder: Path, files: Sequence[tuple[str, str]] = ()) -> list[Entry]:
    """All frames of `files` (split, file name); by default those of the split files, or of transforms.json without
    them.

    Raises `UserError` for a file that is missing or broken.
    """
    if not files:
        there = [(split, f"transforms_{split}.json") for split in SPLITS]
        files = [pair for pair in there if (folder / pair[1]).is_file()]
        if not any(split == "train" for split, _ in files):
            files = [("", WHOLE)]
    entries = []
    for split, name in files:
        file = folder / name
        content = read_json(file)
        frames = content.get("frames") if isinstance(content, dict) else None
        if not isinstance(frames, list):
            raise UserError(f"{file} has no list under the key 'frames'")
        shared = {key: value for key, value in content.items() if key != "frames"}
        for row, frame in enumerate(frames):
            if not isinstance(frame, dict):
                raise UserError(f"{file}, frame {row} is no JSON object")
            entries.append(Entry(split, frame, shared, f"{file}, frame {row}"))
    if not entries:
        raise UserError(f"{folder}: {' and '.join(name for _, name in files)} list no frames")
    return entries


def first_frame(folder: Path) -> dict[str, Any]:
    """The keys of the first frame of `folder`, and those of its file under "shared"; empty where there is none.

    For telling formats apart: nothing is raised.
    """
    for name in (*(f"transforms_{split}.json" for split in SPLITS), WHOLE):
        try:
            content = read_json(folder / name)
            frame = content["frames"][0]
        except (UserError, OSError, KeyError, IndexError, TypeError):
            continue
        if isinstance(frame, dict):
            return {**frame, "shared": {key: value for key, value in content.items() if key != "frames"}}
    return {}


def read_camera(entries: Sequence[Entry], size: tuple[int, int]) -> Intrinsics:
    """The one camera of all frames for pictures of `size` (W, H); pixels are counted from the picture's edge.

    Raises `UserError` where frames have different ones, there is none, or it belongs to pictures of another size.
    """
    rows = np.array([_numbers(entry, size) for entry in entries])
    odd = np.flatnonzero(np.abs(rows - rows[0]).max(axis=1) > SAME_PX)
    if len(odd):
        raise UserError(
            f"{entries[odd[0]].where} has another camera than the first frame: a dataset has one camera (crop and "
            "scale pictures to one, or choose one with --camera)"
        )
    fx, fy, cx, cy = rows[0]
    return pixel_intrinsics((fx, fy), (cx, cy), size, edges=True)


def _numbers(entry: Entry, size: tuple[int, int]) -> list[float]:
    """fx, fy, cx, cy in px."""
    keys = {**entry.shared, **entry.keys}
    width, height = size
    try:
        if "w" in keys and "h" in keys and (round(float(keys["w"])), round(float(keys["h"]))) != size:
            raise UserError(
                f"{entry.where}: its camera is for pictures of {keys['w']:g}x{keys['h']:g} pixels, they are "
                f"{width}x{height}: scale one of them"
            )
        focal = keys.get("fl_x", keys.get("fl_y"))
        if focal is None:
            focal = 0.5 * width / math.tan(0.5 * float(keys["camera_angle_x"]))
        values = [focal, keys.get("fl_y", focal), keys.get("cx", width / 2), keys.get("cy", height / 2)]
        numbers = [float(value) for value in values]
    except KeyError:
        raise UserError(f"{entry.where} has neither 'fl_x' nor 'camera_angle_x'") from None
    except (TypeError, ValueError, ZeroDivisionError):
        raise UserError(f"{entry.where}: its focal length or principal point is not a number") from None
    if not all(map(math.isfinite, numbers)) or numbers[0] == 0 or numbers[1] == 0:
        raise UserError(f"{entry.where}: its camera {numbers} holds a focal length of 0, a NaN or an infinity")
    return numbers


@dataclass(frozen=True)
class Ordered:
    """Entries in the order in which they were taken, each frame once; `splits` is None where the files tell of none."""

    entries: tuple[Entry, ...]
    numbers: tuple[int, ...]
    splits: tuple[str, ...] | None


def in_time(entries: Sequence[Entry], numbers: Sequence[int]) -> Ordered:
    """Sort frames by `numbers`; one that several splits list belongs to test before train before val (INSTA's val is
    the end of its test part)."""
    order = {"test": 0, "train": 1, "val": 2, "": 3}
    chosen: dict[int, Entry] = {}
    for entry, number in sorted(zip(entries, numbers), key=lambda pair: (pair[1], order[pair[0].split])):
        chosen.setdefault(number, entry)
    frames = tuple(chosen[number] for number in sorted(chosen))
    splits = tuple(entry.split for entry in frames)
    return Ordered(frames, tuple(sorted(chosen)), splits if all(splits) else None)


def number_in(name: str, where: str) -> int:
    """The last run of digits of a file name: the frame's number. Raises `UserError` where there is none."""
    digits = ""
    for letter in reversed(Path(name).stem):
        if letter.isdecimal():
            digits = letter + digits
        elif digits:
            break
    if not digits:
        raise UserError(f"{where}: '{name}' tells no frame number")
    return int(digits)
