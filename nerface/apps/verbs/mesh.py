"""`nerface mesh`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerface.apps.console import Console
from nerface.apps.verbs import expression_options as shared
from nerface.apps.verbs import options as common
from nerface.errors import UserError

if TYPE_CHECKING:
    from nerface.fields.paper import PaperAvatar
    from nerface.types import Condition

NAME = "mesh"
HELP = "write an avatar's surface at one expression as a mesh (.ply, .glb), or as a point cloud (.ply)"


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
    shared.expression(verb.add_argument_group("expression", "default: the mean of the training frames"))
    _surface(verb.add_argument_group("surface"))
    shared.axes(verb.add_argument_group("axes and unit"))
    common.device(verb)


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


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of
    from nerface.geometry import check_output

    began = time.monotonic()
    _check(options)
    check_output(options.output, options.points)
    scale = shared.length_scale(options)
    avatar = _load(options.avatar, device_of(options))
    condition = shared.condition(options, avatar, "a mesh")
    placing = shared.placing(options, scale, avatar.subject, console)
    write = _write_points if options.points else _write_mesh
    told = write(options, avatar, condition, placing, console)
    console.wrote(options.output, f"{told}, {time.monotonic() - began:.1f} s")
    if options.preview is not None:
        console.wrote(options.preview, "shape and colours, from the front and from the side")
    return 0


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
    shared.check(options)


def _load(path: Path, device: Any) -> PaperAvatar:
    from nerface.checkpoint import load_avatar
    from nerface.fields.paper import PaperAvatar

    avatar = load_avatar(path, device)
    if not isinstance(avatar, PaperAvatar):
        raise UserError(
            f"{path} is made of Gaussians, which have no surface to make a mesh of: nerface splats writes them as a "
            "file for viewers of Gaussians"
        )
    return avatar


def _write_points(
    options: argparse.Namespace, avatar: PaperAvatar, condition: Condition, placing: shared.Placing, console: Console
) -> str:
    from nerface.geometry import PointOptions, extract_points, placed, write_points

    pixels = PointOptions.pixels if options.resolution is None else options.resolution
    points = extract_points(avatar, condition, PointOptions(pixels=pixels, extent=options.extent), console)
    points = placed(points, mirror=placing.mirror, scale=placing.scale)
    write_points(options.output, points, placing.note)
    return f"{len(points.positions)} points, {shared.size_words(points.positions, options.unit)}"


def _write_mesh(
    options: argparse.Namespace, avatar: PaperAvatar, condition: Condition, placing: shared.Placing, console: Console
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
    return f"{counts}, {shared.size_words(mesh.vertices, options.unit)}, density level {chosen.level:.3g}"
