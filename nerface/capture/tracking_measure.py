"""Pass 2 over a clip: the face measured in several crops around its smoothed region, and its skin followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerface.capture.covering import POINTS, face_colours
from nerface.capture.landmarker import LANDMARKS, SCORE_NAMES, FaceLandmarker, Region, face_patch
from nerface.capture.sharpness import sharpness
from nerface.capture.skin import SkinTracker
from nerface.capture.tracking_chain import MIN_PRESENCE
from nerface.capture.tracking_crops import SteadyFace, crops_of, mean_face
from nerface.capture.video import VideoFrame


@dataclass(frozen=True)
class Measured:
    """Tables of N frames as in `FaceTrack`, and `colours` [N, points, 3] of the face (`covering`); zero without one."""

    landmarks: Float[np.ndarray, "frames 478 3"]
    spread: Float[np.ndarray, "frames 478"]
    scores: Float[np.ndarray, "frames 52"]
    presence: Float[np.ndarray, " frames"]
    sharpness: Float[np.ndarray, " frames"]
    found: Bool[np.ndarray, " frames"]
    colours: UInt8[np.ndarray, "frames points 3"]

    @staticmethod
    def empty(count: int) -> Measured:
        """Tables to fill."""
        return Measured(
            landmarks=np.zeros((count, LANDMARKS, 3), np.float32),
            spread=np.zeros((count, LANDMARKS), np.float32),
            scores=np.zeros((count, len(SCORE_NAMES)), np.float32),
            presence=np.zeros(count, np.float32),
            sharpness=np.zeros(count, np.float32),
            found=np.zeros(count, bool),
            colours=np.zeros((count, len(POINTS), 3), np.uint8),
        )

    def rows(self, start: int, stop: int) -> Measured:
        """Some of the frames (views of the tables)."""
        return Measured(*(getattr(self, item.name)[start:stop] for item in fields(self)))

    def fill(self, start: int, part: Measured) -> None:
        """Copy a part's rows in from frame `start`."""
        for item in fields(self):
            rows = getattr(part, item.name)
            getattr(self, item.name)[start : start + len(rows)] = rows


@dataclass(frozen=True)
class Plan:
    """What to measure: a region for each frame (None: no face), the frame's segment, the number of crops."""

    regions: list[Region | None]
    segment: np.ndarray
    crops: int


def measure_frames(
    frames: Iterable[VideoFrame],
    landmarker: FaceLandmarker,
    plan: Plan,
    measured: Measured,
    skin: SkinTracker,
    done: int = 0,
) -> Iterator[int]:
    """Fill `measured` frame by frame, following the skin; yields how many of the first frames are complete.

    The first `done` frames are measured already: only their skin is followed (its state is not kept anywhere).
    """
    count = 0
    for group in _groups(zip(frames, plan.regions), landmarker.frames_at_once):
        fresh = [(frame, region) for frame, region in group if region is not None and frame.index >= done]
        if fresh:
            crops = [crops_of(region, plan.crops) for _, region in fresh]
            faces = landmarker.measure_batch([frame.image for frame, _ in fresh], crops)
            for (frame, region), several in zip(fresh, faces):
                _note(measured, frame, region, mean_face(several))
        for frame, _ in group:
            landmarks = measured.landmarks[frame.index] if measured.found[frame.index] else None
            skin.add(frame.index, frame.image, landmarks, int(plan.segment[frame.index]))
        count += len(group)
        yield count


def _note(measured: Measured, frame: VideoFrame, region: Region, face: SteadyFace) -> None:
    row = frame.index
    measured.presence[row] = face.presence
    if face.presence < MIN_PRESENCE or not np.isfinite(face.landmarks).all():
        return
    patch = face_patch(frame.image, region)
    measured.found[row] = True
    measured.landmarks[row] = face.landmarks
    measured.spread[row] = face.spread
    measured.scores[row] = face.scores
    measured.sharpness[row] = sharpness(patch)
    measured.colours[row] = face_colours(patch, face.landmarks, region)


def _groups(
    items: Iterable[tuple[VideoFrame, Region | None]], size: int
) -> Iterator[list[tuple[VideoFrame, Region | None]]]:
    group = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
