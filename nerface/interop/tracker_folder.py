"""Reads what a face tracker of the seed's kind leaves in a folder (NeRFace's converter input; the same four things as
NeuralVoicePuppetry's):

    images/         the frames, PNG or JPEG, in the order of their names
    intrinsics.txt  first row: fx, fy, cx, cy as fractions of the picture (fx > 0, fy < 0, cy counted from below)
    expression.txt  one row of expression weights a frame, any number of columns
    rigid.txt       one 4x4 matrix a frame, stacked: 4 N rows of 4 numbers (N rows of 16 are read too)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nerface.data.finder import IMAGE_ENDINGS
from nerface.data.seed_layout import LEAST_VOLUME
from nerface.errors import UserError

IMAGES, INTRINSICS, EXPRESSION, RIGID = "images", "intrinsics.txt", "expression.txt", "rigid.txt"
MOST_AS_FRACTION = 50.0  # a focal length of so many picture widths is one in pixels


@dataclass(frozen=True)
class TrackerFolder:
    """A tracked clip of N frames in temporal order.

    `images` are the N picture files; `intrinsics` [4] (fx, fy, cx, cy) and `rigid` [N, 4, 4] are as stored, in the
    tracker's convention and unit of length; `expressions` [N, E].
    """

    root: Path
    images: tuple[Path, ...]
    intrinsics: Float[np.ndarray, " 4"]
    rigid: Float[np.ndarray, "frames 4 4"]
    expressions: Float[np.ndarray, "frames expression"]

    def __len__(self) -> int:
        return len(self.images)


def read_tracker_folder(folder: Path) -> TrackerFolder:
    """Read the four parts (the pictures are listed, not opened).

    Raises `UserError`, one line naming file and row, for anything missing, not a finite number, of uneven width, or
    where the parts tell of different numbers of frames.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: a tracker's folder with images/, {RIGID} and so on is needed")
    images = list_pictures(folder / IMAGES)
    intrinsics = _read_intrinsics(folder / INTRINSICS)
    expressions = read_table(folder / EXPRESSION)
    rigid = _read_rigid(folder / RIGID)
    if not len(images) == len(expressions) == len(rigid):
        raise UserError(
            f"{folder}: {IMAGES}/ has {len(images)} pictures, {EXPRESSION} {len(expressions)} rows and {RIGID} "
            f"{len(rigid)} matrices: one row and one matrix a picture are needed"
        )
    return TrackerFolder(folder, images, intrinsics, rigid, expressions)


def list_pictures(folder: Path) -> tuple[Path, ...]:
    """The pictures of a folder by name, numbers in names counting as numbers (2.png before 10.png)."""
    if not folder.is_dir():
        raise UserError(f"{folder} is missing: the frames as PNG or JPEG are needed there")
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS and path.is_file()]
    if not found:
        raise UserError(f"{folder} holds no PNG or JPEG pictures")
    return tuple(sorted(found, key=lambda path: _by_number(path.name)))


def _by_number(name: str) -> list[tuple[int, int | str]]:
    parts = re.split(r"(\d+)", name)
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]


def read_table(file: Path) -> Float[np.ndarray, "rows columns"]:
    """A text file of numbers, split by blanks or commas; empty lines do not count.

    Raises `UserError` naming the file and the line of the first word that is no finite number, or of a row of another
    width.
    """
    rows: list[list[float]] = []
    first_line = 0
    for line, words in _lines(file):
        try:
            row = [float(word) for word in words]
        except ValueError:
            wrong = next(word for word in words if not _is_number(word))
            raise UserError(f"{file}, line {line}: '{wrong[:30]}' is not a number") from None
        if not np.isfinite(row).all():
            raise UserError(f"{file}, line {line} holds a value that is not finite (NaN or infinity)")
        first_line = first_line or line
        if rows and len(row) != len(rows[0]):
            raise UserError(
                f"{file}, line {line} has {len(row)} numbers, line {first_line} has {len(rows[0])}: "
                "all rows must have the same number"
            )
        rows.append(row)
    if not rows:
        raise UserError(f"{file} is empty")
    return np.array(rows, dtype=np.float64)


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{file} is missing") from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is not a text file: is it damaged?") from None
    for line, content in enumerate(text.splitlines(), start=1):
        words = content.replace(",", " ").split()
        if words:
            yield line, words


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _read_intrinsics(file: Path) -> Float[np.ndarray, " 4"]:
    """Fractions fx, fy, cx, cy from the first row; the tracker repeats it for every frame."""
    words = next((words for _, words in _lines(file)), None)
    if words is None:
        raise UserError(f"{file} is empty")
    if len(words) < 4 or not all(map(_is_number, words[:4])):
        raise UserError(f"{file}, line 1 is not fx fy cx cy")
    values = np.array([float(word) for word in words[:4]])
    if not np.isfinite(values).all() or values[0] == 0 or values[1] == 0:
        raise UserError(f"{file}, line 1 holds a focal length of 0, a NaN or an infinity")
    if np.abs(values[:2]).max() > MOST_AS_FRACTION or np.abs(values[2:]).max() > 2:
        raise UserError(
            f"{file}, line 1 is {' '.join(words[:4])}: fractions of the picture's width and height are needed; "
            "these look like pixels"
        )
    return values


def _read_rigid(file: Path) -> Float[np.ndarray, "frames 4 4"]:
    table = read_table(file)
    if table.shape[1] not in (4, 16) or table.size % 16:
        raise UserError(
            f"{file} has {table.shape[0]} rows of {table.shape[1]} numbers: 4x4 matrices below each other are needed"
        )
    matrices = table.reshape(-1, 4, 4)
    odd = np.flatnonzero(np.abs(matrices[:, 3] - [0, 0, 0, 1]).max(axis=1) > 1e-4)
    if len(odd):
        raise UserError(
            f"{file}, matrix {odd[0]}: the last row is {matrices[odd[0], 3].round(4).tolist()}, not 0 0 0 1; "
            "are the matrices transposed?"
        )
    flat = np.flatnonzero(np.abs(np.linalg.det(matrices[:, :3, :3])) < LEAST_VOLUME)
    if len(flat):
        raise UserError(
            f"{file}, matrix {flat[0]}: its rotation has no inverse (frames without a face?): leave such frames out"
        )
    return matrices
