"""Writes pictures as an MP4 that players and browsers open: H.264, 4:2:0, BT.709, index at the front."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from jaxtyping import UInt8

from nerface.files import whole_file

logger = logging.getLogger(__name__)

DEFAULT_FRAME_RATE_HZ = 25.0  # of what knows neither times nor a frame rate
MAX_RATE_DENOMINATOR = 100_000  # 30000/1001 and the like survive, noise in the last bits of a float does not
MPEG4_QUALITY = 3  # quantiser of the fallback (1 best, 31 worst): as sharp as H.264 at crf 18, in larger files
BT709 = 1  # the code of ITU-T H.273 for primaries, transfer function and matrix alike


class VideoWriter:
    """A context manager that writes uint8 RGB pictures to `path`, which appears whole on leaving or not at all.

    `frame_rate` in Hz; pictures are [height, width, 3]; an odd size is padded by one repeated row or column, because
    4:2:0 needs even sizes. `crf` is H.264's constant rate factor (lower is better, 18 is hardly told from the source).
    Where this build of FFmpeg lacks libx264, MPEG-4 part 2 is written instead: `encoder` says which, and the log says
    so once.

    Raises `ValueError` for a picture of another size or type, a frame rate of 0 or less, or when nothing was written.
    """

    def __init__(self, path: Path | str, frame_rate: float, width: int, height: int, crf: int = 18) -> None:
        if not frame_rate > 0 or width < 1 or height < 1:
            raise ValueError(f"cannot write a video of {width}x{height} at {frame_rate} Hz")
        self.path = Path(path)
        self.frame_rate = Fraction(frame_rate).limit_denominator(MAX_RATE_DENOMINATOR)
        self.width, self.height, self.crf = width, height, crf
        self.frames_written = 0
        self.encoder = _encoder_name()
        self._stack = ExitStack()

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            partial = stack.enter_context(whole_file(self.path))
            container = av.open(str(partial), "w", options={"movflags": "faststart"})
            self._container = stack.enter_context(container)
            self._stream = self._add_stream(container)
            self._stack = stack.pop_all()
        return self

    def _add_stream(self, container: Any) -> Any:
        quality = {"crf": str(self.crf), "preset": "veryfast"} if self.encoder == "libx264" else {}
        stream: Any = container.add_stream(self.encoder, rate=self.frame_rate, options=quality)
        stream.width, stream.height = self.width + self.width % 2, self.height + self.height % 2
        stream.pix_fmt = "yuv420p"
        # Tagged and converted as BT.709: untagged files are shown in other colours by some players.
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = ColorRange.MPEG
        if self.encoder != "libx264":
            context.flags |= av.codec.context.Flags.qscale
            context.qmin = context.qmax = MPEG4_QUALITY
        return stream

    def write(self, image: UInt8[np.ndarray, "height width 3"]) -> None:
        """Append one picture."""
        if image.shape != (self.height, self.width, 3) or image.dtype != np.uint8:
            raise ValueError(
                f"picture {self.frames_written} is {image.dtype} {image.shape}, "
                f"the video {self.path.name} takes uint8 ({self.height}, {self.width}, 3)"
            )
        padded = np.pad(image, ((0, self.height % 2), (0, self.width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        frame.pts = self.frames_written
        frame.time_base = 1 / self.frame_rate
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        self.frames_written += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        # Flushed inside the stack, so that a fault here also removes the partial file.
        with self._stack:
            if self.frames_written == 0:
                raise ValueError(f"no picture was written to {self.path}")
            for packet in self._stream.encode():
                self._container.mux(packet)


@cache
def _encoder_name() -> str:
    if "libx264" in av.codecs_available:
        return "libx264"
    logger.warning("this build of FFmpeg has no H.264 encoder: videos are written as MPEG-4 part 2, in larger files")
    return "mpeg4"
