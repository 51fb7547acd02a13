"""`nerface convert`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.console import Console
from nerface.errors import UserError

NAME = "convert"
HELP = "turn a checkpoint of NeRFace's code into an avatar, or back"
SEED, OURS = ".ckpt", ".safetensors"


def add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("source", type=Path, metavar="IN", help="a .ckpt, or an avatar.safetensors, or a run's folder")
    verb.add_argument("output", type=Path, metavar="OUT", help="a new .safetensors or .ckpt file")
    verb.add_argument("--config", type=Path, metavar="FILE", help="the YAML config that a .ckpt was trained with")
    verb.add_argument("--basedir", type=Path, metavar="FOLDER", help="its dataset, if not where the config says")
    verb.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting of the config")
    verb.add_argument("--force", action="store_true", help="write a .ckpt that needs edits in NeRFace's code")


def run(options: argparse.Namespace, console: Console) -> int:
    into = options.output.suffix
    if into not in (SEED, OURS):
        raise UserError(f"{options.output} ends neither in {OURS} (an avatar here) nor in {SEED} (NeRFace's code)")
    if options.output.exists():
        raise UserError(f"{options.output} exists already and nothing is overwritten: choose another name")
    if not options.source.exists():
        raise UserError(f"there is no {options.source}")
    ours = options.source.is_dir() or options.source.suffix == OURS
    if ours and into == SEED:
        return _to_seed(options, console)
    if not ours and into == OURS:
        return _from_seed(options, console)
    raise UserError(f"{options.source} is converted to {SEED if ours else OURS}, not to {into}")


def _from_seed(options: argparse.Namespace, console: Console) -> int:
    from nerface.checkpoint import save_checkpoint
    from nerface.interop.seed_checkpoint import open_seed

    if options.config is None:
        raise UserError(f"{options.source} does not say what network it holds: add --config with its YAML config")
    # Of the pictures nothing but their size is needed: those of the shortest split.
    opened = open_seed(
        options.config, options.source, options.basedir, settings=options.set, splits=None, progress=console
    )
    for line in opened.config.warnings():
        console.say(line)
    stored = opened.checkpoint
    save_checkpoint(options.output, stored.avatar, stored.config, stored.state)
    what = f"the avatar after {stored.state.step} steps, without its optimiser; every other command takes it"
    console.wrote(options.output, what)
    return 0


def _to_seed(options: argparse.Namespace, console: Console) -> int:
    from nerface.checkpoint import find_training_checkpoint, load_checkpoint
    from nerface.interop.seed_export import save_seed_checkpoint

    if options.config is not None or options.basedir is not None or options.set:
        raise UserError("--config, --basedir and --set belong to a .ckpt that is read, not to one that is written")
    file = find_training_checkpoint(options.source)
    stored = load_checkpoint(file)
    save_seed_checkpoint(options.output, stored, options.force)
    state = "with its optimiser" if stored.optimizer else "without optimiser: training would warm it up again"
    console.wrote(options.output, f"{file.name} after {stored.state.step} steps, {state}")
    return 0
