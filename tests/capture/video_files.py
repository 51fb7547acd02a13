"""Video files of every kind, made on the spot: codecs, pixel formats, colour tags, boxes of the MP4 format."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 25


def encode(
    path: Path,
    frames: Sequence[np.ndarray | av.VideoFrame],
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    colours: dict[str, int] | None = None,
    interlaced: bool = False,
    stream_tags: dict[str, str] | None = None,
) -> Path:
    """Pictures (RGB or RGBA arrays, or frames) at 25 Hz. `colours` sets color_range, colorspace, color_trc, ..."""
    with av.open(str(path), "w", options=container or {}) as output:
        output.metadata.update(tags or {})
        stream = output.add_stream(codec, rate=RATE, options=options or {})
        stream.metadata.update(stream_tags or {})
        first = frames[0]
        height, width = first.shape[:2] if isinstance(first, np.ndarray) else (first.height, first.width)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for name, code in (colours or {}).items():
            setattr(stream.codec_context, name, code)
        if interlaced:
            stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct | av.codec.context.Flags.interlaced_me
        for number, picture in enumerate(frames):
            frame = picture
            if isinstance(picture, np.ndarray):
                frame = av.VideoFrame.from_ndarray(picture, format="rgba" if picture.shape[2] == 4 else "rgb24")
            if frame.format.name != pixels:
                frame = frame.reformat(format=pixels, dst_color_range=(colours or {}).get("color_range"))
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def flat(pixels: str, values: Sequence[int], width: int = 64, height: int = 48) -> av.VideoFrame:
    """A frame whose planes hold one code value each."""
    frame = av.VideoFrame(width, height, pixels)
    deep = frame.format.components[0].bits > 8
    for plane, value in zip(frame.planes, values):
        np.frombuffer(memoryview(plane), np.uint16 if deep else np.uint8)[:] = value
    return frame


def box(kind: bytes, content: bytes) -> bytes:
    """A box of an ISO base media file."""
    return struct.pack(">I4s", len(content) + 8, kind) + content


def find_boxes(data: bytes, *kinds: bytes) -> list[tuple[int, int]]:
    """(start, size) of each box on the way down through `kinds`."""
    places, start, end = [], 0, len(data)
    for kind in kinds:
        while start < end:
            size, here = struct.unpack_from(">I4s", data, start)
            if here == kind:
                break
            start += size
        assert start < end, f"no box {kind!r}"
        places.append((start, size))
        start, end = start + 8, start + size
    return places


def with_track_box(path: Path, content: bytes) -> Path:
    """Append a box to the first track. The index must stand behind the pictures (plain .mov and .mp4 files)."""
    data = path.read_bytes()
    (movie, movie_size), (track, track_size) = find_boxes(data, b"moov", b"trak")
    assert movie + movie_size == len(data), "the index must come last"
    grown = bytearray(data[: track + track_size] + content + data[track + track_size :])
    struct.pack_into(">I", grown, movie, movie_size + len(content))
    struct.pack_into(">I", grown, track, track_size + len(content))
    path.write_bytes(grown)
    return path


def metadata_box(values: dict[str, bytes]) -> bytes:
    """QuickTime metadata: `meta` with `keys` and `ilst`; values as type number (4 bytes) and content."""
    keys = b"".join(box(b"mdta", key.encode()) for key in values)
    items = b""
    for number, value in enumerate(values.values(), start=1):
        items += box(struct.pack(">I", number), box(b"data", value[:4] + bytes(4) + value[4:]))
    handler = box(b"hdlr", bytes(8) + b"mdta" + bytes(13))
    return box(b"meta", handler + box(b"keys", struct.pack(">II", 0, len(values)) + keys) + box(b"ilst", items))


def set_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write the display matrix of the first track (ISO 14496-12, 8.3.2: row-major 16.16 numbers in tkhd)."""
    data = bytearray(path.read_bytes())
    start = data.find(b"tkhd") + 4 + 4 + 20 + 8 + 8  # version and flags, times and ids, reserved, layer to volume
    one = 1 << 16
    data[start : start + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def set_edit(path: Path, first_frame: int, frames: int) -> Path:
    """Make the edit list of a libx264 file (time base 1/12800 s) show `frames` frames from `first_frame` on."""
    data = bytearray(path.read_bytes())
    place = data.find(b"elst")
    count, _, media_time = struct.unpack_from(">Iii", data, place + 8)
    assert count == 1
    struct.pack_into(">ii", data, place + 12, frames * 1000 // RATE, media_time + first_frame * 12800 // RATE)
    path.write_bytes(data)
    return path


def samples(path: Path) -> Iterator[tuple[int, int]]:
    """(place, size) of each coded frame in the file, in coded order."""
    with av.open(str(path)) as container:
        yield from [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def empty_sample(path: Path, number: int) -> Path:
    """Give frame `number` no bytes, and its own to the frame before (ISO 14496-12, 8.7.3.2: stsz)."""
    data = bytearray(path.read_bytes())
    table = data.find(b"stsz") + 4 + 12
    before, own = struct.unpack_from(">II", data, table + 4 * (number - 1))
    struct.pack_into(">II", data, table + 4 * (number - 1), before + own, 0)
    path.write_bytes(data)
    return path


def damage(path: Path, first: int, count: int, seed: int = 0) -> Path:
    """Overwrite `count` coded frames from `first` on with noise."""
    places = list(samples(path))[first : first + count]
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(seed)
    for start, size in places:
        data[start : start + size] = noise.integers(0, 256, size, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    return path
