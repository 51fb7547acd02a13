"""`nerface eval`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nerface.apps.console import Console
from nerface.apps.verbs import measuring
from nerface.apps.verbs import options as common
from nerface.apps.words import frame_count
from nerface.errors import UserError
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


SEED_FOLDER, SEED_LATENT = Path("renders"), "video:10"  # what NeRFace's evaluator takes where nothing is said


def add_options(verb: argparse.ArgumentParser) -> None:
    what = "an avatar.safetensors, or the folder of a run (with --config: --checkpoint)"
    verb.add_argument("avatar", type=Path, nargs="?", metavar="AVATAR", help=what)
    what = "the dataset that holds the frames (with --config: the config's basedir)"
    verb.add_argument("dataset", type=Path, nargs="?", metavar="DATASET", help=what)
    verb.add_argument("-o", "--output", "--savedir", type=Path, metavar="FOLDER", help="a new folder for the results")
    drawing_options(verb)
    verb.set_defaults(latent=None)  # another one with --config
    group = verb.add_argument_group("NeRFace's files")
    group.add_argument("--config", type=Path, metavar="FILE", help="a YAML config of NeRFace's form")
    group.add_argument("--checkpoint", type=Path, metavar="FILE", help="a .ckpt of NeRFace's code, or one of ours")
    group.add_argument("--basedir", type=Path, metavar="FOLDER", help="the dataset, in place of the config's basedir")


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
    verb.add_argument(
        "--poses",
        default="captured",
        choices=["captured", "learned", "refined"],
        help="as the dataset gives them (default); less the tracker's habit that training learned; or found anew on "
        "each frame with the avatar frozen, which tells the tracker's faults from the avatar's",
    )
    verb.add_argument(
        "--exposure",
        default="neutral",
        choices=["neutral", "captured"],
        help="draw with the plate's exposure (default), or as bright as capture measured each frame",
    )
    common.drawing(verb, LATENTS, "mean; with --config video:10, as NeRFace")
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
    return _run(options, console) if options.config is None else _run_seed(options, console)


def _run(options: argparse.Namespace, console: Console) -> int:
    """An avatar on a dataset."""
    from nerface.apps.jobs import device_of
    from nerface.checkpoint import find_checkpoint, load_checkpoint
    from nerface.training.begin import load_for

    if options.avatar is None or options.dataset is None or options.output is None:
        raise UserError("name what to measure: AVATAR DATASET -o FOLDER, or --config FILE --checkpoint FILE")
    if options.checkpoint is not None or options.basedir is not None:
        raise UserError("--checkpoint and --basedir belong to --config: name AVATAR and DATASET without them")
    refuse_existing(options.output)
    stored = load_checkpoint(find_checkpoint(options.avatar), device_of(options))
    config = stored.config
    if options.half_res:
        config = replace(config, data=replace(config.data, half_res=True))
    required = {"dataset": True, "avatar": False, "auto": None}[options.plate]
    dataset = load_for(config, options.dataset, console, background_required=required)
    options.latent = options.latent or "mean"
    stored.avatar.chunk_samples = options.chunk
    return evaluate_job(stored.avatar.eval(), dataset, options.output, evaluation_options(options), console)


def _run_seed(options: argparse.Namespace, console: Console) -> int:
    """A config of the seed's form and a checkpoint, as its evaluator takes them (spec 5.1)."""
    from nerface.apps.jobs import device_of
    from nerface.interop.seed_checkpoint import open_seed

    if options.avatar is not None or options.checkpoint is None:
        raise UserError("with --config, name the checkpoint as --checkpoint FILE and the dataset, if any, as --basedir")
    output = options.output or SEED_FOLDER
    refuse_existing(output)
    opened = open_seed(
        options.config,
        options.checkpoint,
        options.basedir,
        device=device_of(options),
        settings=["data.half_res=true"] if options.half_res else [],
        progress=console,
    )
    for line in opened.config.warnings():
        console.say(line)
    options.latent, opened.checkpoint.avatar.chunk_samples = options.latent or SEED_LATENT, options.chunk
    chosen = evaluation_options(options)
    return evaluate_job(opened.checkpoint.avatar, opened.dataset, output, chosen, console)


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
        poses=options.poses,
        exposure=options.exposure,
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
