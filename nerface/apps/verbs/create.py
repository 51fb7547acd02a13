"""`nerface create`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.console import Console
from nerface.apps.verbs import options as common

NAME = "create"
HELP = "make an avatar from a video: capture, training, evaluation, rendered video"


def add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("video", type=Path, metavar="VIDEO", help="a video of one person, camera and backdrop at rest")
    common.output(verb, "a new folder for all results")
    common.capture(verb, "the preset's: 512, or 160 for tiny and splat_tiny")
    common.training(verb, default_preset="splat on a GPU, splat_tiny elsewhere")


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import create_job

    return create_job(options, console)
