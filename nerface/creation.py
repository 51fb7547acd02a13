"""The main job: a video in, an avatar with its evidence out."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from nerface.capture import CaptureOptions, capture
from nerface.capture.landmarker import FaceLandmarker
from nerface.capture.video import probe
from nerface.checkpoint import load_avatar
from nerface.config import RunConfig, first_difference, to_json
from nerface.data.dataset import Dataset
from nerface.data.images import read_image
from nerface.driving.repose import camera_angles, fit_pose_share
from nerface.driving.views import circled
from nerface.errors import UserError
from nerface.evaluation.evaluate import EvaluationOptions, evaluate
from nerface.evaluation.faces import check_faces
from nerface.fields import Avatar, make_ready
from nerface.files import read_json, refuse_existing, write_json
from nerface.progress import SILENT, Progress
from nerface.rendering.sequence import SequenceOptions, render_video
from nerface.training.begin import load_for
from nerface.training.curves import write_training_curves
from nerface.training.loop import train
from nerface.video import DEFAULT_FRAME_RATE_HZ
from nerface.weights import find_weights, sha256_of

RECORD = "create.json"
SHOWCASE_SHARE = 0.8  # the showcase turns the camera by this share of the yaw and pitch seen in training


@dataclass(frozen=True)
class CreateOptions:
    """Choices of `create`: those of its stages, and `max_train_seconds` where training ends before its steps do."""

    config: RunConfig
    capture: CaptureOptions = dataclasses.field(default_factory=CaptureOptions)
    device: str = "cpu"
    max_train_seconds: float | None = None


@dataclass(frozen=True)
class Created:
    """What `create` leaves in its folder; `finished` is False where it was stopped (resume it)."""

    folder: Path
    dataset: Path
    avatar: Path
    evaluation: Path
    video: Path
    finished: bool


def create(
    video: Path,
    folder: Path,
    options: CreateOptions,
    *,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = SILENT,
) -> Created:
    """Capture `video`, train an avatar, evaluate it on the held-out frames and render a video, all into `folder`.

    `folder` gets dataset/, run/ (with avatar.safetensors), evaluation/ and showcase.mp4. Each stage appears whole, so
    that a `create` stopped at any moment goes on with `resume` where it was.

    Raises `UserError` for bad input, and where `folder` holds something (another run; or this one, without `resume`).
    """
    make_ready(options.config.avatar, torch.device(options.device))  # before minutes of capture
    fresh = _claim(video, folder, options, resume)
    run, faces = folder / "run", folder / "faces.json"
    paths = Created(
        folder=folder,
        dataset=folder / "dataset",
        avatar=run / "avatar.safetensors",
        evaluation=folder / "evaluation",
        video=folder / "showcase.mp4",
        finished=True,
    )
    if not paths.dataset.exists():
        try:
            capture(video, paths.dataset, options.capture, progress)
        except UserError:
            if fresh:
                _give_up(folder)
            raise
    dataset = load_for(options.config, paths.dataset, progress)
    if not paths.avatar.exists():
        result = train(
            dataset,
            run,
            options.config,
            device=options.device,
            resume=True,  # also begins a run, and one that was killed before its first file was whole
            max_seconds=options.max_train_seconds,
            stop=stop,
            progress=progress,
        )
        if not result.finished:
            return dataclasses.replace(paths, finished=False)
    if not (run / "curves.png").exists():
        write_training_curves(run)
    avatar = load_avatar(paths.avatar, options.device)
    if not paths.evaluation.exists():
        evaluate(avatar, dataset, paths.evaluation, EvaluationOptions(), progress)
    if not faces.exists():
        write_json(faces, check_rendered_faces(paths.evaluation, dataset, options.capture.weights))
    if not paths.video.exists():
        showcase(avatar, dataset, paths.video, progress)
    return paths


def _claim(video: Path, folder: Path, options: CreateOptions, resume: bool) -> bool:
    """Make `folder` this job's (True), or check that it already is (False). Bad input is refused before it exists."""
    options.capture.check()
    probe(video)
    record = {
        "video": video.name,
        "sha256": sha256_of(video),
        "config": to_json(options.config),
        "capture": _capture_record(options.capture),
    }
    file = folder / RECORD
    if not file.exists():
        if not (resume and untouched(folder)):
            refuse_existing(folder)
        find_weights(options.capture.weights)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, record)
        return True
    saved = read_json(file)
    if not isinstance(saved, dict) or saved.keys() != record.keys():
        raise UserError(f"{file} is not one that `nerface create` wrote: choose a new folder")
    if not resume:
        raise UserError(
            f"{folder} already holds a run of {saved['video']}: add --resume to go on with it, or choose a new folder"
        )
    if saved != record:
        raise UserError(
            f"{folder} was begun differently ({first_difference(saved, record)}): resume it with the same, "
            "or choose a new folder"
        )
    return False


def _capture_record(options: CaptureOptions) -> dict[str, Any]:
    """The choices that decide what a dataset becomes."""
    choices = dataclasses.asdict(options)
    for name in ("weights", "threads", "device"):  # where the networks lie and how they run are this machine's affair
        choices.pop(name)
    choices["plate"] = None if options.plate is None else sha256_of(options.plate)
    return choices


def untouched(folder: Path) -> bool:
    """Whether a job was stopped before its first file was whole: it goes on from the beginning."""
    return not folder.exists() or (
        folder.is_dir() and all(path.name.startswith(".partial-") for path in folder.iterdir())
    )


def _give_up(folder: Path) -> None:
    """Take back a folder in which nothing came to be, so that another try finds its name free."""
    shutil.rmtree(folder / ".capture-dataset", ignore_errors=True)
    (folder / RECORD).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody else put something there
        folder.rmdir()


def check_rendered_faces(evaluation: Path, dataset: Dataset, weights: Path | None) -> dict[str, Any]:
    """Let the landmark net judge the renders of the test frames against the frames themselves (JSON values)."""
    landmarker = FaceLandmarker(find_weights(weights).face_landmarker)
    renders = (read_image(file) for file in sorted((evaluation / "renders").glob("*.png")))
    check = check_faces(renders, (np.asarray(frame.image) for frame in dataset.splits["test"]), landmarker)
    value = dataclasses.asdict(check)
    value["correlations"] = {name: number for name, number in check.correlations.items() if np.isfinite(number)}
    return {name: (None if isinstance(item, float) and not np.isfinite(item) else item) for name, item in value.items()}


def showcase(avatar: Avatar, dataset: Dataset, path: Path, progress: Progress = SILENT) -> Path:
    """The held-out expressions, seen by a camera that circles within the angles of the training frames."""
    seen = dataset.train
    yaw, pitch = SHOWCASE_SHARE * pose_spread(seen.camera_to_head)
    split = dataset.splits["test"] if len(dataset.splits.get("test", ())) else seen
    share = fit_pose_share(seen.camera_to_head, seen.expressions)
    views = list(circled(avatar.subject, split, share, yaw, pitch))
    options = SequenceOptions(frame_rate=dataset.frame_rate or DEFAULT_FRAME_RATE_HZ)
    return render_video(avatar, views, path, options, progress)


def pose_spread(camera_to_head: Float[np.ndarray, "frames 4 4"]) -> Float[np.ndarray, " 2"]:
    """Half the 5 % to 95 % range of where the cameras stand round the head: yaw and pitch in degrees."""
    low, high = np.degrees(np.quantile(camera_angles(camera_to_head), [0.05, 0.95], axis=0))
    return np.asarray((high - low) / 2)
