"""Decoding a video file to upright RGB frames with square pixels and time stamps (PyAV)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import Float, UInt8

from nerface.errors import UserError

# A pixel aspect outside this range is taken for a wrong tag, not for a lens or a tape format.
SANE_PIXEL_ASPECT = (0.5, 2.0)
# Fewer decoded frames than this share of what the file announces is a cut-off file; edit lists explain less.
TRUNCATED_SHARE = 0.9
THUMBNAIL_PX = 64
# Mean grey difference of thumbnails, in levels of 255, at and below which two frames are the same picture.
SAME_LEVELS = 0.02
# A copy that was encoded again differs a little, but far less than its neighbours do from theirs. At 0.3 three clips
# padded from 25 to 30 Hz lose 95-100 % of the copies at good quality, and 0.1 % of their true frames.
SAME_SHARE = 0.3
# Near copies rarer than this share of a clip, or fewer than this, are moments of stillness, not a padded frame rate.
PADDED_SHARE, PADDED_FRAMES = 0.03, 3


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    `width` and `height` are those of the upright frame with square pixels; `coded_size` (width, height) before that;
    `rotation` degrees counter-clockwise that make the coded frame upright; `pixel_aspect` the width of a coded pixel
    over its height, as applied; `frame_rate` Hz; `frames` as announced or estimated (0 = unknown); `announced` is True
    where the file states the number; `note` names a tag that was not believed ("" = none).
    """

    width: int
    height: int
    coded_size: tuple[int, int]
    rotation: int
    pixel_aspect: float
    frame_rate: float
    frames: int
    announced: bool
    note: str = ""


@dataclass(frozen=True)
class VideoFrame:
    """Frame number `index` of the video, its `timestamp` in s from the first frame, and the upright RGB `image`."""

    index: int
    timestamp: float
    image: UInt8[np.ndarray, "height width 3"]


def probe(path: Path | str) -> VideoInfo:
    """Read the head of a video file and its first frame. Raises `UserError` where it is missing or not a video."""
    path = Path(path)
    with closing(_open(path)) as container:
        stream = _video_stream(container, path)
        first = next(_decoded(container, stream, path), None)
        if first is None:
            raise UserError(f"{path} holds no picture that can be decoded: is the file damaged or cut off?")
        rate = stream.average_rate or stream.guessed_rate
        frame_rate = float(rate) if rate else 25.0
        frames = int(stream.frames)
        announced = frames > 0
        if not announced and container.duration:
            frames = round(container.duration / av.time_base * frame_rate)
        aspect, note = _pixel_aspect(stream.sample_aspect_ratio)
        rotation = _quarter_turns(first.rotation) * 90
        width, height = max(1, round(first.width * aspect)), first.height
        if rotation % 180:
            width, height = height, width
        coded = (first.width, first.height)
        return VideoInfo(width, height, coded, rotation, aspect, frame_rate, frames, announced, note)


def iterate(path: Path | str) -> Iterator[VideoFrame]:
    """Decode a video frame by frame, upright and with square pixels; nothing is kept, so length costs no memory.

    Raises `UserError` where the file is not a video, changes its picture size, or ends before what it announces.
    """
    path = Path(path)
    info = probe(path)
    count, start, last = 0, None, -math.inf
    with closing(_open(path)) as container:
        stream = _video_stream(container, path)
        stream.thread_type = "AUTO"
        for decoded in _decoded(container, stream, path):
            if (decoded.width, decoded.height) != info.coded_size:
                raise UserError(f"{path} changes its picture size at frame {count}: convert it to one size first")
            image = _upright(decoded.to_ndarray(format="rgb24"), info)
            time = count / info.frame_rate
            if decoded.pts is not None and decoded.time_base is not None:
                stamp = float(decoded.pts * decoded.time_base)
                start = stamp if start is None else start
                time = stamp - start
            if time <= last:  # a broken or missing stamp: keep time moving
                time = last + 1 / info.frame_rate
            last = time
            yield VideoFrame(count, time, image)
            count += 1
    if info.announced and count < TRUNCATED_SHARE * info.frames:
        raise UserError(f"{path} is cut off: it announces {info.frames} frames and gives {count}; copy the file again")


def thumbnail(image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "64 64"]:
    """A small grey picture to compare frames by."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA).astype(np.float32)


def repeated_frames(differences: Float[np.ndarray, " frames"]) -> np.ndarray:
    """Which frames [N] repeat the one before, from `differences` [N]: mean thumbnail difference to it (the first: inf).

    A frame repeats where it is the same, or, in a clip where that happens regularly, where it differs far less than
    frames on both sides of it do: so a padded frame rate is seen, and a person who holds still for a moment, slowing
    down before and speeding up after, is not. Copies in strongly compressed files (about x264's crf 30) differ as much
    as true frames and stay.
    """
    same = differences <= SAME_LEVELS
    near = same.copy()
    for index in range(1, len(differences)):
        before = differences[max(1, index - 2) : index]
        after = differences[index + 1 : index + 3]
        around = min((part.max() for part in (before, after) if len(part)), default=0.0)
        near[index] |= differences[index] <= SAME_SHARE * around
    padded = near.mean() > PADDED_SHARE and near.sum() >= PADDED_FRAMES
    return near if padded else same


def _open(path: Path) -> av.container.InputContainer:
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a video file")
    try:
        return av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UserError(f"{path} is not a video that can be read ({_reason(error)})") from None


def _video_stream(container: av.container.InputContainer, path: Path) -> av.video.stream.VideoStream:
    cover = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not streams:
        what = "sound but no picture" if container.streams.audio else "no picture"
        raise UserError(f"{path} holds {what}: a video of a face is needed")
    return streams[0]


def _decoded(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, path: Path
) -> Iterator[av.VideoFrame]:
    try:
        yield from container.decode(stream)
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(f"{path} cannot be decoded to its end ({_reason(error)}): is it damaged or cut off?") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _pixel_aspect(tag: object) -> tuple[float, str]:
    """The aspect to apply, and a note where the file's tag is not believed."""
    aspect = float(tag) if tag else 1.0  # type: ignore[arg-type]
    if not SANE_PIXEL_ASPECT[0] <= aspect <= SANE_PIXEL_ASPECT[1]:
        return 1.0, f"pixel aspect {aspect:.3f} of the file not believed, taken as 1"
    return aspect, ""


def _quarter_turns(degrees: float) -> int:
    """Counter-clockwise quarter turns, from -1 to 2; the few tilts between that exist are left as they are."""
    turns = round(degrees / 90) % 4 if abs(degrees / 90 - round(degrees / 90)) < 0.01 else 0
    return turns - 4 if turns == 3 else turns


def _upright(image: UInt8[np.ndarray, "rows columns 3"], info: VideoInfo) -> UInt8[np.ndarray, "height width 3"]:
    if info.pixel_aspect != 1.0:
        width = max(1, round(image.shape[1] * info.pixel_aspect))
        shrink = width < image.shape[1]
        image = cv2.resize(image, (width, image.shape[0]), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)
    if info.rotation:
        image = np.rot90(image, info.rotation // 90)
    return np.ascontiguousarray(image)
