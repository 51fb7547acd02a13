"""`nerface weights`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.console import Console

NAME = "weights"
HELP = "fetch the networks that capture uses, check them, and say where they are"


def add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--weights", type=Path, metavar="FOLDER", help="look in this folder first")


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.weights import find_weights

    paths = find_weights(options.weights, download=True, progress=console)
    for path in (paths.face_landmarker, paths.selfie_segmentation):
        console.wrote(path, "checked")
    return 0
