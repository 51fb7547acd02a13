"""`nerface render`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.console import Console
from nerface.apps.verbs import driving_options as driving
from nerface.apps.verbs import options as common
from nerface.apps.words import degrees, frame_count

NAME = "render"
HELP = "draw an avatar as a video: driven by a dataset, on a camera path, or with an edited expression"

LATENTS = "mean, zero, frame:K (training frame K), walk (each training code in turn), per-frame (of --by's frames)"


def add_options(verb: argparse.ArgumentParser) -> None:
    common.avatar(verb)
    common.output(verb, "a new video file, ending in .mp4", metavar="FILE")
    driving.frame_limit(verb, "all of --by, else as long as the path")
    _driven(verb.add_argument_group("driven by a dataset"))
    _camera(verb.add_argument_group("camera", "default: the poses of --by, else the avatar's rest pose"))
    _expression(verb.add_argument_group("expression", "default: the expressions of --by, else the mean"))
    driving.picture(verb, LATENTS)


def _driven(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--by", type=Path, metavar="DATASET", help="take expressions and head poses from this dataset")
    driving.frames(group, "--by")
    group.add_argument(
        "--raw-scores",
        action="store_true",
        help="keep the scores as recorded where the camera leaves the recorded poses (by default the part of them that "
        "goes with the head's turn is exchanged)",
    )


def _camera(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--orbit",
        type=degrees,
        nargs=2,
        metavar=("YAW", "PITCH"),
        help="circle round the head, at most so many degrees to the sides and up; a turn takes 100 frames",
    )
    group.add_argument(
        "--sweep", type=degrees, nargs=2, metavar=("YAW", "PITCH"), help="from side to side, then up and down"
    )
    group.add_argument(
        "--waypoints",
        metavar="POINTS",
        help='pass points "yaw,pitch; yaw,pitch" in degrees, with channels if wanted: "0,0; 20,0,jawOpen=0.6" '
        "(beginning with a minus: --waypoints=-20,0;20,0); or a "
        ".json file of such points",
    )
    group.add_argument("--frontalise", action="store_true", help="stay at the rest pose")
    group.add_argument("--leg", type=frame_count, metavar="N", help="frames between two points (default: 30)")
    group.add_argument("--hold", type=frame_count, metavar="N", help="frames of standing at a point (default: 25)")
    group.add_argument(
        "--camera",
        metavar="FRAME",
        help="stay at this frame of --by (or let the path begin there): K of --split, or SPLIT:K",
    )
    group.add_argument(
        "--view-from",
        action="store_true",
        help="keep the camera, and show the field the viewing directions of the frames of --by (an ablation)",
    )


def _expression(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--fix-expression", metavar="FRAME", help="one for all frames: mean, neutral, or a frame of --by (K, SPLIT:K)"
    )
    group.add_argument(
        "--interpolate", nargs=2, metavar=("FRAME", "FRAME"), help="from one frame of --by to another and back"
    )
    driving.expression(group, "any")


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of
    from nerface.apps.render_job import render_job

    return render_job(options, device_of(options), console)
