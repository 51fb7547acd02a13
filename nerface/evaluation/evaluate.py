"""Draws every frame of a split with an avatar, measures it against the truth, and leaves the evidence in a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nerface.data.dataset import Dataset, Split
from nerface.data.still import best_still_image
from nerface.errors import UserError
from nerface.evaluation.artist import EXPOSURES, PLATES, POSES, Artist, Manner
from nerface.evaluation.backbones import LpipsFiles
from nerface.evaluation.evidence import Evidence, Kept
from nerface.evaluation.flicker import Flicker, FlickerFigures, number_in_video
from nerface.evaluation.frames import Examiner, FrameScores
from nerface.evaluation.outputs import OUTPUTS
from nerface.evaluation.perceptual import open_judge
from nerface.evaluation.tables import Summary, write_frames_csv, write_summary
from nerface.evaluation.timing import Timing, timing
from nerface.fields.base import Avatar
from nerface.files import whole_folder
from nerface.progress import SILENT, Progress

POSES_IN_WORDS = {
    "captured": "as the dataset gives them",
    "learned": "less the tracker's habit as training found it, no pixel of these frames looked at",
    "refined": "found anew on each of these frames with the field frozen: no prediction of new frames",
}


EXPOSURE_IN_WORDS = {
    "neutral": "the plate's in every frame",
    "captured": "each frame's own, as capture measured it on the backdrop",
}


@dataclass(frozen=True)
class EvaluationOptions:
    """What to draw and keep.

    `latent`: "mean" of the training codes, "zero", "frame:K" (row K of the train split), "video:K" (temporal frame K of
    the video, by `index_map.npy`; the seed's evaluator uses video:10), or "per-frame" (each training frame its own; for
    the split "train" alone). `plate` is the backdrop: the "dataset"'s, the "avatar"'s own, or "auto" (the avatar's
    where it learned one, else the dataset's). `poses`: "captured", as the dataset gives them, "learned", less what
    training found of the tracker's faults (`nerface.capture.refit`), or "refined", found anew on each frame with the
    avatar frozen (`nerface.evaluation.refined_poses`). `exposure`: "neutral", the plate's, or "captured", drawn as
    bright as capture measured each frame. `frames` limits how many frames are drawn. `outputs` are further pictures to
    keep of each (`nerface.evaluation.outputs.OUTPUTS`), `lpips` says where LPIPS finds its networks. `precision` is
    that of `nerface.precision`. `replace` allows the folder to hold an earlier evaluation, which is removed once the
    new one is whole.
    """

    split: str = "test"
    latent: str = "mean"
    plate: str = "auto"
    poses: str = "captured"
    exposure: str = "neutral"
    save_images: bool = True
    video: bool = True
    outputs: tuple[str, ...] = ()
    lpips: LpipsFiles = field(default_factory=LpipsFiles)
    frames: int | None = None
    precision: str = "auto"
    replace: bool = False

    def __post_init__(self) -> None:
        if self.plate not in PLATES:
            raise ValueError(f"plate must be one of {', '.join(PLATES)}: {self.plate}")
        if self.poses not in POSES:
            raise ValueError(f"poses must be one of {', '.join(POSES)}: {self.poses}")
        if self.exposure not in EXPOSURES:
            raise ValueError(f"exposure must be one of {', '.join(EXPOSURES)}: {self.exposure}")
        if not set(self.outputs) <= set(OUTPUTS):
            raise ValueError(f"outputs must be among {', '.join(OUTPUTS)}: {', '.join(self.outputs)}")


@dataclass(frozen=True)
class Evaluation:
    """The figures of one evaluation: `frames` in order, `means` over them, the `timing` of drawing, and `flicker`.

    `means.still*` are those of the best still image. `folder` holds `metrics.json`, `metrics.txt`, `frames.csv`,
    `contact_sheet.png`, and, where asked for, `renders/0000.png` and so on, `render.mp4`, `side_by_side.mp4`, and a
    folder for each kind of output with `outputs.json` beside them.
    """

    folder: Path
    frames: tuple[FrameScores, ...]
    means: FrameScores
    timing: Timing
    flicker: FlickerFigures

    @property
    def seconds_per_frame(self) -> float:
        """The median time to draw one frame."""
        return self.timing.median_seconds_per_frame


def evaluate(
    avatar: Avatar,
    dataset: Dataset,
    folder: Path | str,
    options: EvaluationOptions | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Draw `options.split` of `dataset`, compare, and write `folder`, which appears whole or not at all.

    The same avatar, dataset and machine give the same pictures and figures. Raises `UserError` where the folder is
    taken, the split is empty or not loaded, the latent code is not known, the avatar has other expression channels or
    no backdrop of this size, or LPIPS weights that were named cannot be used.
    """
    options = options or EvaluationOptions()
    split = _split_to_draw(dataset, options)
    if avatar.expression_names != dataset.expression_names:
        raise UserError(
            f"{dataset.root} has other expression channels ({len(dataset.expression_names)}) than those this avatar "
            f"was trained on ({len(avatar.expression_names)}): evaluate it on a dataset of the same capture"
        )
    manner = Manner(options.latent, options.plate, options.precision, options.poses, options.exposure)
    artist = Artist(avatar, dataset, options.split, manner)
    still = best_still_image(dataset.train) if "train" in dataset.splits else None
    examiner = Examiner(dataset, open_judge(options.lpips, avatar.device), still)
    total = len(split) if options.frames is None else min(options.frames, len(split))
    kept = Kept(options.save_images, options.video, options.outputs)
    with _output_folder(Path(folder), options.replace) as out:
        scores, flicker = [], Flicker()
        with Evidence(out, dataset, split, total, kept) as evidence:
            progress.start(f"drawing {options.split} frames", total)
            for index in range(total):
                frame = split[index]
                drawing = artist.draw(index, frame)
                evidence.add(index, frame, drawing, avatar)
                scores.append(examiner.score(index, frame, drawing.picture, drawing.seconds))
                number = number_in_video(frame, dataset.frame_rate)
                flicker.add(drawing.picture, frame.image, frame.head_box, number)
                progress.advance(note=f"{scores[-1].whole.psnr:.2f} dB")
        means = FrameScores.mean(scores)
        spent = timing([score.seconds for score in scores], avatar.device, _precision(options, avatar))
        settings, shown = _settings(options, dataset, avatar, total), flicker.figures()
        write_frames_csv(out / "frames.csv", [score.row() for score in scores])
        write_summary(out, Summary(means.figures(), means.table(), examiner.judge.missing, settings, spent, shown))
    return Evaluation(Path(folder), tuple(scores), means, spent, shown)


def _split_to_draw(dataset: Dataset, options: EvaluationOptions) -> Split:
    split = dataset.splits.get(options.split)
    if split is None or len(split) == 0 or options.frames == 0:
        raise UserError(f"{dataset.root} has no frames in the split '{options.split}'")
    return split


def _poses_in_words(options: EvaluationOptions, avatar: Avatar) -> str:
    if options.split == "train" and avatar.pose_corrections is not None and options.poses != "refined":
        smooth = ", smoothed over time" if options.poses == "learned" else ""
        return f"as training corrected them{smooth}"
    return POSES_IN_WORDS[options.poses]


def _precision(options: EvaluationOptions, avatar: Avatar) -> str:
    """The precision in which the avatar is really drawn."""
    return options.precision if avatar.takes_bf16 else "fp32"


def _settings(options: EvaluationOptions, dataset: Dataset, avatar: Avatar, total: int) -> dict[str, object]:
    return {
        "split": options.split,
        "frames": total,
        "frames_asked": options.frames,
        "latent": options.latent,
        "plate": options.plate,
        "poses": _poses_in_words(options, avatar),
        "exposure": EXPOSURE_IN_WORDS[options.exposure],
        "image_size": [dataset.intrinsics.width, dataset.intrinsics.height],
        "head_boxes": "stored" if dataset.head_boxes_stored else "estimated from training boxes and poses",
        "never_seen_share": float(dataset.background_unseen.mean()),
        "precision": _precision(options, avatar),
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
