"""A take of Live Link Face becomes a dataset: poses from our capture of its video, expressions from its table.

The table tells what ARKit's depth camera saw of the face, but neither where the head was nor the camera. So the video
is captured like any other (or has been), and the expressions of that dataset are replaced, sample by sample in time.

Source of the take's layout: `LiveLinkFaceMetadata.cpp` of Unreal's MetaHuman plugin:

    SLATE_N_SUBJECT.mov            the video, with a timecode track
    SLATE_N_SUBJECT.csv            the table, or where the app was calibrated ..._cal.csv, ..._raw.csv, ..._neutral.csv
    take.json, video_metadata.json, audio_metadata.json, frame_log.csv, thumbnail.jpg
"""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import Float

from nerface.capture.options import CaptureOptions
from nerface.driving.track import Track, read_track
from nerface.errors import UserError
from nerface.files import refuse_existing
from nerface.interop.arkit_csv import FaceTake, is_face_table, read_face_table, timecode_seconds
from nerface.interop.openface import find_video
from nerface.interop.replaced_expressions import Replacement, replace_expressions
from nerface.interop.take_sync import SAME_TAKE, SEARCHED_S, agreement
from nerface.interop.tracked_dataset import ImportReport
from nerface.progress import SILENT, Progress
from nerface.weights import sha256_of

FORM = "arkit"
WANTED = "a table (.csv) of Live Link Face with Timecode, JawOpen, ... and its video (.mov)"
LONGEST_GAP_S = 0.1  # between samples: the face was lost for longer
LEAST_KNOWN = 0.5  # share of frames for which the table must tell
DAY_S = 86400.0
LEAST_TURN_RAD, AGAINST = 0.05, -0.5  # spread of a head angle that tells of its sign, and the correlation that tells


@dataclass(frozen=True)
class ArkitOptions:
    """`captured` is a dataset that `nerface capture` made of the take's video (None: it is captured now, by `capture`);
    `video` names the video; `sync` is the time in the table (s from its first row) at which the video begins (None: by
    timecode, refined by the face's motion)."""

    captured: Path | None = None
    video: Path | None = None
    sync: float | None = None
    capture: CaptureOptions = field(default_factory=CaptureOptions)


def is_arkit(source: Path) -> bool:
    """Whether `source` is such a table, or a folder with one."""
    return len(_tables(source)) > 0


def _tables(source: Path) -> list[Path]:
    """The tables, the calibrated one first, without those of the neutral face."""
    files = [source] if source.is_file() else sorted(source.glob("*.csv")) if source.is_dir() else []
    files = [file for file in files if not file.stem.endswith("_neutral") and is_face_table(file)]
    return sorted(files, key=lambda file: (not file.stem.endswith("_cal"), file.stem.endswith("_raw"), file.name))


def import_arkit_take(
    source: Path, output: Path, options: ArkitOptions | None = None, progress: Progress = SILENT
) -> ImportReport:
    """Write the dataset `output` from the take in `source` (its folder or table).

    Raises `UserError` where table or video are missing or broken, capture fails, or the table does not follow the face
    of the video.
    """
    options = options or ArkitOptions()
    refuse_existing(output)
    tables = _tables(source)
    if not tables:
        raise UserError(f"{source} holds no table of Live Link Face (.csv with Timecode, JawOpen and so on)")
    take = read_face_table(tables[0])
    stem = take.file.stem.removesuffix("_cal").removesuffix("_raw")
    captured, own = options.captured, options.captured is None
    video = options.video
    if captured is None:
        video = find_video(take.file.parent, options.video, stem)
        captured = _captured(video, output, options, progress)
    track = read_track(captured)
    replacement, notes = _matched(take, track, video, options)
    report = replace_expressions(captured, output, replacement, move=own)
    if own:
        shutil.rmtree(captured, ignore_errors=True)
    notes += [f"table: {take.file.name} ({len(take.times)} samples at {take.rate} Hz, {take.lost} rows without a face)"]
    return ImportReport(FORM, report.counts, report.unused, 1.0, report.intrinsics, tuple(notes))


def _captured(video: Path, output: Path, options: ArkitOptions, progress: Progress) -> Path:
    """The capture of the take's video, beside the output until it is done; taken up if an import stopped after it."""
    from nerface.capture import capture

    folder = output.with_name(f".captured-{output.name}")
    if folder.is_dir() and not _is_capture_of(folder, video, options.capture):
        shutil.rmtree(folder)
    if not folder.is_dir():
        capture(video, folder, options.capture, progress)
    return folder


