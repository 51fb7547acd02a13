"""One capture, measured, in a process of its own (so that its peak memory is its own): clip_worker.py SPEC.json

SPEC names `video`, `folder` (of the dataset), `result` (the JSON to write), `poses` (the npz to write), and may name
`truth` (a _gt.npz). Used by capture_clips.py.
"""

from __future__ import annotations

import dataclasses
import json
import math
import resource
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from capture_accuracy import PoseAccuracy, clip_errors, pose_jitter, read_truth
from clip_metrics import agreement, landmark_jitter_px, skin_rms_px

from nerface.capture import CaptureOptions, pipeline
from nerface.capture.face_track import FaceTrack
from nerface.capture.report import eye_distance
from nerface.capture.solving import SolvedClip, solve_clip
from nerface.errors import UserError
from nerface.files import read_json, write_json
from nerface.weights import find_weights

# Channel of the capture, and how it follows from the truth: (capture's name, name in `names`) for weights ...
WEIGHT_CHANNELS = (("eyeBlinkLeft", "eyeBlink_L"), ("eyeBlinkRight", "eyeBlink_R"), ("jawOpen", "jawOpen"),
                   ("mouthSmileLeft", "mouthSmile_L"), ("browInnerUp", "browInnerUp_L"))  # fmt: skip
# ... and (name, subject's side, yaw or pitch, sign) for `gaze` [N, 2, 2], whose pitch is positive upwards.
GAZE_CHANNELS = (
    ("leftEyeYaw", 0, 0, 1.0),
    ("rightEyeYaw", 1, 0, 1.0),
    ("leftEyePitch", 0, 1, -1.0),
    ("rightEyePitch", 1, 1, -1.0),
)


GAMMA = 2.2  # of sRGB, about


