"""A dataset that drives an avatar: its frames in the avatar's axes and channels, and those of them that are shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from nerface.driving.track import Track, read_track
from nerface.errors import UserError
from nerface.fields.base import Subject


@dataclass(frozen=True)
class Selection:
    """Which frames drive: those of `split` (train, val, test or all), in the order in which they were taken, without
    the first `start`, at most `frames`. `channels` "same" or "shared": see `nerface.driving.channels.channel_map`."""

    split: str = "test"
    start: int = 0
    frames: int | None = None
    channels: str = "same"


@dataclass(frozen=True)
class Driver:
    """A whole dataset in an avatar's terms (`track`), and the frames of it that are shown, in order."""

    track: Track
    shown: Int[np.ndarray, " frames"]
    split: str

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def camera_to_head(self) -> Float[np.ndarray, "frames 4 4"]:
        """Poses of the frames shown."""
        return self.track.camera_to_head[self.shown]

    @property
    def expressions(self) -> Float[np.ndarray, "frames expression"]:
        """Expressions of the frames shown."""
        return self.track.expressions[self.shown]

    @property
    def frame_rate(self) -> float | None:
        """Of the frames shown, in Hz."""
        return self.track.rate(self.shown)

    def find(self, word: str) -> int:
        """The frame of the track that `K` (of the split shown) or `SPLIT:K` means."""
        return self.track.find(word, self.split)


def open_driver(
    folder: Path, subject: Subject, selection: Selection, missing: Float[np.ndarray, " expression"]
) -> Driver:
    """The dataset in `folder` as a driver of the avatar of `subject`; `missing` are values for channels that it lacks.

    Raises `UserError` for a broken dataset, other channels, and where no frame is left.
    """
    track = read_track(folder, selection.split).adapted(subject, selection.channels, missing)
    members = track.members(selection.split)
    if selection.start >= len(members):
        raise UserError(
            f"{folder} has {len(members)} frames in '{selection.split}': starting at {selection.start} leaves none"
        )
    stop = None if selection.frames is None else selection.start + selection.frames
    return Driver(track, members[selection.start : stop], selection.split)
