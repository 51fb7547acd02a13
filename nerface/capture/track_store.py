"""Keeps a clip's track on disk while a capture is under way, so that an interrupted one need not measure again.

In one folder: `chain.npz`, what pass 1 knows so far; `measured-<first frame>.npz`, the rows of pass 2 in parts; and
`track.npz`, the finished track. Each carries the key of what it was made from; others are taken for missing.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from nerface.capture.face_track import FaceTrack
from nerface.capture.landmarker import Region
from nerface.capture.likeness import Album
from nerface.capture.skin import SkinTracks
from nerface.capture.tracking_chain import Chain
from nerface.capture.tracking_crops import CROPS
from nerface.capture.tracking_measure import Measured
from nerface.files import whole_file

VERSION = 4  # raised when tracking changes what it gives


def track_key(
    source_sha256: str, weights_sha256: str, size: tuple[int, int], min_share: float, crops: int = CROPS
) -> str:
    """A name for everything a track depends on; `size` is that of the frames as they are worked on."""
    parts = json.dumps([VERSION, source_sha256, weights_sha256, size, min_share, crops])
    return hashlib.sha256(parts.encode()).hexdigest()


def save_track(path: Path, track: FaceTrack, key: str) -> None:
    """Write the track, whole or not at all."""
    arrays: dict[str, Any] = {
        item.name: np.asarray(getattr(track, item.name)) for item in fields(track) if item.name != "skin"
    }
    skin = {f"skin_{item.name}": getattr(track.skin, item.name) for item in fields(track.skin)}
    _save(path, key, {**arrays, **skin})


def load_track(path: Path, key: str) -> FaceTrack | None:
    """The stored track, or None where there is none, it is damaged, or it was made from something else."""
    arrays = _load(path, key)
    names = [item.name for item in fields(FaceTrack) if item.name != "skin"]
    skin_names = [item.name for item in fields(SkinTracks)]
    if arrays is None or not {*names, *(f"skin_{name}" for name in skin_names)} <= arrays.keys():
        return None
    values: dict[str, Any] = {name: arrays[name] for name in names}
    width, height = (int(side) for side in values.pop("size"))
    for name in ("names", "reasons"):
        values[name] = tuple(str(word) for word in values[name])
    skin = SkinTracks(**{name: arrays[f"skin_{name}"] for name in skin_names})
    return FaceTrack(**values, size=(width, height), skin=skin)


class TrackStore:
    """What an unfinished tracking has done so far, in `folder`, for tracks of one `key`."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder, self._key = folder, key

    def keep_chain(self, chain: Chain, whole: bool) -> None:
        """Note pass 1 as it stands; `whole` where it has seen the last frame."""
        _save(self._folder / "chain.npz", self._key, {"whole": whole, **_chain_arrays(chain)})

    def chain(self) -> tuple[Chain, bool]:
        """Pass 1 as last noted, and whether it has seen the last frame; an empty one where nothing was noted."""
        arrays = _load(self._folder / "chain.npz", self._key)
        if arrays is None:
            return Chain(), False
        return _chain_from(arrays), bool(arrays["whole"])

    def keep_measured(self, rows: Measured, start: int) -> None:
        """Note rows of pass 2, from frame `start`."""
        arrays = {item.name: getattr(rows, item.name) for item in fields(rows)}
        _save(self._folder / f"measured-{start:07d}.npz", self._key, arrays)

    def measured(self, into: Measured) -> int:
        """Fill in the rows of pass 2 that were noted; gives how many of the first frames are there."""
        done = 0
        while True:
            arrays = _load(self._folder / f"measured-{done:07d}.npz", self._key)
            if arrays is None or done + len(arrays["found"]) > len(into.found):
                return done
            into.fill(done, Measured(**{item.name: arrays[item.name] for item in fields(Measured)}))
            done += len(arrays["found"])


def _chain_arrays(chain: Chain) -> dict[str, Any]:
    nothing = (np.nan,) * 5
    rows = [(r.x, r.y, r.size, r.angle, r.score) if r else nothing for r in chain.regions]
    arrays: dict[str, Any] = {"regions": np.array(rows, np.float64).reshape(-1, 5)}
    for item in fields(chain):
        value = getattr(chain, item.name)
        if isinstance(value, Album):
            arrays[f"{item.name}_greys"] = np.array(value.greys, np.float32)
            arrays[f"{item.name}_colours"] = np.array(value.colours, np.float32)
        elif item.name != "regions" and value is not None:
            arrays[item.name] = np.asarray(value)
    return arrays


def _chain_from(arrays: dict[str, np.ndarray]) -> Chain:
    width, height = arrays["size"].tolist()
    values: dict[str, Any] = {
        name: arrays[name].tolist()
        for name in ("timestamps", "differences", "correlations", "unlike", "strangers", "looks", "rivals")
    }
    for name in ("own", "others"):
        values[name] = Album(list(arrays[f"{name}_greys"]), list(arrays[f"{name}_colours"]))
    return Chain(
        size=(width, height),
        regions=[None if np.isnan(row[0]) else Region(*row.tolist()) for row in arrays["regions"]],
        watch_until=int(arrays["watch_until"]),
        second=bool(arrays["second"]),
        before=arrays.get("before"),
        face_before=arrays.get("face_before"),
        **values,
    )


def _save(path: Path, key: str, arrays: dict[str, Any]) -> None:
    with whole_file(path) as partial, partial.open("wb") as stream:
        np.savez(stream, key=np.array(key), **arrays)


def _load(path: Path, key: str) -> dict[str, np.ndarray] | None:
    """The arrays of a file, or None where it is missing, damaged, or of another key."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["key"]) != key:
                return None
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
