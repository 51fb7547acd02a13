"""`nerface ablate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.console import EXIT_STOPPED, Console, StopOnSignal
from nerface.apps.verbs import measuring
from nerface.apps.verbs import options as common
from nerface.apps.words import frame_count

NAME = "ablate"
HELP = "train and measure several configurations on one dataset, and compare them in a table with pictures"
DEFAULT = "full,no_expression,no_latent,no_dynamics,no_background"


def add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("dataset", type=Path, metavar="DATASET", help="a folder in NeRFace's layout")
    common.output(verb, "a new folder for all runs and the table")
    verb.add_argument(
        "--switches",
        default=DEFAULT,
        metavar="NAMES",
        help=f"what to compare, separated by commas (default: {DEFAULT}; all names: `nerface train --help`)",
    )
    verb.add_argument("--frames", type=frame_count, metavar="N", help="measure the first N held-out frames alone")
    verb.add_argument("--latent", default="mean", metavar="CODE", help="latent code of held-out frames (default: mean)")
    common.training(verb)
    measuring.lpips(verb)


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.ablation import AblationOptions, ablate
    from nerface.apps.jobs import device_of, run_config
    from nerface.evaluation.evaluate import EvaluationOptions

    chosen = AblationOptions(
        config=run_config(options),
        names=[name.strip() for name in options.switches.split(",") if name.strip()],
        evaluation=EvaluationOptions(
            latent=options.latent, frames=options.frames, video=False, lpips=measuring.lpips_files(options)
        ),
        device=str(device_of(options)),
        max_train_seconds=None if options.max_minutes is None else 60 * options.max_minutes,
    )
    with StopOnSignal(console) as stop:
        done = ablate(options.dataset, options.output, chosen, resume=options.resume, stop=stop, progress=console)
    if not done.finished:
        return EXIT_STOPPED
    console.show((options.output / "table.md").read_text())
    console.wrote(options.output, "table.md, table.csv, comparison.png, runs/, evaluations/")
    return 0