def _is_capture_of(folder: Path, video: Path, options: CaptureOptions) -> bool:
    """Whether `folder` was captured from this video in this way."""
    try:
        record = json.loads((folder / "capture.json").read_text())
        same = all(getattr(options, name, value) == value for name, value in record["options"].items())
        return same and record["source"]["sha256"] == sha256_of(video)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _matched(take: FaceTake, track: Track, video: Path | None, options: ArkitOptions) -> tuple[Replacement, list[str]]:
    """The take's values for every frame of the dataset, and notes on how they were matched."""
    seconds = _video_times(track)
    start, how = _start(take, video, options)
    searched = 0.0 if options.sync is not None else SEARCHED_S
    _require_overlap(take, start + seconds, searched)
    found = agreement(take, start + seconds, track.expressions, track.expression_names, search=options.sync is None)
    if found.correlation < SAME_TAKE:  # NaN, nothing moves: not told
        raise UserError(
            f"{take.file} does not move as the face of the video does (correlation {found.correlation:.2f} at best): "
            "does it belong to another take, or are its columns others? (--sync states when the video begins)"
        )
    if found.exchanged and not found.mirrored:
        pairs = ", ".join(f"{ours} moves as the table's {theirs}" for ours, theirs in found.exchanged)
        raise UserError(f"{take.file}: columns are exchanged: in the video {pairs}")
    notes = [f"video and table matched {how}" + _moved(found.shift, found.correlation)]
    if found.mirrored:
        notes.append("left and right are exchanged between video and table: is the video mirrored, or the table?")
    start += found.shift
    _require_overlap(take, start + seconds, 0.0)
    values, known = take.at(start + seconds, LONGEST_GAP_S)
    if not known.all():
        notes.append(f"{(~known).sum()} frames are left out: the table shows no face there")
    notes += _head_notes(take, track, start + seconds)
    return Replacement(take.names, values, known, track.splits, track.rows, take.file.name), notes


def _require_overlap(take: FaceTake, times: Float[np.ndarray, " frames"], slack: float) -> None:
    """Raise `UserError` where the table does not tell of most frames, give or take `slack` seconds."""
    inside = ((times >= take.times[0] - slack) & (times <= take.times[-1] + slack)).mean()
    if inside < LEAST_KNOWN:
        raise UserError(
            f"{take.file} tells of {inside:.0%} of the dataset's frames: it lasts from second "
            f"{take.times[0] - times[0]:.2f} to {take.times[-1] - times[0]:.2f} of the video"
        )


def _moved(shift: float, correlation: float) -> str:
    certain = "" if np.isnan(correlation) else f" (correlation of the faces {correlation:.2f})"
    return f", shifted by {1000 * shift:.0f} ms to fit the face's motion{certain}" if shift else certain


def _video_times(track: Track) -> Float[np.ndarray, " frames"]:
    """Seconds from the video's first frame."""
    if np.isfinite(track.times).all():
        return track.times
    if (track.order >= 0).all() and track.frame_rate:
        return np.asarray(track.order / track.frame_rate)
    raise UserError(f"{track.folder} does not tell when its frames were taken: expressions cannot be matched to them")


def _start(take: FaceTake, video: Path | None, options: ArkitOptions) -> tuple[float, str]:
    """The time on the table's clock at which the video begins, and in words how it is known."""
    if options.sync is not None:
        return float(take.times[0]) + options.sync, f"{options.sync:+.3f} s from the table's first row, as stated"
    code = None if video is None else _timecode(video)
    if code is not None:
        first = float(take.times[0])
        start = code + DAY_S * round((first - code) / DAY_S)
        return start, f"by the video's timecode (it begins {start - first:+.3f} s from the table's first row)"
    return float(take.times[0]), "at their beginnings (the video has no timecode)"


def _timecode(video: Path) -> float | None:
    """The timecode of the video's first frame in seconds of the day, None where it has none."""
    try:
        with closing(av.open(str(video))) as container:
            tags: list[dict[str, Any]] = [stream.metadata for stream in container.streams] + [container.metadata]
            rate = next((float(stream.average_rate) for stream in container.streams.video if stream.average_rate), 60.0)
    except (av.error.FFmpegError, OSError):
        return None
    word = next((tag["timecode"] for tag in tags if "timecode" in tag), None)
    try:
        return None if word is None else timecode_seconds(str(word), round(rate), str(video))
    except UserError:
        return None


def _head_notes(take: FaceTake, track: Track, times: Float[np.ndarray, " frames"]) -> list[str]:
    """Whether the table's head turns as the captured one does: its signs matter when it drives an avatar."""
    if take.head is None:
        return ["the table tells nothing of the head's turns (not needed here; as a driver it keeps the head still)"]
    theirs = np.stack([np.interp(times, take.times, column) for column in take.head_rotations()[:, :, 2].T], axis=1)
    ours = np.linalg.inv(track.camera_to_head[:, :3, :3].astype(np.float64))[:, :, 2]
    against = []
    for axis, name in ((0, "HeadYaw"), (1, "HeadPitch")):
        moving = min(ours[:, axis].std(), theirs[:, axis].std()) > LEAST_TURN_RAD
        if moving and np.corrcoef(ours[:, axis], theirs[:, axis])[0, 1] < AGAINST:
            against.append(name)
    return [f"{' and '.join(against)} run against the captured head: as a driver the table needs them turned"] * bool(
        against
    )
