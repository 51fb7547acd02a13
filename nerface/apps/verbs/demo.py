"""`nerface demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.console import Console
from nerface.apps.verbs import options as common

NAME = "demo"
HELP = "run `create` on a sample clip that nerface draws itself, and check it"


def add_options(verb: argparse.ArgumentParser) -> None:
    common.output(verb, "a new folder for all results (default: nerface_demo)", default=Path("nerface_demo"))
    verb.add_argument("--weights", type=Path, metavar="FOLDER", help="where the capture networks are")
    common.device(verb)
    verb.add_argument("--resume", action="store_true", help="go on with a demo that was stopped")


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.demo import demo_job

    return demo_job(options, console)
