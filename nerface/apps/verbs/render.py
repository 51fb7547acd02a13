"""`nerface render`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.console import Console
from nerface.apps.verbs import options as common
from nerface.apps.words import degrees, frame_count

NAME = "render"
HELP = "draw an avatar as a video: driven by a dataset, or on a camera path"


def add_options(verb: argparse.ArgumentParser) -> None:
    common.avatar(verb)
    common.output(verb, "a new video file, ending in .mp4", metavar="FILE")
    verb.add_argument("--by", type=Path, metavar="DATASET", help="take expressions and head poses from this dataset")
    verb.add_argument("--split", default="test", choices=["train", "val", "test"], help="of --by (default: test)")
    verb.add_argument(
        "--orbit",
        type=degrees,
        nargs=2,
        metavar=("YAW", "PITCH"),
        help="circle round the head, at most so many degrees to the sides and up",
    )
    verb.add_argument("--frames", type=frame_count, metavar="N", help="frames to draw (default: all of --by, else 100)")
    common.drawing(verb, "mean, zero, or frame:K (training frame K)")


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of, render_job

    return render_job(options, device_of(options), console)
