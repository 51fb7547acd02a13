"""`nerface reenact`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.console import Console
from nerface.apps.verbs import driving_options as driving
from nerface.apps.verbs import options as common

NAME = "reenact"
HELP = "let an avatar do what another person does: a dataset of that person drives it"

LATENTS = "mean, zero, frame:K (training frame K), walk (every training code in turn)"


def add_options(verb: argparse.ArgumentParser) -> None:
    common.avatar(verb)
    verb.add_argument("driver", type=Path, metavar="DRIVER", help="the dataset of the person who drives")
    common.output(verb, "a new video file, ending in .mp4", metavar="FILE")
    group = verb.add_argument_group("driver")
    driving.frames(group, "DRIVER")
    driving.frame_limit(group, "all")
    group.add_argument(
        "--driver-neutral", metavar="FRAME", help="frame of rest: K of --split, or SPLIT:K (default: found by itself)"
    )
    group = verb.add_argument_group("target", "what the avatar's person looks like at rest and from the front")
    group.add_argument(
        "--target",
        type=Path,
        metavar="DATASET",
        help="find the frontal and the neutral frame in the dataset that the avatar was trained on (default: the "
        "avatar's rest pose and the statistics of its training expressions)",
    )
    group.add_argument("--target-neutral", metavar="FRAME", help="frame of rest of --target: K of train, or SPLIT:K")
    _transfer(verb.add_argument_group("transfer"))
    driving.picture(verb, LATENTS)


def _transfer(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--expression",
        default="relative",
        choices=["relative", "copy"],
        help="relative (default): target's neutral plus the driver's change from neutral; copy: the driver's as it is",
    )
    group.add_argument(
        "--anchor",
        default="seed",
        choices=["seed", "relative"],
        help="seed (default, NeRFace's): the driver's rotation turns the target's frontal pose; relative: the driver's "
        "rotation since its own most frontal frame does, for drivers filmed from above or from the side",
    )
    group.add_argument("--frontalise", action="store_true", help="take the expressions only, stay frontal")
    driving.expression(group, "seen")


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of
    from nerface.apps.reenact_job import reenact_job

    return reenact_job(options, device_of(options), console)
