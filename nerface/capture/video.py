"""Decoding a video file to upright RGB frames with square pixels and time stamps (PyAV).

open (video_file) -> sound frames (video_file) -> 8-bit RGB at the working size (video_colour) -> upright
(video_geometry) -> `VideoFrame`
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from nerface.capture.video_colour import Colour, Converter, colour_of, on_backdrop, premultiplied
from nerface.capture.video_file import Damage, open_video, sound_frames, video_stream
from nerface.capture.video_gaps import missing_frames
from nerface.capture.video_geometry import Placement, pixel_aspect, placement
from nerface.capture.video_metadata import focal_length_px, lens_name, quicktime_tags
from nerface.capture.video_repeats import PADDED_FRAMES, PADDED_SHARE, SAME_LEVELS, repeated_frames, thumbnail
from nerface.errors import UserError

__all__ = [
    "PADDED_FRAMES",
    "PADDED_SHARE",
    "SAME_LEVELS",
    "WORKING_PX",
    "VideoFrame",
    "VideoInfo",
    "VideoReader",
    "iterate",
    "probe",
    "repeated_frames",
    "thumbnail",
]

# Longer side of the frames to work with. Larger ones are scaled down while they are converted: stored pictures are
# smaller still, and a frame of 4K costs four times the time and memory of one of this size at every later step.
WORKING_PX = 1920
# Fewer frames than this share of what the file announces are a cut-off file.
TRUNCATED_SHARE = 0.9
MAX_LOST_SHARE = 0.25  # of the frames: with more damage than this the file is refused
SAME_SHAPE = 0.02  # relative difference of aspect ratios up to which a new picture size is the same picture
DEFAULT_FRAME_RATE_HZ = 25.0


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself, and how its frames come.

    `width` and `height` are those of the upright frame with square pixels as it comes, at most `WORKING_PX`;
    `original_size` (width, height) the same before that bound; `coded_size` (width, height) as stored; `rotation`
    degrees counter-clockwise that make the coded frame upright; `mirrored` True where the file asks to be shown with
    left and right exchanged (and is); `pixel_aspect` the width of a coded pixel over its height, as applied;
    `frame_rate` Hz; `frames` as announced or estimated (0 = unknown); `announced` True where the file states the
    number; `colour` the dynamic range and gamut of the file; `alpha` True where frames have a mask of their own;
    `focal_px` the focal length that the file tells, in px of the frame as it comes (None = not told; good to a tenth);
    `notes` what a user should know of the file, a line each.
    """

    width: int
    height: int
    original_size: tuple[int, int]
    coded_size: tuple[int, int]
    rotation: int
    mirrored: bool
    pixel_aspect: float
    frame_rate: float
    frames: int
    announced: bool
    colour: str = "SDR, BT.709"
    alpha: bool = False
    focal_px: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def scale(self) -> float:
        """Px of the frame as it comes for each px of the original upright frame (1 = not made smaller)."""
        return self.width / self.original_size[0]


@dataclass(frozen=True)
class VideoFrame:
    """Frame number `index` of the video, its `timestamp` in s from the first frame, and the upright RGB `image`.

    `alpha` is 255 where the picture covers and 0 where it does not; the image then lies on plain grey. None: no alpha.
    """

    index: int
    timestamp: float
    image: UInt8[np.ndarray, "height width 3"]
    alpha: UInt8[np.ndarray, "height width"] | None = None


@dataclass(frozen=True)
class _Plan:
    """How every frame of the video is treated, from its first."""

    placement: Placement
    colour: Colour
    multiplied: bool | None  # colours multiplied by alpha; None = no alpha


