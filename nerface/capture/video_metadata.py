"""What a phone writes into a video file about its camera: the lens, its focal length.

Apple's phones put it in a `meta` box of the video track (keys `com.apple.quicktime.camera.*`; box layout: QuickTime
File Format, "Metadata": `meta` holds `keys`, the names, and `ilst`, the values by number). FFmpeg reads such boxes of
the whole movie and not of a track, so the boxes are walked here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

FOCAL_KEY = "camera.focal_length.35mm_equivalent"
LENS_KEY = "camera.lens_model"
# Equivalents outside this range, in mm, are tags gone wrong (-13 is seen in live photographs).
SANE_FOCAL_MM = (8.0, 300.0)
FILM_DIAGONAL_MM = 43.267  # of 36 x 24 mm: equivalents compare diagonals (CIPA DCG-001)
# Phones' sensors are 4:3, and a video has their whole width, so its longer side is this share of that diagonal.
LONGER_SIDE_SHARE = 0.8
MAX_META_BYTES = 1 << 20
CONTAINERS = (b"moov", b"trak")


def focal_length_px(tags: dict[str, str], longer_side_px: float) -> float | None:
    """The focal length in px that a 35 mm equivalent among `tags` stands for, or None.

    f_px = f_35 * longer_side_px / (0.8 * 43.27 mm): the equivalent is taken for that of a 4:3 photograph, whose longer
    side is the video's. Stabilisation crops a little more: good to about a tenth.
    """
    for key, value in tags.items():
        if key.endswith(FOCAL_KEY):
            try:
                focal = float(value)
            except ValueError:
                continue
            if SANE_FOCAL_MM[0] <= focal <= SANE_FOCAL_MM[1]:
                return focal * longer_side_px / (LONGER_SIDE_SHARE * FILM_DIAGONAL_MM)
    return None


def lens_name(tags: dict[str, str]) -> str:
    """The camera's lens in the maker's words ("" = not told)."""
    return next((value.strip() for key, value in tags.items() if key.endswith(LENS_KEY)), "")


def quicktime_tags(path: Path) -> dict[str, str]:
    """All metadata of the movie and its tracks by key, {} where the file is of another kind or damaged."""
    tags: dict[str, str] = {}
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            for content in _meta_boxes(stream, 0, size):
                tags.update(_meta_tags(content))
    except (OSError, struct.error, ValueError):
        pass
    return tags


def _meta_boxes(stream: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """The content of every `meta` box of the movie and of its tracks."""
    for kind, first, last in _boxes(stream, start, end):
        if kind in CONTAINERS:
            yield from _meta_boxes(stream, first, last)
        elif kind == b"meta" and last - first <= MAX_META_BYTES:
            stream.seek(first)
            yield stream.read(last - first)


def _boxes(stream: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, first byte of the content, byte after it) of each box in a stretch of the file."""
    while start + 8 <= end:
        stream.seek(start)
        size, kind = struct.unpack(">I4s", stream.read(8))
        first = start + 8
        if size == 1:  # a 64-bit size follows
            size = struct.unpack(">Q", stream.read(8))[0]
            first += 8
        if size == 0:  # to the end
            size = end - start
        if size < first - start or start + size > end:
            return
        yield kind, first, start + size
        start += size


def _meta_tags(content: bytes) -> dict[str, str]:
    """Key and value pairs of one `meta` box; ISO files put 4 bytes of version before its boxes, QuickTime does not."""
    parts = dict(_parts(content))
    if b"keys" not in parts:
        parts = dict(_parts(content[4:]))
    if b"keys" not in parts or b"ilst" not in parts:
        return {}
    names = [body.decode("utf-8", "replace") for _, body in _parts(parts[b"keys"][8:])]
    tags = {}
    for number, body in _parts(parts[b"ilst"]):
        index = int.from_bytes(number, "big") - 1
        data = dict(_parts(body)).get(b"data", b"")
        if 0 <= index < len(names) and len(data) >= 8:
            tags[names[index]] = _value(int.from_bytes(data[:4], "big"), data[8:])
    return tags


def _parts(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = 0
    while start + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, start)
        if size < 8 or start + size > len(content):
            return
        yield kind, content[start + 8 : start + size]
        start += size


def _value(kind: int, data: bytes) -> str:
    """A value as text, by its type number (QuickTime File Format, "Well-known data types")."""
    if kind in (21, 22):
        return str(int.from_bytes(data, "big", signed=kind == 21))
    if kind in (23, 24):
        return str(struct.unpack(">f" if kind == 23 else ">d", data)[0])
    if kind in (65, 66, 67, 74, 75, 76, 77, 78):
        return str(int.from_bytes(data, "big", signed=kind in (65, 66, 67, 74)))
    return data.decode("utf-8", "replace") if kind == 1 else ""
