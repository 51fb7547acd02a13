"""Draws every frame of a split with an avatar, measures it against the truth, and leaves the evidence in a folder."""

from __future__ import annotations

import math
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from nerface.data.dataset import Dataset, Split
from nerface.data.images import write_png
from nerface.driving.views import View
from nerface.errors import UserError
from nerface.evaluation.metrics import Comparison, Scores
from nerface.evaluation.report import ContactSheet
from nerface.evaluation.still import best_still_image
from nerface.evaluation.tables import FrameScores, write_frames_csv, write_summary
from nerface.fields.base import Avatar
from nerface.files import whole_folder
from nerface.progress import SILENT, Progress
from nerface.rendering.sequence import draw
from nerface.types import Camera, Frame
from nerface.video import DEFAULT_FRAME_RATE_HZ, VideoWriter

PERSON_LEVEL = 128  # of a mask's 255
SHEET_ROWS = 6


@dataclass(frozen=True)
class EvaluationOptions:
    """What to draw and keep.

    `latent`: "mean" of the training codes, "zero", "frame:K" (row K of the train split) or "video:K" (temporal frame K
    of the video, by `index_map.npy`; the seed's evaluator uses video:10). `frames` limits how many frames are drawn.
    `precision` is that of `nerface.precision`.
    `replace` allows the folder to hold an earlier evaluation, which is removed once the new one is whole.
    """

    split: str = "test"
    latent: str = "mean"
    save_images: bool = True
    video: bool = True
    frames: int | None = None
    precision: str = "auto"
    replace: bool = False


@dataclass(frozen=True)
class Evaluation:
    """The figures of one evaluation: `frames` in order, `means` over them, and the median time to draw one frame.

    `means.still*` are those of the best still image. `folder` holds `metrics.json`, `metrics.txt`, `frames.csv`,
    `contact_sheet.png`, and, where asked for, `renders/0000.png` and so on, `render.mp4` and `side_by_side.mp4`.
    """

    folder: Path
    frames: tuple[FrameScores, ...]
    means: FrameScores
    seconds_per_frame: float


