"""The content of `capture.json`: what a capture found, in figures, for people and for the report's page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from nerface import __version__
from nerface.capture.backdrop import Scene
from nerface.capture.clip import Clip
from nerface.capture.options import CaptureOptions
from nerface.capture.report import CaptureReport, eye_distance, pose_ranges, score_ranges, span


def capture_figures(report: CaptureReport, clip: Clip, scene: Scene, options: CaptureOptions) -> dict[str, Any]:
    """All figures as JSON values; lists under "per_frame" hold one value for each used frame."""
    reader, solved, crop = clip.source.reader, clip.solved, clip.crop
    info = reader.info
    return {
        "nerface_version": __version__,
        "source": {"file": reader.path.name, "sha256": clip.source.sha256, **asdict(info)},
        "video": {"notes": list(reader.notes)},
        "options": {name: value for name, value in asdict(options).items() if name not in PATHS},
        "frames": {
            "decoded": report.frames_decoded,
            "used": report.frames_used,
            "dropped": solved.dropped.as_json(),
            "splits": report.splits,
            "frame_rate": solved.frame_rate,
        },
        "reprojection_error": {
            "rms_px": report.rms_px,
            "share_of_eye_distance": report.rms_share,
            "held_out_rms_px": _number(solved.held_out_rms_px),
            "held_out_share_of_eye_distance": _number(report.held_out_share),
            "eye_distance_px": eye_distance(solved.landmarks),
            "frame_rms_px": span(solved.frame_rms_px),
            "measured_in": "px of the upright frame as decoded",
        },
        "camera": {
            "focal_px": solved.focal,
            "focal_over_longer_side": solved.focal / max(info.width, info.height),
            "focal_assumed": solved.focal_assumed,
            "head_units_per_cm": solved.units_per_cm,
        },
        "crop": {**asdict(crop), "scale": crop.scale, "size_wanted": options.size},
        "pose": pose_ranges(solved.camera_to_head),
        "skin_points": solved.spots,
        "plate": {"seen_share": report.plate_seen},
        "backdrop": scene.figures(),
        "scores": score_ranges(solved.names, solved.scores),
        "segments": int(clip.track.segment.max()) + 1 if len(clip.track) else 0,
        "per_frame": _per_frame(clip, scene),
        "seconds": report.seconds,
    }


PATHS = ("weights", "plate")  # paths of this machine say nothing about the dataset


def _per_frame(clip: Clip, scene: Scene) -> dict[str, list[Any]]:
    solved, numbers = clip.solved, clip.solved.numbers
    return {
        "source_frame": numbers.tolist(),
        "timestamp": [round(float(time), 4) for time in solved.timestamps],
        "split": [place.split for place in clip.places],
        "segment": clip.track.segment[numbers].tolist(),
        "presence": _rounded(clip.track.presence[numbers]),
        "sharpness": _rounded(clip.track.sharpness[numbers]),
        "frame_rms_px": _rounded(solved.frame_rms_px),
        "exposure": [_rounded(gains) for gains in scene.exposure.gains],
    }


def _rounded(values: np.ndarray) -> list[float | None]:
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