class Tasks:
    """A `Progress` that times the tasks it hears of."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._task, self._since = "", 0.0

    def start(self, task: str, total: int) -> None:
        self.stop()
        self._task, self._since = task, time.perf_counter()

    def advance(self, steps: int = 1, note: str = "") -> None:
        pass

    def say(self, line: str) -> None:
        pass

    def stop(self) -> None:
        """The last task has ended."""
        if self._task:
            spent = time.perf_counter() - self._since
            self.seconds[self._task] = self.seconds.get(self._task, 0.0) + spent


def main() -> None:
    spec = read_json(Path(sys.argv[1]))
    kept: list[tuple[FaceTrack, SolvedClip]] = []

    def recording(track: FaceTrack, *rest: Any, **named: Any) -> SolvedClip:
        solved = solve_clip(track, *rest, **named)
        kept.append((track, solved))
        return solved

    tasks, start = Tasks(), time.perf_counter()
    try:
        with patch.object(pipeline, "solve_clip", recording):
            pipeline.capture(Path(spec["video"]), Path(spec["folder"]), CaptureOptions(threads=2), tasks)
    except UserError as error:
        write_json(Path(spec["result"]), {"refused": str(error)})
        return
    tasks.stop()
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss / 1024  # MB; the figure is in kB on Linux
    track, solved = kept[-1]
    result = {
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mb": peak,
        "tasks": tasks.seconds,
        **_figures(track, solved),
    }
    result["capture"] = read_json(Path(spec["folder"]) / "capture.json")
    if spec.get("truth"):
        result.update(_against_truth(track, solved, Path(spec["truth"]), Path(spec["folder"])))
    np.savez(spec["poses"], camera_to_head=solved.camera_to_head, numbers=solved.numbers,
             units_per_cm=solved.units_per_cm, focal=solved.focal)  # fmt: skip
    write_json(Path(spec["result"]), json.loads(json.dumps(_plain(result))))


def _figures(track: FaceTrack, solved: SolvedClip) -> dict[str, Any]:
    eyes = eye_distance(solved.landmarks)
    jitter = pose_jitter(solved.camera_to_head[_longest_run(solved.numbers)], solved.units_per_cm)
    return {
        "frames": len(track),
        "used": len(solved),
        "eyes_px": eyes,
        "rms_share": solved.rms_px / eyes,
        "held_out_share": solved.held_out_rms_px / eyes,
        "skin_px": skin_rms_px(track, solved),
        "jitter": {**dataclasses.asdict(jitter), "landmarks_px": landmark_jitter_px(solved)},
        "segments": int(track.segment[solved.numbers].max() - track.segment[solved.numbers].min() + 1),
        "dropped": solved.dropped.as_json(),
        "focal_px": solved.focal,
    }


def _longest_run(numbers: np.ndarray) -> slice:
    """The longest stretch of frames without a gap."""
    ends = np.flatnonzero(np.diff(numbers, append=numbers[-1] + 2) != 1) + 1
    starts = np.concatenate([[0], ends[:-1]])
    longest = int(np.argmax(ends - starts))
    return slice(int(starts[longest]), int(ends[longest]))


def _against_truth(track: FaceTrack, solved: SolvedClip, truth_file: Path, folder: Path) -> dict[str, Any]:
    truth = read_truth(truth_file)
    rate = solved.frame_rate
    given = solve_clip(track, find_weights().face_landmarker, truth.focal, rate)
    return {
        "accuracy": _accuracy(clip_errors(solved, truth)),
        "accuracy_focal_given": _accuracy(clip_errors(given, truth)),
        "channels": {**_channels(truth_file, folder), **_exposure(truth_file, folder, solved.numbers)},
    }


def _accuracy(errors: PoseAccuracy) -> dict[str, float]:
    return {
        "rotation_mean_deg": errors.mean_rotation_deg,
        "rotation_median_deg": errors.median_rotation_deg,
        "across_mm": errors.mean_across_mm,
        "depth_mm": errors.mean_depth_mm,
        "pitch_gain": errors.pitch_gain,
        "yaw_gain": errors.yaw_gain,
        "focal_error": errors.focal_error,
    }


def _channels(truth_file: Path, folder: Path) -> dict[str, list[float]]:
    """Correlation and slope of the dataset's expression channels against the truth, where it moves."""
    files = [read_json(folder / f"transforms_{split}.json") for split in ("train", "val", "test")]
    names = files[0]["expression_names"]
    frames = sorted((frame for file in files for frame in file["frames"]), key=lambda frame: frame["source_frame"])
    values = np.array([frame["expression"] for frame in frames])
    numbers = np.array([frame["source_frame"] for frame in frames])
    with np.load(truth_file, allow_pickle=False) as truth:
        shapes, weights = [str(name) for name in truth["names"]], truth["e"][numbers]
        gaze = truth["gaze"][numbers] if "gaze" in truth.files else None
    pairs = [(name, weights[:, shapes.index(shape)]) for name, shape in WEIGHT_CHANNELS]
    if gaze is not None:
        pairs += [(name, sign * gaze[:, side, axis]) for name, side, axis, sign in GAZE_CHANNELS]
    found = {name: agreement(values[:, names.index(name)], true) for name, true in pairs if name in names}
    return {name: list(figures) for name, figures in found.items() if figures is not None}


def _exposure(truth_file: Path, folder: Path, numbers: np.ndarray) -> dict[str, list[float]]:
    """Correlation and slope of the logarithm of the exposure that capture found, where the truth's changes.

    Capture's is a factor on stored values, the truth's one on light: its 2.2th root, about, on stored values.
    """
    found = read_json(folder / "capture.json").get("per_frame", {}).get("exposure")
    with np.load(truth_file, allow_pickle=False) as truth:
        if found is None or "exposure" not in truth.files:
            return {}
        true = np.log(truth["exposure"][numbers].mean(axis=1)) / GAMMA
    figures = agreement(np.log(np.array(found, float).mean(axis=1)), true)
    return {} if figures is None else {"exposure": list(figures)}


def _plain(value: Any) -> Any:
    """JSON has no NaN: None instead."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value


if __name__ == "__main__":
    main()
