"""The figures of a capture: `capture.json` and the report handed to the caller."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from nerface.capture.crop import Crop
from nerface.capture.landmarker import EYE_CORNERS


@dataclass(frozen=True)
class CaptureReport:
    """What a capture gave; the same figures and more are in `folder`/capture.json.

    `dropped` counts frames by reason; `rms_px` is the reprojection error in px of the upright source frame and
    `rms_share` the same over the eye distance, `held_out_share` on the frames that did not shape the face; `focal_px`
    in px of the source frame, `focal_assumed` True where nobody stated it; `plate_seen` the share of the background
    that was seen; `seconds` by stage; `notes` what the file should have told.
    """

    folder: Path
    frames_decoded: int
    frames_used: int
    dropped: dict[str, int]
    splits: dict[str, int]
    rms_px: float
    rms_share: float
    held_out_share: float
    focal_px: float
    focal_assumed: bool
    crop: Crop
    plate_seen: float
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()


@dataclass
class Clock:
    """Wall-clock seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block to `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)


@dataclass(frozen=True)
class Dropped:
    """Frames of the video that are not used: number and reason."""

    frames: tuple[tuple[int, str], ...]

    def counts(self) -> dict[str, int]:
        """How many frames for which reason."""
        return dict(Counter(reason for _, reason in self.frames))

    def as_json(self) -> dict[str, Any]:
        """Counts and the numbers of the frames by reason."""
        return {
            reason: {"count": count, "frames": [frame for frame, other in self.frames if other == reason]}
            for reason, count in self.counts().items()
        }


def eye_distance(landmarks: Float[np.ndarray, "frames points 2"]) -> float:
    """Median distance of the outer eye corners, px."""
    corners = landmarks[:, EYE_CORNERS[0]] - landmarks[:, EYE_CORNERS[1]]
    return float(np.median(np.linalg.norm(corners, axis=-1)))


def pose_angles(camera_to_head: Float[np.ndarray, "frames 4 4"]) -> Float[np.ndarray, "frames 3"]:
    """Yaw, pitch and roll of the head as the camera sees it, degrees.

    The head's rotation is yaw about y, then pitch about x, then roll about z, each about the already turned axes.
    Positive yaw turns the nose to the right of the picture, positive pitch lowers it, positive roll turns the head
    counter-clockwise in the picture.
    """
    head_to_camera = camera_to_head[:, :3, :3].transpose(0, 2, 1)
    return np.asarray(Rotation.from_matrix(head_to_camera).as_euler("YXZ", degrees=True))


def span(values: np.ndarray) -> list[float]:
    """Least and greatest value."""
    return [float(np.min(values)), float(np.max(values))]


def pose_ranges(camera_to_head: Float[np.ndarray, "frames 4 4"]) -> dict[str, list[float]]:
    """Least and greatest yaw, pitch, roll (degrees) and camera distance (head units)."""
    angles = pose_angles(camera_to_head)
    distance = np.linalg.norm(camera_to_head[:, :3, 3], axis=1)
    ranges = {name: span(angles[:, axis]) for axis, name in enumerate(("yaw_deg", "pitch_deg", "roll_deg"))}
    return {**ranges, "distance_head_units": span(distance)}


def score_ranges(names: tuple[str, ...], scores: Float[np.ndarray, "frames scores"]) -> dict[str, list[float]]:
    """Least and greatest value of each expression score."""
    return {name: [round(value, 4) for value in span(scores[:, column])] for column, name in enumerate(names)}
