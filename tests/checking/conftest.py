"""Datasets without a fault, to be spoilt one thing at a time."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nerface.interop.tracker_import import ImportOptions, import_tracker_folder
from nerface.interop.tracker_splits import SplitOptions
from tests.interop.tracker import write_tracker_folder


@pytest.fixture(scope="session")
def spotless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames of 80x64 of a turning head, x mirrored as in the seed, written by `nerface import`. To be copied."""
    folder = tmp_path_factory.mktemp("checked")
    tracked = write_tracker_folder(folder / "tracked", frames=60, size=(80, 64))
    options = ImportOptions(
        split=SplitOptions(val_frames=3),
        background=tracked.folder / "empty.png",
        frame_rate=25.0,
        overlay=False,
    )
    import_tracker_folder(tracked.folder, folder / "person", options)
    return folder / "person"


@pytest.fixture
def clean(spotless: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(spotless, tmp_path / "person"))
