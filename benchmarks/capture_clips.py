"""Accuracy, jitter, speed and failures of capture over many clips: capture_clips.py SHARED OUT [options]

Captures every clip of SHARED/data/clips, the clips with ground truth of SHARED/data/groundtruth and of any --truth
folders (see ground_truth_clip.py), and hard clips made on the fly from obama_450; writes OUT/capture_clips.md (the
tables) and OUT/capture_clips.json (all figures), and prints the tables. No picture of any clip is written.

--quick takes the first 60 frames of each clip.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from capture_accuracy import Truth, pose_errors
from clip_tables import all_tables
from hard_clips import HardClip, write_hard_clips

from nerface.files import read_json, write_json
from nerface.weights import find_weights

QUICK_FRAMES = 60
HARD_FRAMES = 75
HARD_SOURCE = "obama_450.mp4"
MOVIES = (".mp4", ".mov", ".webm", ".mkv", ".avi")


@dataclass(frozen=True)
class Work:
    """Where things are: `scratch` for datasets (removed after each clip) and `frames` the limit per clip (0 = none)."""

    scratch: Path
    frames: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--truth", type=Path, action="append", default=[], help="a further folder of NAME.mp4 and "
                        "NAME_gt.npz; may be given again")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help=f"the first {QUICK_FRAMES} frames of each clip only")
    parser.add_argument("--only", choices=("truth", "real", "hard"), action="append", help="only this group")
    arguments = parser.parse_args()
    groups = arguments.only or ["truth", "real", "hard"]
    folders = [arguments.shared / "data" / "groundtruth", *arguments.truth]
    arguments.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="capture_clips_") as scratch:
        work = Work(Path(scratch), QUICK_FRAMES if arguments.quick else 0)
        results: dict[str, Any] = {"quick": arguments.quick}
        if "truth" in groups:
            clips = [(clip, _truth_of(clip)) for folder in folders for clip in sorted(folder.glob("*.mp4"))]
            results["truth"] = {clip.stem: measured(work, clip, truth) for clip, truth in clips if truth.exists()}
        clips_folder = arguments.shared / "data" / "clips"
        if "real" in groups:
            clips = sorted(clip for clip in clips_folder.iterdir() if clip.suffix in MOVIES)
            results["real"] = {clip.stem: measured(work, clip) for clip in clips}
        if "hard" in groups:
            results["hard"] = hard_results(work, clips_folder / HARD_SOURCE)
    results["minutes"] = (time.perf_counter() - start) / 60
    tables = all_tables(results)
    write_json(arguments.out / "capture_clips.json", results)
    (arguments.out / "capture_clips.md").write_text(tables)
    print(tables)


def _truth_of(clip: Path) -> Path:
    return clip.with_name(f"{clip.stem}_gt.npz")


def hard_results(work: Work, video: Path) -> dict[str, Any]:
    """Figures of the plain clip and of each hard clip, with how far its poses are from the plain clip's.

    Two at a time: their speed is not reported.
    """
    _say("making the hard clips")
    frames = QUICK_FRAMES if work.frames else HARD_FRAMES
    plain, clips = write_hard_clips(video, work.scratch / "hard", find_weights().selfie_segmentation, frames)
    unlimited = Work(work.scratch, 0)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(measured, unlimited, plain)
        others = list(pool.map(lambda clip: measured(unlimited, clip.path), clips))
    results = {"plain": {**first.result(), "what": f"the first {frames} frames of {video.stem}"}}
    for clip, result in zip(clips, others):
        result.update(what=clip.what, faulty=list(clip.faulty))
        if clip.same_pose and "refused" not in result:
            result["beside_plain_deg"] = _beside(_poses_file(work, plain), _poses_file(work, clip.path), clip)
        results[clip.name] = result
    return results


def measured(work: Work, video: Path, truth: Path | None = None) -> dict[str, Any]:
    """Figures of one capture, made by a process of its own; its poses are left in `_poses_file`."""
    place = work.scratch / video.stem
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    source = _shortened(video, place / f"short{video.suffix}", work.frames) if work.frames else video
    names = {"video": source, "folder": place / "dataset", "result": place / "result.json",
             "poses": _poses_file(work, video), "truth": truth or ""}  # fmt: skip
    write_json(place / "spec.json", {name: str(value) for name, value in names.items()})
    worker = Path(__file__).with_name("clip_worker.py")
    start = time.perf_counter()
    done = subprocess.run([sys.executable, str(worker), str(place / "spec.json")], capture_output=True, text=True)
    shutil.rmtree(place / "dataset", ignore_errors=True)
    if done.returncode or not (place / "result.json").exists():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        figures: dict[str, Any] = {"refused": f"FAILED: {last}"}
    else:
        figures = read_json(place / "result.json")
        if "refused" in figures:
            figures["refused"] = f"refused: {figures['refused']}"
    _say(f"{video.stem}: {figures.get('refused', 'done')}, {time.perf_counter() - start:.0f} s")
    return figures


def _poses_file(work: Work, video: Path) -> Path:
    return work.scratch / video.stem / "poses.npz"


def _shortened(video: Path, short: Path, frames: int) -> Path:
    """The first frames of a video, copied as they are coded."""
    short.unlink(missing_ok=True)
    with av.open(str(video)) as source, av.open(str(short), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        left = frames
        for packet in source.demux(stream):
            if packet.dts is None or left == 0:
                break
            packet.stream = copy
            target.mux(packet)
            left -= 1
    return short


def _beside(base: Path, poses: Path, clip: HardClip) -> float | None:
    """Mean rotation, degrees, between a hard clip's poses and the plain clip's, one constant rotation removed."""
    if not base.exists():  # the plain clip could not be captured
        return None
    with np.load(base) as plain, np.load(poses) as hard:
        frames = int(max(plain["numbers"].max(), clip.source.max())) + 1
        turn, place = np.tile(np.eye(3), (frames, 1, 1)), np.zeros((frames, 3))
        inverse = plain["camera_to_head"][:, :3, :3].transpose(0, 2, 1)
        turn[plain["numbers"]] = inverse
        place[plain["numbers"]] = -np.einsum("nij,nj->ni", inverse, plain["camera_to_head"][:, :3, 3])
        place /= float(plain["units_per_cm"])
        numbers = clip.source[hard["numbers"]]
        both = np.isin(numbers, plain["numbers"]) & ~np.isin(hard["numbers"], clip.faulty)
        if both.sum() < 3:
            return None
        truth = Truth(turn, place, float(plain["focal"]))
        errors = pose_errors(hard["camera_to_head"][both], truth, float(hard["units_per_cm"]), numbers=numbers[both])
    return errors.mean_rotation_deg


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
