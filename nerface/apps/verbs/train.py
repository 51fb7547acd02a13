"""`nerface train`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.console import EXIT_STOPPED, Console, StopOnSignal
from nerface.apps.verbs import options as common
from nerface.files import refuse_existing

NAME = "train"
HELP = "train an avatar on a dataset"


def add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "dataset", type=Path, metavar="DATASET", help="a folder in NeRFace's layout, as capture writes it"
    )
    common.output(verb, "a new folder for the run")
    common.training(verb)
    verb.add_argument("--tensorboard", action="store_true", help="write event files too (extra [tensorboard])")


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of, run_config
    from nerface.training.begin import load_for
    from nerface.training.curves import write_training_curves
    from nerface.training.loop import train

    config, device = run_config(options), device_of(options)
    if not options.resume:
        refuse_existing(options.output)  # before minutes of decoding
    dataset = load_for(config, options.dataset, console)
    seconds = None if options.max_minutes is None else 60 * options.max_minutes
    with StopOnSignal(console) as stop:
        result = train(
            dataset,
            options.output,
            config,
            device=device,
            resume=options.resume,
            max_seconds=seconds,
            tensorboard=options.tensorboard,
            stop=stop,
            progress=console,
        )
    if not result.finished:
        return EXIT_STOPPED
    if result.validation_psnr is not None:
        spent = f"{result.state.step} steps, {result.state.seconds:.0f} s"
        console.show(f"held-out PSNR {result.validation_psnr:.2f} dB after {spent} of training")
    console.wrote(result.avatar_file, "the avatar")
    console.wrote(write_training_curves(options.output), "the training curves")
    return 0
