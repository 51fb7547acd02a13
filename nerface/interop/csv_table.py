"""A CSV file with a header line, as OpenFace and Live Link Face write them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nerface.errors import UserError


@dataclass(frozen=True)
class CsvTable:
    """`names` of the columns (blanks taken off) and `rows` of words; rows that are shorter than the header end
    early."""

    file: Path
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def words(self, name: str) -> list[str]:
        """One column as text, "" where a row ends before it. Raises `UserError` where it is missing."""
        if name not in self.names:
            raise UserError(f"{self.file} has no column '{name}'")
        place = self.names.index(name)
        return [row[place] if place < len(row) else "" for row in self.rows]

    def column(self, name: str, empty_allowed: bool = False) -> Float[np.ndarray, " rows"]:
        """One column as numbers; empty words are NaN where that is allowed.

        Raises `UserError` naming the line of the first word that is no finite number.
        """
        values = np.full(len(self), np.nan)
        for row, word in enumerate(self.words(name)):
            if not word and empty_allowed:
                continue
            try:
                values[row] = float(word)
            except ValueError:
                values[row] = np.nan
            if not np.isfinite(values[row]):
                raise UserError(f"{self.file}, line {row + 2}: '{word[:30]}' under '{name}' is not a finite number")
        return values

    def table(self, names: tuple[str, ...], empty_allowed: bool = False) -> Float[np.ndarray, "rows columns"]:
        """Several columns side by side."""
        return np.stack([self.column(name, empty_allowed) for name in names], axis=1)


def read_header(file: Path) -> tuple[str, ...]:
    """The names of the columns; nothing where there is no such file of text. For telling formats apart."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return tuple(word.strip() for word in next(csv.reader(stream), []))
    except (OSError, UnicodeDecodeError, csv.Error):
        return ()


def read_csv(file: Path) -> CsvTable:
    """The whole file. Raises `UserError` where it is missing, no text, or has no rows."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            lines = [tuple(word.strip() for word in line) for line in csv.reader(stream) if any(line)]
    except FileNotFoundError:
        raise UserError(f"{file} is missing") from None
    except (UnicodeDecodeError, csv.Error):
        raise UserError(f"{file} is not a text file: is it damaged?") from None
    if len(lines) < 2:
        raise UserError(f"{file} holds no rows below its header")
    names = lines[0]
    if len(set(names)) != len(names):
        raise UserError(f"{file} has two columns of one name")
    return CsvTable(file, names, tuple(lines[1:]))