def evaluate(
    avatar: Avatar,
    dataset: Dataset,
    folder: Path | str,
    options: EvaluationOptions | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Draw `options.split` of `dataset`, compare, and write `folder`, which appears whole or not at all.

    The same avatar, dataset and machine give the same pictures and figures. Raises `UserError` where the folder is
    taken, the split is empty or not loaded, the latent code is not known, or the avatar has other expression channels.
    """
    options = options or EvaluationOptions()
    split = _split_to_draw(dataset, options)
    if avatar.expression_names != dataset.expression_names:
        raise UserError(
            f"{dataset.root} has other expression channels ({len(dataset.expression_names)}) than those this avatar "
            f"was trained on ({len(avatar.expression_names)}): evaluate it on a dataset of the same capture"
        )
    artist = _Artist(avatar, dataset, options)
    still = best_still_image(dataset.train) if "train" in dataset.splits else None
    total = len(split) if options.frames is None else min(options.frames, len(split))
    with _output_folder(Path(folder), options.replace) as out:
        scores = []
        with _Evidence(out, dataset, split, total, options) as evidence:
            progress.start(f"drawing {options.split} frames", total)
            for index in range(total):
                frame = split[index]
                render, seconds = artist.draw(frame)
                evidence.add(index, frame, render)
                scores.append(_score(index, frame, render, still, dataset, seconds))
                progress.advance(note=f"{scores[-1].whole.psnr:.2f} dB")
        means = FrameScores.mean(scores)
        write_frames_csv(out / "frames.csv", scores)
        write_summary(out, means, _settings(options, dataset, avatar, total))
    return Evaluation(Path(folder), tuple(scores), means, statistics.median(score.seconds for score in scores))


def resolve_latent(choice: str, dataset: Dataset) -> str:
    """`choice` with "video:K" turned into the "frame:K" of the same picture; others unchanged."""
    kind, _, number = choice.partition(":")
    if kind != "video":
        return choice
    if dataset.index_map is None:
        raise UserError(f"latent code '{choice}' needs {dataset.root / 'index_map.npy'}, which is missing")
    rows = dataset.index_map[dataset.index_map[:, 0] == int(number), 1] if number.isdecimal() else np.array([])
    if len(rows) == 0 or rows[0] < 0:
        raise UserError(f"latent code '{choice}': the video has no such frame, or it is not a training frame")
    return f"frame:{int(rows[0])}"


def seen_pixels(frame: Frame, dataset: Dataset) -> Bool[np.ndarray, "height width"]:
    """Where the truth could be known from training: not where the backdrop shows but never did in a training frame.

    Without masks every pixel of the never-seen part counts as backdrop.
    """
    if frame.mask is None:
        return ~dataset.background_unseen
    return ~dataset.background_unseen | (frame.mask >= PERSON_LEVEL)


def _split_to_draw(dataset: Dataset, options: EvaluationOptions) -> Split:
    split = dataset.splits.get(options.split)
    if split is None or len(split) == 0 or options.frames == 0:
        raise UserError(f"{dataset.root} has no frames in the split '{options.split}'")
    return split


class _Artist:
    """Draws frames as uint8, all of them with one latent code, and times it."""

    def __init__(self, avatar: Avatar, dataset: Dataset, options: EvaluationOptions) -> None:
        self.avatar, self.intrinsics, self.precision = avatar, dataset.intrinsics, options.precision
        self.latent = avatar.latent(resolve_latent(options.latent, dataset))
        size = (dataset.intrinsics.height, dataset.intrinsics.width)
        # The dataset's plate, so that putting another picture there changes the backdrop (as in the seed).
        if dataset.background is not None:
            self.background = torch.from_numpy(dataset.background).to(avatar.device).float() / 255
        elif avatar.plate().shape[:2] == size:
            self.background = avatar.plate()
        else:
            raise UserError(f"{dataset.root} has no background plate, and the avatar's has another size")

    def draw(self, frame: Frame) -> tuple[UInt8[np.ndarray, "height width 3"], float]:
        start = time.perf_counter()
        camera = Camera(self.intrinsics, torch.from_numpy(frame.camera_to_head.copy()))
        view = View(camera, torch.from_numpy(frame.expression.copy()))
        training = self.avatar.training
        self.avatar.eval()
        try:
            picture = draw(self.avatar, view, self.latent, self.precision, self.background).numpy()
        except UserError as error:
            raise UserError(f"frame {frame.name}: {error}") from None
        finally:
            self.avatar.train(training)
        return picture, time.perf_counter() - start  # the picture is on the CPU: the device has done its work


class _Evidence:
    """The pictures and videos of an evaluation, written as frames come."""

    def __init__(self, out: Path, dataset: Dataset, split: Split, total: int, options: EvaluationOptions) -> None:
        self.out, self.options, self.stack = out, options, ExitStack()
        width, height = dataset.intrinsics.width, dataset.intrinsics.height
        rate = _frame_rate(split, dataset)
        self.render_video = VideoWriter(out / "render.mp4", rate, width, height)
        self.pair_video = VideoWriter(out / "side_by_side.mp4", rate, 2 * width, height)
        self.sheet = ContactSheet()
        self.sheet_rows = set(np.linspace(0, total - 1, min(SHEET_ROWS, total)).round().astype(int).tolist())

    def __enter__(self) -> _Evidence:
        if self.options.video:
            with ExitStack() as stack:
                stack.enter_context(self.render_video)
                stack.enter_context(self.pair_video)
                self.stack = stack.pop_all()
        return self

    def add(self, index: int, frame: Frame, render: UInt8[np.ndarray, "height width 3"]) -> None:
        if self.options.save_images:
            write_png(self.out / "renders" / f"{index:04d}.png", render)
        if self.options.video:
            self.render_video.write(render)
            self.pair_video.write(np.concatenate([frame.image, render], axis=1))
        if index in self.sheet_rows:
            self.sheet.add(frame.image, render, f"frame {frame.source_frame if frame.source_frame >= 0 else index}")

    def __exit__(self, *error: object) -> None:
        self.stack.__exit__(*error)  # type: ignore[arg-type]
        if error[0] is None:
            write_png(self.out / "contact_sheet.png", self.sheet.image())


def _frame_rate(split: Split, dataset: Dataset) -> float:
    """Of the split as loaded: from its time stamps (frames may be skipped), else the video's, else 25 Hz."""
    steps = np.diff(split.timestamps)
    if len(steps) and np.isfinite(steps).all() and np.median(steps) > 0:
        return float(1 / np.median(steps))
    return dataset.frame_rate or DEFAULT_FRAME_RATE_HZ


def _score(
    index: int,
    frame: Frame,
    render: UInt8[np.ndarray, "height width 3"],
    still: UInt8[np.ndarray, "height width 3"] | None,
    dataset: Dataset,
    seconds: float,
) -> FrameScores:
    comparison = Comparison(render, frame.image)
    whole, head = comparison.whole(), comparison.inside(frame.head_box)
    seen = comparison.where(seen_pixels(frame, dataset)) if dataset.background_unseen.any() else whole
    baseline = baseline_head = Scores(math.nan, math.nan, math.nan)
    if still is not None:
        against = Comparison(still, frame.image)
        baseline, baseline_head = against.whole(), against.inside(frame.head_box)
    return FrameScores(index, frame.source_frame, whole, head, seen, baseline, baseline_head, seconds)


def _settings(options: EvaluationOptions, dataset: Dataset, avatar: Avatar, total: int) -> dict[str, object]:
    return {
        "split": options.split,
        "frames": total,
        "latent": options.latent,
        "image_size": [dataset.intrinsics.width, dataset.intrinsics.height],
        "head_boxes": "stored" if dataset.head_boxes_stored else "estimated from training boxes and poses",
        "never_seen_share": float(dataset.background_unseen.mean()),
        "precision": options.precision,
        "device": str(avatar.device),
    }


@contextmanager
def _output_folder(folder: Path, replace: bool) -> Iterator[Path]:
    if not (replace and folder.is_dir() and any(folder.iterdir())):
        with whole_folder(folder) as out:
            yield out
        return
    if not (folder / "metrics.json").exists():
        raise UserError(f"{folder} holds something other than an evaluation, which is not replaced: choose another")
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    with whole_folder(fresh) as out:
        yield out
    shutil.rmtree(folder)
    os.replace(fresh, folder)
