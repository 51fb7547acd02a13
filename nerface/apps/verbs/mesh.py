"""`nerface mesh`."""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerface.apps.console import Console
from nerface.apps.verbs import options as common
from nerface.apps.verbs.driving_options import frame_number
from nerface.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from nerface.fields.base import Subject
    from nerface.fields.paper import PaperAvatar
    from nerface.types import Condition

NAME = "mesh"
HELP = "write an avatar's surface at one expression as a mesh (.ply, .glb), or as a point cloud (.ply)"
UNITS_PER_CM = {"cm": 1.0, "m": 100.0}  # centimetres in a unit


def add_options(verb: argparse.ArgumentParser) -> None:
    common.avatar(verb)
    common.output(verb, "a new file, ending in .ply or .glb", metavar="FILE")
    verb.add_argument("--points", action="store_true", help="a point cloud: what the pixels of five views touch")
    verb.add_argument(
        "--resolution",
        type=int,
        metavar="N",
        help="voxels along the longest side (default: 256); with --points, pixels of a view's longer side (128)",
    )
    verb.add_argument(
        "--preview", type=Path, metavar="FILE", help="draw the mesh into this new .png too, from two sides"
    )
    _expression(verb.add_argument_group("expression", "default: the mean of the training frames"))
    _surface(verb.add_argument_group("surface"))
    _axes(verb.add_argument_group("axes and unit"))
    common.device(verb)


def _expression(group: argparse._ArgumentGroup) -> None:
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


def _surface(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--level",
        type=float,
        metavar="DENSITY",
        help="the density, per head unit, that makes a surface (default: 69, which hides half of what lies 0.01 head "
        "units behind it; less where the avatar is thinner than that)",
    )
    group.add_argument(
        "--extent",
        type=float,
        default=0.25,
        metavar="LENGTH",
        help="look so far from the head's origin along each axis, in head units (default: 0.25)",
    )
    group.add_argument(
        "--whole-box", action="store_true", help="also look beside what the rest pose's picture shows of that box"
    )
    group.add_argument(
        "--smooth",
        type=float,
        default=0.0,
        metavar="VOXELS",
        help="smooth the density over so many voxels (default: 0)",
    )
    group.add_argument("--all-parts", action="store_true", help="keep every piece, not only the largest")


def _axes(group: argparse._ArgumentGroup) -> None:
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


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of
    from nerface.geometry import check_output, is_mirrored
    from nerface.geometry.files import AXES

    began = time.monotonic()
    _check(options)
    check_output(options.output, options.points)
    scale = _scale(options)
    avatar = _load(options.avatar, device_of(options))
    condition = _condition(options, avatar)
    mirrored = is_mirrored(avatar.subject)
    raw = mirrored and options.raw_axes
    axes = "head space as stored, in which x is turned over" if raw else AXES
    placing = _Placing(mirrored and not raw, scale, f"unit: {options.unit}; axes: {axes}")
    if placing.mirror:
        console.say("head space is a mirror image of the person (fx < 0): x is turned over in the file")
    write = _write_points if options.points else _write_mesh
    told = write(options, avatar, condition, placing, console)
    console.wrote(options.output, f"{told}, {time.monotonic() - began:.1f} s")
    if options.preview is not None:
        console.wrote(options.preview, "shape and colours, from the front and from the side")
    return 0


@dataclass(frozen=True)
class _Placing:
    """How head space becomes the file's: x turned over, lengths multiplied, and what the file says of it."""

    mirror: bool
    scale: float
    note: str


def _check(options: argparse.Namespace) -> None:
    """Raise `UserError` for options that cannot go together, before anything is loaded."""
    if options.points:
        for name in ("preview", "level", "whole_box", "all_parts", "smooth"):
            if getattr(options, name):
                raise UserError(f"--{name.replace('_', '-')} is for meshes: leave it out, or leave out --points")
    if options.preview is not None:
        if options.preview.suffix.lower() != ".png":
            raise UserError(f"{options.preview} is not the name of a picture: choose one that ends in .png")
        if options.preview.exists():
            raise UserError(f"{options.preview} exists already and nothing is overwritten: choose another name")
    if options.unit == "head" and (options.units_per_cm is not None or options.dataset is not None):
        raise UserError("--units-per-cm and --dataset are for --unit cm or m: give that too, or leave them out")
    if options.by is None and options.frame:
        raise UserError("--frame needs --by DATASET, whose frame it is")


def _scale(options: argparse.Namespace) -> float:
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


def _load(path: Path, device: Any) -> PaperAvatar:
    from nerface.checkpoint import load_avatar
    from nerface.fields.paper import PaperAvatar

    avatar = load_avatar(path, device)
    if not isinstance(avatar, PaperAvatar):
        raise UserError(f"{path} has a field that cannot be asked for its density: it has no mesh")
    return avatar


def _condition(options: argparse.Namespace, avatar: PaperAvatar) -> Condition:
    """The expression and latent code asked for."""
    import numpy as np
    import torch

    from nerface.driving.edits import read_edit
    from nerface.types import Condition

    subject = avatar.subject
    expression = np.array(subject.expression_mean, dtype=np.float32)
    if options.by is not None:
        expression = _recorded(options, subject)
    for word in options.expression:
        edit = read_edit(word, subject.expression_names)
        if edit.start != edit.end:
            raise UserError(f"'{word}': a mesh shows one expression, give one number")
        expression = edit.apply(expression[None])[0]
    return Condition(torch.from_numpy(expression).to(avatar.device), avatar.latent(options.latent))


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


def _write_points(
    options: argparse.Namespace, avatar: PaperAvatar, condition: Condition, placing: _Placing, console: Console
) -> str:
    from nerface.geometry import PointOptions, extract_points, placed, write_points

    pixels = PointOptions.pixels if options.resolution is None else options.resolution
    points = extract_points(avatar, condition, PointOptions(pixels=pixels, extent=options.extent), console)
    points = placed(points, mirror=placing.mirror, scale=placing.scale)
    write_points(options.output, points, placing.note)
    return f"{len(points.positions)} points, {_size(points.positions, options.unit)}"


def _write_mesh(
    options: argparse.Namespace, avatar: PaperAvatar, condition: Condition, placing: _Placing, console: Console
) -> str:
    from nerface.data.images import write_png
    from nerface.geometry import MeshOptions, choose_level, extract_mesh, placed, write_mesh
    from nerface.geometry.preview import preview

    chosen = MeshOptions(
        resolution=MeshOptions.resolution if options.resolution is None else options.resolution,
        level=choose_level(avatar, condition) if options.level is None else options.level,
        extent=options.extent,
        whole_box=options.whole_box,
        all_parts=options.all_parts,
        smooth=options.smooth,
    )
    mesh = placed(extract_mesh(avatar, condition, chosen, console), mirror=placing.mirror, scale=placing.scale)
    picture = None if options.preview is None else preview(mesh)  # before anything is written
    write_mesh(options.output, mesh, placing.note)
    if picture is not None:
        write_png(options.preview, picture)
    counts = f"{len(mesh.vertices)} vertices, {len(mesh.faces)} faces"
    return f"{counts}, {_size(mesh.vertices, options.unit)}, density level {chosen.level:.3g}"


def _size(places: np.ndarray, unit: str) -> str:
    """Width, height and depth of what was made."""
    sides = " x ".join(f"{length:.3g}" for length in places.max(axis=0) - places.min(axis=0))
    return f"{sides} {'head units' if unit == 'head' else unit}"
