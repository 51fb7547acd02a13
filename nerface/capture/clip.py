"""A clip once it is tracked and solved: what every later stage of a capture looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nerface.capture.crop import Crop
from nerface.capture.face_track import FaceTrack
from nerface.capture.scene_look import SceneFrame
from nerface.capture.solving import SolvedClip
from nerface.capture.splits import Place, rows_of
from nerface.capture.video import VideoFrame, VideoReader
from nerface.types import Intrinsics


@dataclass(frozen=True)
class Source:
    """The video: how it is read, and its checksum."""

    reader: VideoReader
    sha256: str

    @property
    def path(self) -> Path:
        return self.reader.path


@dataclass(frozen=True)
class Clip:
    """The `track` of a video, its `solved` frames, the `places` they go to in the dataset, and the `crop` of all."""

    source: Source
    track: FaceTrack
    solved: SolvedClip
    places: list[Place]
    crop: Crop

    def __len__(self) -> int:
        return len(self.solved)

    @property
    def camera(self) -> Intrinsics:
        """The camera of the stored pictures."""
        return self.crop.intrinsics(self.solved.focal, self.solved.centre)

    @property
    def landmarks(self) -> Float[np.ndarray, "frames 478 2"]:
        """Landmarks in px of the stored pictures."""
        return self.crop.map_points(self.solved.landmarks)

    def used(self) -> Iterator[tuple[int, VideoFrame]]:
        """The used frames, decoded once more: number in temporal order from 0, and the upright frame."""
        numbers = {int(number): row for row, number in enumerate(self.solved.numbers)}
        for frame in self.source.reader:
            if frame.index in numbers:
                yield numbers[frame.index], frame

    def picture(self, row: int, frame: VideoFrame) -> SceneFrame:
        """Used frame `row` as it is stored, with what the look at the scene wants to know of it."""
        crop, landmarks = self.crop, self.solved.landmarks[row]
        middle = crop.map_points(landmarks.mean(axis=0))
        return SceneFrame(
            number=row,
            image=crop.apply(frame.image),
            train=self.places[row].split == "train",
            alpha=None if frame.alpha is None else crop.apply(frame.alpha),
            face=(float(middle[0]), float(middle[1])),
            segment=int(self.track.segment[self.solved.numbers[row]]),
        )

    def rows(self, split: str) -> list[int]:
        """Temporal numbers of the frames of one split."""
        return [int(row) for row in rows_of(self.places, split)]
