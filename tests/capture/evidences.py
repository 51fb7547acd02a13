"""Made-up captures: evidence in memory that speaks for a perfect take, and a small captured dataset on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from nerface.capture.advice_wants import GAZE_CHANNELS, WANTS
from nerface.capture.page_evidence import Evidence, FrameTable, Measured, Unused
from nerface.video import VideoWriter
from tests.data.make import write_tiny_dataset

RATE_HZ = 25.0
SECONDS = 40.0
SCORES = tuple(dict.fromkeys(name for want in WANTS for name in want.shares))


def poses(yaw_deg: np.ndarray, pitch_deg: np.ndarray, roll_deg: np.ndarray) -> np.ndarray:
    """Cameras half a head unit before a head that turns about y, then x, then z."""
    head_to_camera = Rotation.from_euler("YXZ", np.stack([yaw_deg, pitch_deg, roll_deg], axis=1), degrees=True)
    turn = head_to_camera.as_matrix().transpose(0, 2, 1)
    camera_to_head = np.tile(np.eye(4), (len(turn), 1, 1))
    camera_to_head[:, :3, :3] = turn
    camera_to_head[:, :3, 3] = turn @ np.array([0.0, 0.0, 0.5])
    return camera_to_head


def perfect(seconds: float = SECONDS, channels: tuple[str, ...] = (*SCORES, *GAZE_CHANNELS)) -> Evidence:
    """A capture of which nothing is wrong: all turns and expressions come round every ten seconds."""
    count = round(seconds * RATE_HZ)
    phase = 2 * np.pi * np.arange(count) / (10 * RATE_HZ)
    columns = [
        0.4 * np.sin(phase + number) if name in GAZE_CHANNELS else 0.5 - 0.5 * np.cos(phase + number)
        for number, name in enumerate(channels)
    ]
    tests = round(0.15 * count)
    frames = FrameTable(
        splits=("train",) * (count - tests) + ("test",) * tests,
        pictures=(Path("picture.png"),) * count,
        masks=(None,) * count,
        source_frames=np.arange(count),
        timestamps=np.arange(count) / RATE_HZ,
        camera_to_head=poses(31 * np.sin(phase), 21 * np.cos(phase), 11 * np.sin(2 * phase)),
        head_boxes=np.tile([0.1, 0.8, 0.2, 0.8], (count, 1)),
        expressions=np.stack(columns, axis=1),
        channels=channels,
    )
    measured = Measured(
        sharpness=np.full(count, 0.4),
        error_px=np.full(count, 1.0),
        exposure=np.ones((count, 3)),
        segment=np.zeros(count, np.int64),
    )
    figures = {
        "frames": {"decoded": count, "frame_rate": RATE_HZ},
        "reprojection_error": {"rms_px": 1.0, "eye_distance_px": 120.0, "share_of_eye_distance": 1 / 120},
        "plate": {"seen_share": 0.5},
        "camera": {"focal_assumed": False},
    }
    return Evidence(Path("person"), figures, frames, measured, (), {})


def with_frames(evidence: Evidence, **changes: Any) -> Evidence:
    """`evidence` with other columns of its frame table."""
    return replace(evidence, frames=replace(evidence.frames, **changes))


def with_measured(evidence: Evidence, **changes: Any) -> Evidence:
    """`evidence` with other measurements."""
    return replace(evidence, measured=replace(evidence.measured, **changes))


def with_figures(evidence: Evidence, **changes: Any) -> Evidence:
    """`evidence` with other top keys of capture.json."""
    return replace(evidence, figures={**evidence.figures, **changes})


def with_channel(evidence: Evidence, names: tuple[str, ...], values: np.ndarray | float) -> Evidence:
    """`evidence` with other values in some channels."""
    expressions = evidence.frames.expressions.copy()
    for name in names:
        expressions[:, evidence.frames.channels.index(name)] = values
    return with_frames(evidence, expressions=expressions)


def with_unused(evidence: Evidence, reason: str, count: int) -> Evidence:
    """`evidence` of a video that had `count` more frames, not used for `reason`."""
    decoded = len(evidence.frames) + count
    numbers = tuple(range(len(evidence.frames), decoded))
    changed = with_figures(evidence, frames={"decoded": decoded, "frame_rate": RATE_HZ})
    return replace(changed, unused=(Unused(reason, count, numbers),))


def write_capture(folder: Path, figures: dict[str, Any], frames: int = 24, overlay: bool = True) -> Path:
    """A tiny captured dataset with `figures` as its capture.json and, where wanted, an overlay video: frame k of it is
    of grey level 8 k."""
    write_tiny_dataset(folder, frames=frames, size=(64, 48))
    (folder / "capture.json").write_text(json.dumps(figures), encoding="utf-8")
    if overlay:
        with VideoWriter(folder / "overlay.mp4", RATE_HZ, 64, 48) as writer:
            for number in range(frames):
                writer.write(np.full((48, 64, 3), 8 * number, np.uint8))
    return folder
