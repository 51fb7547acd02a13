"""Keeps a clip's track on disk while a capture is under way, so that an interrupted one need not measure again."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from nerface.capture.tracking import FaceTrack
from nerface.files import whole_file

VERSION = 1  # raised when tracking changes what it gives


def track_key(source_sha256: str, weights_sha256: str, min_share: float) -> str:
    """A name for everything a track depends on."""
    parts = json.dumps([VERSION, source_sha256, weights_sha256, min_share])
    return hashlib.sha256(parts.encode()).hexdigest()


def save_track(path: Path, track: FaceTrack, key: str) -> None:
    """Write the track, whole or not at all."""
    arrays: dict[str, Any] = {item.name: np.asarray(getattr(track, item.name)) for item in fields(track)}
    with whole_file(path) as partial, partial.open("wb") as stream:
        np.savez(stream, key=np.array(key), **arrays)


def load_track(path: Path, key: str) -> FaceTrack | None:
    """The stored track, or None where there is none, it is damaged, or it was made from something else."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["key"]) != key:
                return None
            arrays = {item.name: stored[item.name] for item in fields(FaceTrack)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    width, height = (int(side) for side in arrays.pop("size"))
    names = tuple(str(name) for name in arrays.pop("names"))
    return FaceTrack(**arrays, size=(width, height), names=names)
