"""`nerface capture`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.console import Console
from nerface.apps.verbs import options as common

NAME = "capture"
HELP = "turn a video into a dataset: head poses, expressions, masks, background"


def add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("video", type=Path, metavar="VIDEO", help="a video of one person, camera and backdrop at rest")
    common.output(verb, "a new folder for the dataset")
    common.capture(verb, "512")
    common.device(verb)
    verb.set_defaults(keeps_work=True)  # landmarks measured so far lie beside the output


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import capture_lines, capture_options
    from nerface.capture import capture

    report = capture(options.video, options.output, capture_options(options, preset_size=512), console)
    console.show("\n".join(capture_lines(report)))
    console.wrote(options.output, "the dataset; report.html shows how the capture went, overlay.mp4 what it believes")
    return 0
