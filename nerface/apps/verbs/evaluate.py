"""`nerface eval`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nerface.apps.console import Console
from nerface.apps.verbs import measuring
from nerface.apps.verbs import options as common
from nerface.apps.words import frame_count
from nerface.files import refuse_existing

if TYPE_CHECKING:
    from nerface.data import Dataset
    from nerface.evaluation import EvaluationOptions
    from nerface.fields.base import Avatar

NAME = "eval"
HELP = "draw a dataset's held-out frames with an avatar, and measure them"
LATENTS = (
    "mean, zero, frame:K (training frame K), video:K (frame K of the video) or per-frame (each training frame its own)"
)


def add_options(verb: argparse.ArgumentParser) -> None:
    common.avatar(verb)
    verb.add_argument("dataset", type=Path, metavar="DATASET", help="the dataset that holds the frames")
    common.output(verb, "a new folder for the results")
    drawing_options(verb)


def drawing_options(verb: argparse.ArgumentParser) -> None:
    """What is drawn, kept and measured, whichever way the avatar and the dataset were named."""
    verb.add_argument("--split", default="test", choices=["train", "val", "test"], help="which frames (default: test)")
    verb.add_argument("--frames", type=frame_count, metavar="N", help="draw the first N frames alone")
    verb.add_argument("--half-res", action="store_true", help="read the pictures at half their size")
    verb.add_argument(
        "--plate",
        default="auto",
        choices=["auto", "dataset", "avatar"],
        help="the backdrop: the dataset's or the avatar's own (default: the avatar's where it learned one)",
    )
    common.drawing(verb, LATENTS)
    kept = verb.add_argument_group("pictures")
    kept.add_argument("--no-video", action="store_true", help="write no videos")
    kept.add_argument(
        "--save",
        type=measuring.kinds,
        default=(),
        metavar="KINDS",
        help=f"write these too, one folder each: {', '.join(measuring.KINDS)}, or all (with commas between them)",
    )
    kept.add_argument("--save-disparity-image", action="store_true", help="as --save disparity")
    kept.add_argument("--save-error-image", action="store_true", help="as --save error")
    measuring.lpips(verb)


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of
    from nerface.checkpoint import load_avatar
    from nerface.data import load_dataset

    refuse_existing(options.output)
    avatar = load_avatar(options.avatar, device_of(options))
    dataset = load_dataset(options.dataset, half_res=options.half_res, progress=console)
    return evaluate_job(avatar, dataset, options.output, evaluation_options(options), console)


def evaluation_options(options: argparse.Namespace) -> EvaluationOptions:
    """The options of `drawing_options`, for the library."""
    from nerface.evaluation import EvaluationOptions

    asked = {*options.save}
    asked |= {"disparity"} if options.save_disparity_image else set()
    asked |= {"error"} if options.save_error_image else set()
    return EvaluationOptions(
        split=options.split,
        latent=options.latent,
        plate=options.plate,
        video=not options.no_video,
        outputs=tuple(kind for kind in measuring.KINDS if kind in asked),
        lpips=measuring.lpips_files(options),
        frames=options.frames,
        precision=options.precision,
    )


def evaluate_job(avatar: Avatar, dataset: Dataset, output: Path, chosen: EvaluationOptions, console: Console) -> int:
    """Draw and measure, and tell what was found and written."""
    from nerface.evaluation import evaluate

    evaluate(avatar, dataset, output, chosen, console)
    console.show((output / "metrics.txt").read_text(encoding="utf-8"))
    names = ["metrics.json", "metrics.txt", "frames.csv", "contact_sheet.png", "renders/"]
    names += ["render.mp4", "side_by_side.mp4"] if chosen.video else []
    names += [*(f"{kind}/" for kind in chosen.outputs), "outputs.json"] if chosen.outputs else []
    console.wrote(output, ", ".join(names))
    return 0
