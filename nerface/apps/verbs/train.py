"""`nerface train`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nerface.apps.console import EXIT_STOPPED, Console, StopOnSignal
from nerface.apps.verbs import options as common
from nerface.errors import UserError
from nerface.files import refuse_existing

if TYPE_CHECKING:
    import torch

    from nerface.checkpoint import Checkpoint
    from nerface.config import RunConfig
    from nerface.data import Dataset

NAME = "train"
HELP = "train an avatar on a dataset"
DEFAULT_PRESET = "paper"


def add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "dataset",
        type=Path,
        nargs="?",
        metavar="DATASET",
        help="a folder in NeRFace's layout, as capture writes it (default with --config: the config's basedir)",
    )
    verb.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="a new folder for the run (default with --config: the config's logdir/id)",
    )
    common.training(verb)
    verb.set_defaults(preset=None)  # so that one given beside --config is seen
    verb.add_argument("--tensorboard", action="store_true", help="write event files too (extra [tensorboard])")
    group = verb.add_argument_group("NeRFace's files")
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="a YAML config of NeRFace's form, in place of a preset"
    )
    group.add_argument("--basedir", type=Path, metavar="FOLDER", help="the dataset, in place of the config's basedir")
    group.add_argument(
        "--load-checkpoint",
        type=Path,
        metavar="FILE",
        help="go on from this checkpoint in a new run: a .ckpt of NeRFace's code (with its --config), or one of ours",
    )


@dataclass(frozen=True)
class Plan:
    """What is trained, where it goes and what it begins from."""

    config: RunConfig
    dataset: Dataset
    output: Path
    start: Checkpoint | None = None


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of
    from nerface.training.curves import write_training_curves
    from nerface.training.loop import train

    device = device_of(options)
    plan = _plan(options, device, console) if options.config is None else _seed_plan(options, device, console)
    seconds = None if options.max_minutes is None else 60 * options.max_minutes
    if plan.start is not None and not plan.start.optimizer:
        console.say("the checkpoint holds no optimiser's state: the optimiser begins anew")
    with StopOnSignal(console) as stop:
        result = train(
            plan.dataset,
            plan.output,
            plan.config,
            device=device,
            resume=options.resume,
            start=plan.start,
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
    console.wrote(write_training_curves(plan.output), "the training curves")
    return 0


def _plan(options: argparse.Namespace, device: torch.device, console: Console) -> Plan:
    """A preset on the dataset that was named, from the beginning or from a checkpoint of ours."""
    from nerface.apps.jobs import run_config, tell_if_slow
    from nerface.checkpoint import find_training_checkpoint, load_checkpoint
    from nerface.interop.seed_checkpoint import is_ours
    from nerface.training.begin import load_for

    if options.dataset is None:
        raise UserError("name the dataset to train on (DATASET), or a config of NeRFace's form (--config FILE)")
    if options.output is None:
        raise UserError("name a new folder for the run: -o FOLDER")
    if options.basedir is not None:
        raise UserError("--basedir takes the place of a config's basedir: use it with --config")
    options.preset = options.preset or DEFAULT_PRESET
    config, file = run_config(options), options.load_checkpoint
    if file is not None and file.is_file() and not is_ours(file):
        raise UserError(f"{file} does not say what network it holds: add --config with its YAML config")
    if not options.resume:
        refuse_existing(options.output)  # before minutes of decoding
    start = None if file is None else load_checkpoint(find_training_checkpoint(file), device)
    dataset = load_for(config, options.dataset, console)
    tell_if_slow(options.preset, device, console)
    return Plan(config, dataset, options.output, start)


def _seed_plan(options: argparse.Namespace, device: torch.device, console: Console) -> Plan:
    """A config of the seed's form, with the user's changes, from the beginning or from a checkpoint."""
    from nerface.apps.jobs import settings_of
    from nerface.checkpoint import find_training_checkpoint, load_checkpoint
    from nerface.config import override
    from nerface.interop.seed_checkpoint import adapted, checkpoint_of, is_ours
    from nerface.interop.seed_config import read_seed_config
    from nerface.interop.seed_file import read_seed_file
    from nerface.interop.seed_models import paper_config
    from nerface.training.begin import load_for

    if options.preset is not None:
        raise UserError("--preset and --config both say how to train: give one of them")
    if options.basedir is not None and options.dataset is not None:
        raise UserError("DATASET and --basedir both name the dataset: give one of them")
    seed, file = read_seed_config(options.config), options.load_checkpoint
    settings = settings_of(options)
    seed = replace(seed, run=override(seed.run, settings))
    output = options.output or seed.run_folder()
    if not options.resume:
        refuse_existing(output)  # before minutes of decoding
    folder = seed.dataset_folder(options.dataset or options.basedir)
    for line in seed.warnings():
        console.say(line)
    if file is None:
        return Plan(seed.run, load_for(seed.run, folder, console), output)
    if not file.exists():
        raise UserError(f"there is no checkpoint {file}: name one, or begin anew without --load-checkpoint")
    if not is_ours(file):
        stored = read_seed_file(file)
        seed = replace(seed, run=adapted(seed.run, stored, settings))
        dataset = load_for(seed.run, folder, console)
        return Plan(seed.run, dataset, output, checkpoint_of(stored, seed, dataset, device))
    start = load_checkpoint(find_training_checkpoint(file), device)
    # What a config of the seed cannot say. Whether its networks are the checkpoint's is seen where training begins.
    trained = paper_config(start.config.avatar, file)
    avatar = replace(
        paper_config(seed.run.avatar, seed.file),
        direction=trained.direction,
        background=trained.background,
        use_expression=trained.use_expression,
        use_latent=trained.use_latent,
        refine_poses=trained.refine_poses,
        refine_colours=trained.refine_colours,
    )
    run = override(replace(seed.run, avatar=avatar, data=start.config.data), settings)
    return Plan(run, load_for(run, folder, console), output, start)
