"""`nerface metrics`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.console import Console
from nerface.apps.verbs import measuring
from nerface.apps.verbs import options as common

NAME = "metrics"
HELP = "measure a folder of pictures against a folder of true ones"


def add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("renders", type=Path, metavar="RENDERS", help="the pictures to measure")
    verb.add_argument(
        "truth", type=Path, metavar="TRUTH", help="the true ones, paired by the order of the numbers in their names"
    )
    verb.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="a new folder for metrics.json, metrics.txt and frames.csv"
    )
    verb.add_argument("--save-error-image", action="store_true", help="write error maps into that folder too")
    common.device(verb)
    measuring.lpips(verb)


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of
    from nerface.errors import UserError
    from nerface.evaluation import compare_folders, open_judge

    if options.save_error_image and options.output is None:
        raise UserError("--save-error-image needs a folder to write into: add -o FOLDER")
    judge = open_judge(measuring.lpips_files(options), device_of(options))
    found = compare_folders(options.renders, options.truth, judge, options.output, options.save_error_image, console)
    console.show(found.text)
    if options.output is not None:
        written = "metrics.json, metrics.txt, frames.csv" + (", error/" if options.save_error_image else "")
        console.wrote(options.output, written)
    return 0
