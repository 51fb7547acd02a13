"""Makes the sample clip: a video file and the truth about every frame of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from nerface.errors import UserError
from nerface.files import whole_file, write_json
from nerface.progress import SILENT, Progress
from nerface.sample.model import Subject, build_subject, pose_subject
from nerface.sample.motion import FRAME_RATE, FRAMES, Motion, make_motion, pose_at
from nerface.sample.raster import draw
from nerface.sample.room import paint_room
from nerface.sample.shapes import CHANNELS
from nerface.sample.skin import paint_texture
from nerface.types import Intrinsics
from nerface.video import VideoWriter

VERSION = 1  # raised whenever the clip's pictures or truth change
SIZE_PX = 320
FOCAL_PX = 440.0
CAMERA = Intrinsics(FOCAL_PX, FOCAL_PX, 0.5, 0.5, SIZE_PX, SIZE_PX)
CRF = 14  # H.264 quality: close to the drawn picture
WORKERS = 2
VIDEO_NAME, TRUTH_NAME, STAMP_NAME = "sample.mp4", "sample_truth.npz", "sample.json"


@dataclass(frozen=True)
class SampleClip:
    """Where the clip lies: `video` (H.264 MP4) and `truth` (NPZ, see `write_truth`)."""

    video: Path
    truth: Path


@dataclass(frozen=True)
class _Stage:
    """All that frames share."""

    subject: Subject
    motion: Motion
    texture: Float[np.ndarray, "rows columns 3"]
    room: Float[np.ndarray, "height width 3"]
    seed: int


def make_sample_clip(
    folder: Path | str, *, frames: int | None = None, seed: int = 0, progress: Progress = SILENT
) -> SampleClip:
    """Draw the sample subject into `folder`/sample.mp4, with sample_truth.npz beside it; give their places.

    The whole performance has `FRAMES` frames at `FRAME_RATE` Hz; `frames` takes only the first ones. The same arguments
    give the same pictures. Nothing is drawn where both files of the same version and arguments are there already; each
    file appears whole or not at all. Raises `UserError` for fewer than one frame.
    """
    count = FRAMES if frames is None else frames
    if count < 1:
        raise UserError(f"a sample clip of {count} frames cannot be made: ask for at least one")
    folder = Path(folder)
    clip = SampleClip(folder / VIDEO_NAME, folder / TRUTH_NAME)
    stamp = {"version": VERSION, "frames": count, "seed": seed}
    stamp_file = folder / STAMP_NAME
    if clip.video.is_file() and clip.truth.is_file() and _read_stamp(stamp_file) == stamp:
        return clip
    stamp_file.unlink(missing_ok=True)  # it vouches for both files, so it goes first and comes last
    stage = _set_stage(count, seed)
    progress.start("drawing the sample subject", count)
    with whole_file(clip.truth) as truth:  # in place only once the video is
        write_truth(truth, stage.motion)
        with VideoWriter(clip.video, FRAME_RATE, SIZE_PX, SIZE_PX, crf=CRF) as video:
            for image in _draw_frames(stage, count):
                video.write(image)
                progress.advance()
    write_json(stamp_file, stamp)
    return clip


def sample_frames(frames: int, seed: int = 0) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The first `frames` pictures of the clip as they are before encoding."""
    yield from _draw_frames(_set_stage(frames, seed), frames)


def write_truth(path: Path, motion: Motion) -> None:
    """What is known of every frame, as an NPZ of plain arrays.

    `camera_to_head` [N, 4, 4] in head axes of the model (cm), `intrinsics` [fx, fy (px), cx, cy (fractions)], `size`
    [W, H], `frame_rate` (Hz), `expression_names` [K] (ARKit's), `expressions` [N, K] in [0, 1].
    """
    poses = [np.linalg.inv(pose_at(motion, k).head_to_camera) for k in range(len(motion.angles))]
    with whole_file(path) as partial, open(partial, "wb") as stream:
        np.savez(
            stream,
            camera_to_head=np.stack(poses),
            intrinsics=np.array([CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy]),
            size=np.array([CAMERA.width, CAMERA.height]),
            frame_rate=np.array(FRAME_RATE),
            expression_names=np.array(CHANNELS),
            expressions=motion.weights,
        )


def _set_stage(frames: int, seed: int) -> _Stage:
    skin, room, motion = (np.random.default_rng([seed, k]) for k in range(3))
    return _Stage(
        build_subject(),
        make_motion(frames, motion),
        paint_texture(skin),
        paint_room(CAMERA.width, CAMERA.height, room),
        seed,
    )


def _draw_frame(stage: _Stage, frame: int) -> UInt8[np.ndarray, "height width 3"]:
    weights = dict(zip(CHANNELS, stage.motion.weights[frame].tolist()))
    mesh = pose_subject(stage.subject, weights, pose_at(stage.motion, frame))
    picture = draw(mesh, stage.texture, stage.room, CAMERA)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _draw_frames(stage: _Stage, frames: int) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Frames in order; a few are drawn at once, since NumPy lets go of the interpreter in its large operations."""
    with ThreadPoolExecutor(WORKERS) as pool:
        ahead = WORKERS * 2
        waiting = [pool.submit(_draw_frame, stage, k) for k in range(min(ahead, frames))]
        for k in range(frames):
            image = waiting.pop(0).result()
            if k + ahead < frames:
                waiting.append(pool.submit(_draw_frame, stage, k + ahead))
            yield image


def _read_stamp(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
