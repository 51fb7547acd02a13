"""What the report is made from: a capture's figures, its frames in temporal order, what was measured in each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from nerface.capture.report import pose_angles

DEFAULT_FRAME_RATE_HZ = 25.0
MOMENT_S = 0.2


@dataclass(frozen=True)
class FrameTable:
    """The N used frames in temporal order.

    `splits`, `pictures` (files) and `masks` (files, or None where a frame names none) [N]; `source_frames` [N] numbers
    in the video; `timestamps` [N] s; `camera_to_head` [N, 4, 4]; `head_boxes` [N, 4] fractions, NaN where unknown;
    `expressions` [N, E] with their `channels`.
    """

    splits: tuple[str, ...]
    pictures: tuple[Path, ...]
    masks: tuple[Path | None, ...]
    source_frames: Int[np.ndarray, " frames"]
    timestamps: Float[np.ndarray, " frames"]
    camera_to_head: Float[np.ndarray, "frames 4 4"]
    head_boxes: Float[np.ndarray, "frames 4"]
    expressions: Float[np.ndarray, "frames expression"]
    channels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.splits)

    @cached_property
    def angles(self) -> Float[np.ndarray, "frames 3"]:
        """Yaw, pitch, roll in degrees (`nerface.capture.report.pose_angles`)."""
        return pose_angles(self.camera_to_head)

    @cached_property
    def rest_angles(self) -> Float[np.ndarray, " 3"]:
        """The median pose, from which driving counts."""
        return np.median(self.angles, axis=0)

    @cached_property
    def turns(self) -> Float[np.ndarray, "frames 3"]:
        """Yaw, pitch, roll from the median pose on, degrees."""
        return self.angles - self.rest_angles

    def rows_of(self, split: str) -> Int[np.ndarray, " rows"]:
        """The frames of one split."""
        return np.flatnonzero(np.array(self.splits) == split)

    def channel(self, name: str) -> Float[np.ndarray, " frames"] | None:
        """One expression channel, or None where there is none of that name."""
        return self.expressions[:, self.channels.index(name)] if name in self.channels else None


@dataclass(frozen=True)
class Measured:
    """What capture measured in each used frame; None where this capture did not write it, NaN where not measured.

    `sharpness` [N] (of the face, comparable within a clip), `error_px` [N] reprojection RMS, `exposure` [N, 3] gain of
    red, green and blue relative to the plate, `segment` [N].
    """

    sharpness: Float[np.ndarray, " frames"] | None
    error_px: Float[np.ndarray, " frames"] | None
    exposure: Float[np.ndarray, "frames 3"] | None
    segment: Int[np.ndarray, " frames"]


@dataclass(frozen=True)
class Unused:
    """Frames of the video left out for one `reason`; `count` of them, `frames` their numbers as far as listed."""

    reason: str
    count: int
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Evidence:
    """A captured dataset: `figures` is capture.json as it stands, `meta` what the dataset's JSON files say of all."""

    folder: Path
    figures: Mapping[str, Any]
    frames: FrameTable
    measured: Measured
    unused: tuple[Unused, ...]
    meta: Mapping[str, Any]

    def get(self, *keys: str) -> Any:
        """The value under nested `keys` of capture.json, or None."""
        value: Any = self.figures
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def number(self, *keys: str) -> float | None:
        """The finite number under `keys`, or None."""
        return finite_number(self.get(*keys))

    def text(self, *keys: str) -> str:
        """The text under `keys`, or ""."""
        value = self.get(*keys)
        return value if isinstance(value, str) else ""

    @cached_property
    def frame_rate(self) -> float:
        """Hz, of the captured frames."""
        stated = self.number("frames", "frame_rate") or finite_number(self.meta.get("frame_rate"))
        return stated if stated and stated > 0 else DEFAULT_FRAME_RATE_HZ

    @cached_property
    def seconds(self) -> float:
        """Length of the used frames together."""
        return len(self.frames) / self.frame_rate

    @cached_property
    def decoded(self) -> int:
        """Frames of the video."""
        stated = self.number("frames", "decoded")
        return int(stated) if stated else len(self.frames) + sum(part.count for part in self.unused)

    @cached_property
    def picture_size(self) -> tuple[int, int] | None:
        """Width and height of the stored pictures, px."""
        size = self.meta.get("image_size")
        if isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size):
            return size[0], size[1]
        return None

    @cached_property
    def error_share(self) -> tuple[float, bool] | None:
        """Reprojection RMS over the outer-eye distance, and whether it is of frames kept out of the solve."""
        eye = self.number("reprojection_error", "eye_distance_px")
        held_out = self.number("reprojection_error", "held_out_rms_px")
        if held_out is not None and eye:
            return held_out / eye, True
        share = self.number("reprojection_error", "share_of_eye_distance")
        return None if share is None else (share, False)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What reading the video told, a line each."""
        places = (self.get("video", "notes"), self.get("source", "notes"))
        lines = [str(note) for notes in places if isinstance(notes, list) for note in notes]
        return tuple(dict.fromkeys(line for line in [*lines, self.text("source", "note")] if line))

    @cached_property
    def gaps(self) -> Bool[np.ndarray, " frames"]:
        """Frames [N] before which the clip breaks: a new segment, or more than a moment of unused frames."""
        missing = np.diff(self.frames.source_frames) > max(2.0, MOMENT_S * self.frame_rate)
        return np.concatenate([[False], (np.diff(self.measured.segment) != 0) | missing])

    def time_of(self, source_frames: np.ndarray) -> Float[np.ndarray, " numbers"]:
        """Seconds at which frames of the video stand, from those of the used ones."""
        numbers, times = self.frames.source_frames.astype(float), self.frames.timestamps
        wanted = np.asarray(source_frames, dtype=float)
        inner = np.interp(wanted, numbers, times)
        before = np.minimum(wanted - numbers[0], 0) / self.frame_rate
        after = np.maximum(wanted - numbers[-1], 0) / self.frame_rate
        return np.asarray(inner + before + after)


def finite_number(value: Any) -> float | None:
    """`value` where it is a finite number (and not a truth value), else None."""
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if plain and math.isfinite(value) else None
