"""Options that `mesh` and `splats` share: one expression, and the axes and unit of a file."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nerface.apps.verbs.driving_options import frame_number
from nerface.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from nerface.apps.console import Console
    from nerface.fields.base import Avatar, Subject
    from nerface.types import Condition

UNITS_PER_CM = {"cm": 1.0, "m": 100.0}  # centimetres in a unit


@dataclass(frozen=True)
class Placing:
    """How head space becomes the file's: x turned over, lengths multiplied, and what the file says of it."""

    mirror: bool
    scale: float
    note: str


def expression(group: argparse._ArgumentGroup) -> None:
    """Which expression and latent code."""
    group.add_argument(
        *("--expression", "--edit"),
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a channel (jawOpen=0.6) or add to it (jawOpen+=0.3); NAME is a channel's name or number; may be "
        "given again",
    )
    group.add_argument("--by", type=Path, metavar="DATASET", help="take the expression from a frame of this dataset")
    group.add_argument(
        "--frame", type=frame_number, default=0, metavar="K", help="frame K of --by, from 0 (default: 0)"
    )
    group.add_argument("--split", default="test", choices=["train", "val", "test"], help="of --by (default: test)")
    group.add_argument(
        "--latent",
        default="mean",
        metavar="CODE",
        help="latent code: mean, zero, or frame:K (training frame K) (default: mean)",
    )


def axes(group: argparse._ArgumentGroup) -> None:
    """Axes and unit of the file."""
    group.add_argument(
        "--unit",
        default="head",
        choices=["head", *UNITS_PER_CM],
        help="of lengths in the file: head units (default), centimetres or metres",
    )
    group.add_argument(
        "--units-per-cm", type=float, metavar="LENGTH", help="head units in a centimetre, for --unit cm and m"
    )
    group.add_argument("--dataset", type=Path, metavar="DATASET", help="read that from the avatar's dataset")
    group.add_argument(
        "--raw-axes",
        action="store_true",
        help="keep head space as it is where it is a mirror image of the person (datasets with fx < 0); otherwise x is "
        "turned over there, so that left is left",
    )


def check(options: argparse.Namespace) -> None:
    """Raise `UserError` for options that cannot go together, before anything is loaded."""
    if options.unit == "head" and (options.units_per_cm is not None or options.dataset is not None):
        raise UserError("--units-per-cm and --dataset are for --unit cm or m: give that too, or leave them out")
    if options.by is None and options.frame:
        raise UserError("--frame needs --by DATASET, whose frame it is")


def length_scale(options: argparse.Namespace) -> float:
    """What lengths in head units are multiplied by."""
    from nerface.data.seed_layout import read_split

    if options.unit == "head":
        return 1.0
    per_cm = options.units_per_cm
    if per_cm is None and options.dataset is not None:
        units = read_split(options.dataset, "train").meta.get("units")
        per_cm = units.get("head_units_per_cm") if isinstance(units, dict) else None
        if per_cm is None:
            raise UserError(
                f"{options.dataset} does not say how long a head unit is: give --units-per-cm, or leave out --unit"
            )
    if per_cm is None:
        raise UserError(f"--unit {options.unit} needs --dataset DATASET (the avatar's own) or --units-per-cm LENGTH")
    if not (isinstance(per_cm, (int, float)) and math.isfinite(per_cm) and per_cm > 0):
        raise UserError(f"{per_cm} head units in a centimetre make no sense: give a number over 0")
    return 1.0 / (per_cm * UNITS_PER_CM[options.unit])


def placing(options: argparse.Namespace, scale: float, subject: Subject, console: Console) -> Placing:
    """Where things go in the file; tells of a mirrored head space. `scale` is `length_scale`'s."""
    from nerface.geometry import is_mirrored
    from nerface.geometry.files import AXES

    mirrored = is_mirrored(subject)
    raw = mirrored and options.raw_axes
    if mirrored and not raw:
        console.say("head space is a mirror image of the person (fx < 0): x is turned over in the file")
    words = "head space as stored, in which x is turned over" if raw else AXES
    return Placing(mirrored and not raw, scale, f"unit: {options.unit}; axes: {words}")


def condition(options: argparse.Namespace, avatar: Avatar, what: str) -> Condition:
    """The expression and latent code asked for, of `what` is made ("a mesh")."""
    import numpy as np
    import torch

    from nerface.driving.edits import read_edit
    from nerface.types import Condition

    subject = avatar.subject
    chosen = np.array(subject.expression_mean, dtype=np.float32)
    if options.by is not None:
        chosen = _recorded(options, subject)
    for word in options.expression:
        edit = read_edit(word, subject.expression_names)
        if edit.start != edit.end:
            raise UserError(f"'{word}': {what} shows one expression, give one number")
        chosen = edit.apply(chosen[None])[0]
    return Condition(torch.from_numpy(chosen).to(avatar.device), avatar.latent(options.latent))


def size_words(places: np.ndarray, unit: str) -> str:
    """Width, height and depth of what was made."""
    sides = " x ".join(f"{length:.3g}" for length in places.max(axis=0) - places.min(axis=0))
    return f"{sides} {'head units' if unit == 'head' else unit}"


def _recorded(options: argparse.Namespace, subject: Subject) -> np.ndarray:
    """The expression of a frame of --by, in the avatar's channels; no picture is read."""
    import numpy as np

    from nerface.data.seed_layout import read_expression_names, read_split
    from nerface.driving.channels import channel_map

    if not options.by.is_dir():
        raise UserError(
            f"{options.by} is not a folder: a dataset folder with transforms_{options.split}.json is needed"
        )
    table = read_split(options.by, options.split)
    if options.frame >= len(table):
        raise UserError(
            f"{table.file} has {len(table)} frames: there is no frame {options.frame}, the last is {len(table) - 1}"
        )
    names = read_expression_names(table)
    carried = channel_map(names, subject.expression_names, "same", str(options.by), offered=False)
    return np.array(carried.apply(table.expressions[options.frame][None], np.zeros(len(subject.expression_names)))[0])
