"""Opening a video file: what is refused and in which words, and the frames that decode without damage.

Only files of this machine are opened: a playlist or reference inside a file that names an address is not followed.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.container
import av.video.stream

from nerface.errors import UserError

# More decoding threads than this buy little and cost a frame's memory each.
MAX_THREADS = 8
# FFmpeg's names of what reads single pictures end so; `image2` reads numbered ones.
PICTURE_FORMATS = ("_pipe", "image2")
# FFmpeg also draws plain text as the screens of old computers; nobody's face is in one.
TEXT_FORMATS = ("tty", "bin", "xbin", "adf", "idf")
# Main brands of ISO base media files that hold a picture and not a video (HEIC and AVIF; ISO 23008-12).
PICTURE_BRANDS = ("heic", "heix", "heim", "heis", "mif1", "avif")
# Frames shown shortly before a damaged one can lean on it (B-frames): so many are not used either.
LEANING_FRAMES = 8


@dataclass
class Damage:
    """What one reading of a video found: frames that were `lost`, `empty` packets, frames `missing` from gaps in the
    time stamps, a change of picture size."""

    lost: int = 0
    empty: int = 0
    missing: int = 0
    resized: int = 0

    def notes(self) -> tuple[str, ...]:
        """One line for each kind of damage."""
        lines = []
        if self.lost:
            lines.append(f"{self.lost} damaged frames left out")
        if self.empty:
            lines.append(f"{self.empty} frames of the file are empty")
        if self.missing:
            are = "frame is" if self.missing == 1 else "frames are"
            lines.append(f"{self.missing} {are} missing (gaps in the time stamps)")
        if self.resized:
            lines.append(f"{self.resized} frames have another size than the first and were scaled to it")
        return tuple(lines)


def open_video(path: Path) -> av.container.InputContainer:
    """Open a file. Raises `UserError` where it is missing, empty, a folder, a picture, or nothing that can be read."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({reason_of(error)})") from None
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a video file")
    if not path.is_file():
        raise UserError(f"{path} is not an ordinary file: a video file is needed")
    if found.st_size == 0:
        raise UserError(f"{path} is empty (0 bytes): copy the video again")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path} cannot be read: permission denied")
    try:
        # As `file:` a name with a colon is no protocol; the whitelist keeps playlists from reaching for addresses.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UserError(f"{path} is not a video that can be read ({reason_of(error)})") from None
    if container.format.name in TEXT_FORMATS:
        container.close()
        raise UserError(f"{path} is not a video that can be read (it is text)")
    if _is_picture(container):
        container.close()
        raise UserError(f"{path} is a picture: a video of a face is needed, a few seconds at least")
    return container


def video_stream(container: av.container.InputContainer, path: Path) -> av.video.stream.VideoStream:
    """The first stream of pictures that is no cover. Raises `UserError` where there is none, or it has no decoder."""
    cover = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not streams:
        what = "sound but no picture" if container.streams.audio else "no picture"
        raise UserError(f"{path} holds {what}: a video of a face is needed")
    stream = streams[0]
    if stream.codec_context is None:
        raise UserError(f"{path} is in a format that this build of FFmpeg cannot decode: convert it to H.264 first")
    stream.thread_type = "AUTO"
    stream.thread_count = min(os.cpu_count() or 1, MAX_THREADS)
    return stream


def sound_frames(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, path: Path, damage: Damage
) -> Iterator[av.VideoFrame]:
    """Decode all frames that are whole; what is not is counted in `damage`.

    A decoder conceals damage and goes on from what it made up, so nothing is used from a fault to the next key frame.
    Raises `UserError` where the file cannot be read on.
    """
    decoder = _alpha_decoder(stream)
    hold = LEANING_FRAMES if stream.codec_context.has_b_frames else 0
    held: deque[av.VideoFrame] = deque()
    broken = False
    for packet in _packets(container, stream, path):
        if packet.size == 0 and packet.dts is not None:  # decoded, it would end the stream
            damage.empty += 1
            continue
        try:
            frames = packet.decode() if decoder is None else decoder.decode(packet)
        except (av.error.FFmpegError, OSError):
            frames = []
            damage.lost += 1 + len(held)
            held.clear()
            broken = True
        for frame in frames:
            if frame.is_corrupt:
                damage.lost += 1 + len(held)
                held.clear()
                broken = True
            elif broken and not frame.key_frame:
                damage.lost += 1
            else:
                broken = False
                held.append(frame)
            while len(held) > hold:
                yield held.popleft()
    yield from held


def reason_of(error: Exception) -> str:
    """What the system or FFmpeg says of a fault, without numbers and paths."""
    return getattr(error, "strerror", None) or str(error)


def _packets(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, path: Path
) -> Iterator[av.Packet]:
    try:
        yield from container.demux(stream)
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(f"{path} cannot be read to its end ({reason_of(error)}): is it damaged or cut off?") from None


def _is_picture(container: av.container.InputContainer) -> bool:
    name = container.format.name
    brand = container.metadata.get("major_brand", "").strip()
    return name.endswith(PICTURE_FORMATS) or brand in PICTURE_BRANDS


def _alpha_decoder(stream: av.video.stream.VideoStream) -> av.video.codeccontext.VideoCodecContext | None:
    """The decoder that reads the alpha of WebM files: FFmpeg's own VP8 and VP9 decoders leave it out."""
    name = f"libvpx-{stream.codec_context.name}".replace("libvpx-vp8", "libvpx")
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if tags.get("alpha_mode") != "1" or name not in av.codecs_available:
        return None
    return av.CodecContext.create(name, "r")  # type: ignore[return-value]
