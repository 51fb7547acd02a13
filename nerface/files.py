"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nerface.errors import UserError


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success flush it to disk and rename it to `path`, else remove it.

    The temporary name keeps the ending of `path`, because encoders choose a format by it. A process killed in between
    leaves `path` as it was (perhaps with a stale `.partial-*` file beside it, which the next write replaces).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(path: Path | str) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`; on success rename it to `path`, else remove it with its content.

    Raises `UserError` at once where `path` exists and is not empty.
    """
    path = Path(path)
    refuse_irreplaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        if path.exists():
            path.rmdir()
        os.replace(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def refuse_existing(folder: Path | str) -> None:
    """Raise `UserError` where `folder` is a file, has something in it, or cannot be made."""
    folder = Path(folder)
    if folder.name in ("", ".."):
        raise UserError(f"{folder} is no name for a new folder: name one that does not exist yet")
    if folder.is_file():
        raise UserError(f"{folder} is a file, not a folder: choose another output folder")
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise UserError(f"{folder} cannot be made: {nearest} is a file, not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"{folder} cannot be written: no permission to write in {nearest}")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} already holds something and nothing is overwritten: choose a new folder")


def refuse_irreplaceable(folder: Path | str) -> None:
    """Raise `UserError` where no finished folder can take the place of `folder`; errors of `refuse_existing` too."""
    refuse_existing(folder)
    folder = Path(folder)
    if folder.is_symlink() or folder.is_mount():
        kind = "a link" if folder.is_symlink() else "a mounted disk"
        raise UserError(f"{folder} is {kind}, which cannot be replaced by a finished folder: name one inside it")
    if folder.exists() and not os.access(folder.absolute().parent, os.W_OK | os.X_OK):
        raise UserError(f"{folder} cannot be replaced by a finished folder: no permission to write beside it")


def write_json(path: Path | str, value: Any, indent: int | None = 2) -> None:
    """Write `value` as JSON, whole or not at all. NaN and infinity are refused (they are not JSON)."""
    text = json.dumps(value, indent=indent, allow_nan=False)
    with whole_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path | str) -> Any:
    """Read a JSON file; a missing or broken one raises `UserError` with the place of the fault."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file (byte {error.start}): is it damaged?") from None
