"""`nerface eval`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.console import Console
from nerface.apps.verbs import options as common
from nerface.apps.words import frame_count
from nerface.files import refuse_existing

NAME = "eval"
HELP = "draw a dataset's held-out frames with an avatar, and measure them"


def add_options(verb: argparse.ArgumentParser) -> None:
    common.avatar(verb)
    verb.add_argument("dataset", type=Path, metavar="DATASET", help="the dataset that holds the frames")
    common.output(verb, "a new folder for the results")
    verb.add_argument("--split", default="test", choices=["train", "val", "test"], help="which frames (default: test)")
    verb.add_argument("--frames", type=frame_count, metavar="N", help="draw the first N frames alone")
    verb.add_argument("--no-video", action="store_true", help="write no videos")
    verb.add_argument("--half-res", action="store_true", help="read the pictures at half their size")
    common.drawing(verb, "mean, zero, frame:K (training frame K) or video:K (frame K of the video)")


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of
    from nerface.checkpoint import load_avatar
    from nerface.data import load_dataset
    from nerface.evaluation.evaluate import EvaluationOptions, evaluate

    refuse_existing(options.output)
    avatar = load_avatar(options.avatar, device_of(options))
    dataset = load_dataset(options.dataset, half_res=options.half_res, progress=console)
    chosen = EvaluationOptions(
        split=options.split,
        latent=options.latent,
        video=not options.no_video,
        frames=options.frames,
        precision=options.precision,
    )
    evaluate(avatar, dataset, options.output, chosen, console)
    console.show((options.output / "metrics.txt").read_text())
    what = "metrics.json, metrics.txt, frames.csv, contact_sheet.png, renders/" + (
        "" if options.no_video else ", render.mp4, side_by_side.mp4"
    )
    console.wrote(options.output, what)
    return 0
