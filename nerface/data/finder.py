"""Finds the picture files that a dataset's JSON names, and says when they change."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from nerface.data.seed_layout import SplitTable
from nerface.errors import UserError

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg")


class Finder:
    """Files below `root`; each folder is listed once, because thousands of single calls would be slow."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[Path, dict[str, os.stat_result]] = {}

    def _files(self, folder: Path) -> dict[str, os.stat_result]:
        if folder not in self._folders:
            try:
                with os.scandir(folder) as entries:
                    self._folders[folder] = {entry.name: entry.stat() for entry in entries if entry.is_file()}
            except (FileNotFoundError, NotADirectoryError):
                self._folders[folder] = {}
        return self._folders[folder]

    def image(self, table: SplitTable, row: int) -> Path:
        """The picture of one frame, whose `file_path` may leave out the ending; `UserError` where there is none."""
        stated = self.root / table.names[row]
        files = self._files(stated.parent)
        if stated.suffix.lower() in IMAGE_ENDINGS and stated.name in files:
            return stated
        for ending in IMAGE_ENDINGS:
            if stated.name + ending in files:
                return stated.with_name(stated.name + ending)
        raise UserError(f"{table.where(row)}: the picture {stated}{{{','.join(IMAGE_ENDINGS)}}} is missing")

    def mask(self, table: SplitTable, row: int) -> Path:
        """The mask of one frame of a split that has masks; `UserError` where it is missing."""
        assert table.mask_paths is not None
        path = self.root / table.mask_paths[row]
        if path.name not in self._files(path.parent):
            raise UserError(f"{table.where(row)}: the mask {path} is missing")
        return path

    def stamp(self, paths: Sequence[Path]) -> str:
        """A digest of names, sizes and modification times."""
        lines = []
        for path in paths:
            stat = self._files(path.parent)[path.name]
            name = path.relative_to(self.root) if path.is_relative_to(self.root) else path
            lines.append(f"{name} {stat.st_size} {stat.st_mtime_ns}")
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
