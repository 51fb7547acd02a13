"""Decoded frames on disk, as one raw uint8 file a split that is memory-mapped: built once, opened at once afterwards.

A cache entry is a folder `<split>-<size>-<frames>-<digest>` with `images.u8` [N, H, W, 3], `masks.u8` [N, H, W] where
there are masks, and `shape.json`. The digest covers names, sizes and modification times of all source files, so
that an entry is never stale: other files make another entry (and the old one of the same split is removed). Entries
appear whole.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8

from nerface.data.images import halve, has_transparency, over, read_image, read_mask
from nerface.errors import UserError
from nerface.files import read_json, whole_folder, write_json
from nerface.progress import Progress

FORMAT = 1  # counted up when the content of an entry changes meaning
CACHE_VARIABLE = "NERFACE_CACHE"
DECODING_THREADS = 8
DIGEST_LENGTH = 16
WHITE = 255
Item = TypeVar("Item")
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Reading:
    """How pictures become pixels: at `half_res`, transparent ones laid over `plate` (at the stored size).

    `white` puts the person on white instead: by the picture's transparency, else by its mask.
    """

    half_res: bool
    white: bool
    plate: UInt8[np.ndarray, "height width 3"] | None


@dataclass(frozen=True)
class Sources:
    """The files of one split, in order, and how they are read."""

    split: str
    images: Sequence[Path]
    masks: Sequence[Path] | None
    reading: Reading
    stamp: str  # changes whenever one of the files does


@dataclass(frozen=True)
class Pixels:
    """Memory-mapped frames: `images` [N, H, W, 3] and `masks` [N, H, W] or None, uint8; `stored_size` as on disk."""

    images: UInt8[np.ndarray, "frames height width 3"]
    masks: UInt8[np.ndarray, "frames height width"] | None
    stored_size: tuple[int, int]  # width, height before halving


def cache_folder(dataset: Path, chosen: Path | None) -> Path:
    """Where the entries of a dataset go: `chosen`, else `.cache` in the dataset, else (read-only) the user's cache.

    The user's cache is the folder named by the environment variable NERFACE_CACHE, else `~/.cache/nerface`.
    """
    name = hashlib.sha256(str(dataset.resolve()).encode()).hexdigest()[:16]
    if chosen is not None:
        return chosen / name
    beside = dataset / ".cache"
    try:
        beside.mkdir(exist_ok=True)
        probe = beside / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        if error.errno in FULL_DISK:
            raise _disk_full(beside, error) from None
        stated = os.environ.get(CACHE_VARIABLE)
        return (Path(stated) if stated else Path.home() / ".cache" / "nerface") / "frames" / name
    return beside


def open_pixels(folder: Path, sources: Sources, progress: Progress) -> Pixels:
    """The frames of `sources`, from the entry in `folder`, which is built first where it is missing.

    Raises `UserError` for a picture that is missing, damaged or of another size, and for a full disk; nothing is left
    behind then.
    """
    white = "-white" if sources.reading.white else ""
    # A share of the frames is another number of them: readings of one dataset do not throw each other out.
    size = "half" if sources.reading.half_res else "full"
    family = f"{sources.split}-{size}{white}-{len(sources.images)}-"
    digest = hashlib.sha256(f"{FORMAT}\n{sources.stamp}".encode()).hexdigest()[:DIGEST_LENGTH]
    entry = folder / (family + digest)
    if not (entry / "shape.json").exists():
        with _full_disk_explained(folder), _lock(folder):
            if not (entry / "shape.json").exists():  # nobody built it while this process waited for the lock
                _build(entry, sources, progress)
                alike = family + "[0-9a-f]" * DIGEST_LENGTH
                for old in (*folder.glob(alike), *folder.glob(f".partial-{alike}")):
                    if old != entry:
                        shutil.rmtree(old, ignore_errors=True)
    shape = read_json(entry / "shape.json")
    count, height, width = len(sources.images), shape["height"], shape["width"]
    return Pixels(
        images=_map(entry / "images.u8", (count, height, width, 3)),
        masks=_map(entry / "masks.u8", (count, height, width)) if sources.masks is not None else None,
        stored_size=(shape["stored_width"], shape["stored_height"]),
    )


def _map(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    if 0 in shape:
        return np.zeros(shape, dtype=np.uint8)
    return np.memmap(file, dtype=np.uint8, mode="r", shape=shape)


def _build(entry: Path, sources: Sources, progress: Progress) -> None:
    reading = sources.reading
    first = _read(sources, 0, None)
    stored_height, stored_width = first.shape[:2]
    if min(stored_height, stored_width) < 2:
        raise UserError(f"{sources.images[0]} is {stored_width}x{stored_height} pixels: too small to use")
    size = (stored_width, stored_height)

    def image(row: int) -> np.ndarray:
        pixels = _read(sources, row, size)
        return halve(pixels) if reading.half_res else pixels

    def mask(path: Path) -> np.ndarray:
        pixels = read_mask(path, size)
        return halve(pixels) if reading.half_res else pixels

    scale = 2 if reading.half_res else 1
    height, width = stored_height // scale, stored_width // scale
    masks = sources.masks or ()
    needed = (3 * len(sources.images) + len(masks)) * height * width
    free = shutil.disk_usage(_existing(entry)).free
    if needed > free:
        raise UserError(
            f"{entry.parent} has {free / 1e9:.2f} GB free, the frame cache of {sources.split} needs "
            f"{needed / 1e9:.2f} GB: free some space or name another cache folder"
        )
    with whole_folder(entry) as partial:
        progress.start(f"decoding {sources.split} frames", len(sources.images) + len(masks))
        _write(partial / "images.u8", _in_order(image, range(len(sources.images))), progress)
        if masks:
            _write(partial / "masks.u8", _in_order(mask, masks), progress)
        shape = {"height": height, "width": width, "stored_height": stored_height, "stored_width": stored_width}
        write_json(partial / "shape.json", shape)


def _existing(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.exists())


def _write(file: Path, arrays: Iterator[np.ndarray], progress: Progress) -> None:
    # Plain writes, not a writable map: on a full disk those fail with an error, a map with a fatal signal.
    with open(file, "wb") as stream:
        for array in arrays:
            stream.write(np.ascontiguousarray(array).data)
            progress.advance()
        stream.flush()
        os.fsync(stream.fileno())


def _read(sources: Sources, row: int, size: tuple[int, int] | None) -> UInt8[np.ndarray, "height width 3"]:
    """One picture as it is stored, over the plate or on white."""
    path, reading = sources.images[row], sources.reading
    if not reading.white:
        return read_image(path, size, reading.plate)
    if sources.masks is not None and not has_transparency(path):
        pixels = read_image(path, size)
        mask = read_mask(sources.masks[row], (pixels.shape[1], pixels.shape[0]))
        return over(pixels, mask, np.full_like(pixels, WHITE))
    if not has_transparency(path):
        raise UserError(f"{path} has neither transparency nor a person mask: it cannot be put on a white background")
    return read_image(path, size, white=True)


def _in_order(function: Callable[[Item], np.ndarray], items: Sequence[Item]) -> Iterator[np.ndarray]:
    """`map` over threads that keeps only a few results waiting, so that memory stays small."""
    threads = min(DECODING_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        remaining = iter(items)
        waiting: deque[Future[np.ndarray]] = deque(
            pool.submit(function, item) for item in islice(remaining, 2 * threads)
        )
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(remaining, 1))
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def _full_disk_explained(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in FULL_DISK:
            raise _disk_full(folder, error) from None
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise UserError(f"the frame cache cannot be written to {folder}: {error.strerror}") from None
        raise


def _disk_full(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"no room for the frame cache in {folder} ({error.strerror}): free some or name another cache folder"
    )


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One builder at a time, so that processes that open a new dataset together do not write over each other."""
    try:
        import fcntl
    except ImportError:  # no such locks on Windows: there, start one process first
        yield
        return
    with open(folder / ".lock", "w") as stream:
        with suppress(OSError):  # some network disks have no locks
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