class VideoReader:
    """A video file that can be read from its start as often as wanted; nothing is kept, so length costs no memory.

    `longest` bounds the longer side of the frames in px. Raises `UserError` where the file is missing, no video, or has
    no first frame that can be decoded; reading raises it where the file ends before what it announces, changes its
    picture's shape, or is damaged in more than a quarter of its frames or lacks them. Frames lost to less damage are
    left out: time stamps keep the gap, numbers do not.
    """

    def __init__(self, path: Path | str, longest: int = WORKING_PX) -> None:
        self.path = Path(path)
        self.damage = Damage()
        with closing(open_video(self.path)) as container:
            stream = video_stream(container, self.path)
            first = next(sound_frames(container, stream, self.path, Damage()), None)
            if first is None:
                raise UserError(f"{self.path} holds no picture that can be decoded: is the file damaged or cut off?")
            self.info, self._plan = _examine(self.path, container, stream, first, longest)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know: of the file, and of the damage that the last reading met."""
        return self.info.notes + self.damage.notes()

    def __iter__(self) -> Iterator[VideoFrame]:
        damage = self.damage = Damage()
        convert = Converter(self._plan.colour, self._plan.placement.inner)
        count, start, last = 0, None, -math.inf
        times = []
        with closing(open_video(self.path)) as container:
            stream = video_stream(container, self.path)
            for decoded in sound_frames(container, stream, self.path, damage):
                self._check(decoded, count, damage)
                time = count / self.info.frame_rate
                if decoded.pts is not None and stream.time_base is not None:
                    stamp = float(decoded.pts * stream.time_base)
                    start = stamp if start is None else start
                    time = stamp - start
                if time <= last:  # a broken or missing stamp: keep time moving
                    time = last + 1 / self.info.frame_rate
                last = time
                times.append(time)
                yield self._frame(convert, decoded, count, time)
                count += 1
        damage.missing = max(0, missing_frames(times) - damage.lost - damage.empty)
        self._check_end(count, last, damage)

    def _frame(self, convert: Converter, decoded: av.VideoFrame, count: int, time: float) -> VideoFrame:
        turn = self._plan.placement.apply
        if self._plan.multiplied is None:
            return VideoFrame(count, time, turn(convert(decoded)))
        image, alpha = convert.with_alpha(decoded)
        return VideoFrame(count, time, turn(on_backdrop(image, alpha, self._plan.multiplied)), turn(alpha))

    def _check(self, decoded: av.VideoFrame, count: int, damage: Damage) -> None:
        """Refuse another shape of picture, and damage past bearing before the whole file is decoded."""
        width, height = self.info.coded_size
        if (decoded.width, decoded.height) != (width, height):
            if abs(decoded.width * height / (decoded.height * width) - 1) > SAME_SHAPE:
                raise UserError(
                    f"{self.path} changes its picture from {width}x{height} to {decoded.width}x{decoded.height} at "
                    f"frame {count}: cut it there, or convert it to one size first"
                )
            damage.resized += 1
        if self.info.announced and damage.lost > MAX_LOST_SHARE * max(self.info.frames, count):
            self._refuse_damaged(damage, self.info.frames)

    def _check_end(self, count: int, last: float, damage: Damage) -> None:
        """Refuse a file that ends early (`last`: its last time stamp, s) or that lacks too much in its middle."""
        frames = self.info.frames
        seen = count + damage.lost + damage.empty
        if self.info.announced and seen < TRUNCATED_SHARE * frames:
            if last * self.info.frame_rate + 1 < TRUNCATED_SHARE * frames:
                raise UserError(
                    f"{self.path} is cut off: it announces {frames} frames and gives {count}; copy it again"
                )
            if frames - seen > MAX_LOST_SHARE * frames:
                raise UserError(
                    f"{self.path} lacks {frames - seen} of its {frames} frames (missing or empty): copy it again"
                )
        if damage.lost > MAX_LOST_SHARE * seen:
            self._refuse_damaged(damage, seen)

    def _refuse_damaged(self, damage: Damage, frames: int) -> None:
        raise UserError(
            f"{self.path} is damaged: {damage.lost} of its {frames} frames cannot be used; copy it again, or cut the "
            "damaged part out"
        )


def probe(path: Path | str, longest: int = WORKING_PX) -> VideoInfo:
    """Read the head of a video file and its first frame. Raises `UserError` where it is missing or not a video."""
    return VideoReader(path, longest).info


def iterate(path: Path | str, longest: int = WORKING_PX) -> Iterator[VideoFrame]:
    """Decode a video frame by frame, upright and with square pixels. Raises as `VideoReader` does."""
    yield from VideoReader(path, longest)


def _examine(
    path: Path,
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    first: av.VideoFrame,
    longest: int,
) -> tuple[VideoInfo, _Plan]:
    """What the file and its first frame say, and the plan that follows for all frames."""
    aspect, aspect_note = pixel_aspect(stream.sample_aspect_ratio)
    place = placement(first, aspect, longest)
    try:
        colour = colour_of(first)
    except ValueError as error:
        raise UserError(f"{path} has {error} colours, which cannot be read: convert it to BT.709 first") from None
    multiplied = _alpha_kind(first, colour, place)
    original, size = place.turned(place.full), place.turned(place.inner)
    tags = {**container.metadata, **stream.metadata, **quicktime_tags(path)}
    focal = focal_length_px(tags, max(size))
    rate = stream.average_rate or stream.guessed_rate
    frame_rate = float(rate) if rate else DEFAULT_FRAME_RATE_HZ
    notes = [aspect_note] if aspect_note else []
    notes += _picture_notes(first, colour, multiplied)
    notes += _camera_notes(place.mirrored, lens_name(tags))
    if size != original:
        notes.append(f"worked on at {size[0]}x{size[1]} px instead of {original[0]}x{original[1]}")
    info = VideoInfo(
        width=size[0],
        height=size[1],
        original_size=original,
        coded_size=place.coded,
        rotation=place.quarter_turns * 90,
        mirrored=place.mirrored,
        pixel_aspect=aspect,
        frame_rate=frame_rate,
        frames=_announced_frames(container, stream, frame_rate),
        announced=int(stream.frames) > 0,
        colour=colour.name,
        alpha=multiplied is not None,
        focal_px=focal,
        notes=tuple(notes),
    )
    return info, _Plan(place, colour, multiplied)


def _announced_frames(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, frame_rate: float
) -> int:
    """The number of frames that will be shown, as stated or by the length (0 = unknown)."""
    frames = int(stream.frames)
    if frames and stream.duration and stream.time_base:
        # Frames that an edit list hides (a clip trimmed on the phone) are stated, but not part of the length.
        return min(frames, max(1, round(float(stream.duration * stream.time_base) * frame_rate)))
    if frames == 0 and container.duration:
        return round(container.duration / av.time_base * frame_rate)
    return frames


def _alpha_kind(first: av.VideoFrame, colour: Colour, place: Placement) -> bool | None:
    """Whether colours are multiplied by alpha; None where there is no alpha or it covers everything."""
    if not colour.alpha:
        return None
    image, alpha = Converter(colour, place.inner).with_alpha(first)
    return None if int(alpha.min()) == 255 else premultiplied(image, alpha)


def _picture_notes(first: av.VideoFrame, colour: Colour, multiplied: bool | None) -> list[str]:
    notes = []
    if colour.deep:
        notes.append(f"{colour.name}: converted to the colours of ordinary video")
    if multiplied is not None:
        kind = "multiplied by it" if multiplied else "not multiplied by it"
        notes.append(f"has an alpha channel (colours {kind}): the person stands on white")
    if first.interlaced_frame:
        notes.append("interlaced: moving edges are combed; deinterlace it first for a sharper avatar")
    return notes


def _camera_notes(mirrored: bool, lens: str) -> list[str]:
    """What can be told of mirroring: a tag that asks for it, a lens that faces the user. Pixels alone tell nothing."""
    notes = []
    if mirrored:
        notes.append("the file asks to be shown mirrored, and is: if writing in it reads backwards, so is the avatar")
    if "front" in lens.lower():
        notes.append(
            f"filmed with {lens}: front cameras can store a mirror image; if writing in it reads backwards, "
            "so is the avatar"
        )
    return notes
