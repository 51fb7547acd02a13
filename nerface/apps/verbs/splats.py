"""`nerface splats`."""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerface.apps.console import Console
from nerface.apps.verbs import expression_options as shared
from nerface.apps.verbs import options as common
from nerface.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from nerface.fields.splat import SplatAvatar

NAME = "splats"
HELP = "write the Gaussians of a splat avatar at one expression as a .ply that viewers of 3D Gaussians open"
DOWN_NOTE = "then turned by half a turn about x: y down, z into the face"


def add_options(verb: argparse.ArgumentParser) -> None:
    common.avatar(verb)
    common.output(verb, "a new file, ending in .ply", metavar="FILE")
    verb.add_argument("--head-only", action="store_true", help="leave out what follows the body rather than the head")
    verb.add_argument(
        "--least-opacity",
        type=float,
        metavar="SHARE",
        help="leave out what is less opaque than this (default: 1/255, which is never drawn)",
    )
    shared.expression(verb.add_argument_group("expression", "default: the mean of the training frames"))
    view = verb.add_argument_group("view", "where from the colours are seen, and how the body stands")
    view.add_argument(
        "--turn",
        type=float,
        nargs=2,
        metavar=("YAW", "PITCH"),
        help="degrees from the rest pose, to the right of the picture and up (default: 0 0)",
    )
    view.add_argument("--frame-pose", action="store_true", help="as the frame of --by shows them")
    view.add_argument(
        "--view-colours",
        action="store_true",
        help="let colours change with the direction of view (harmonics of degree 1), as the avatar's do near this "
        "view; many viewers and converters show their constant part alone, which is then a wrong colour",
    )
    axes = verb.add_argument_group("axes and unit")
    shared.axes(axes)
    axes.add_argument(
        "--y-down", action="store_true", help="turned by half a turn about x, for viewers that show y up upside down"
    )
    common.device(verb)


def run(options: argparse.Namespace, console: Console) -> int:
    import torch

    from nerface.apps.jobs import device_of
    from nerface.driving.limits import body_poses
    from nerface.driving.views import rest_pose
    from nerface.geometry.splats import SplatOptions, extract_splats
    from nerface.interop.gaussian_ply import check_output, placed, write_gaussian_ply
    from nerface.types import Camera

    began = time.monotonic()
    _check(options)
    check_output(options.output)
    scale = shared.length_scale(options)
    avatar = _load(options.avatar, device_of(options))
    if options.head_only and not avatar.config.body:
        raise UserError(f"{options.avatar} knows no body apart from the head: leave out --head-only")
    condition = shared.condition(options, avatar, "a file of Gaussians")
    pose = _pose(options, avatar)
    bodies = body_poses(pose[None], rest_pose(avatar.subject), avatar.subject.seen_angles)
    condition = replace(condition, body_from=torch.from_numpy(bodies[0]))
    camera = Camera(avatar.subject.intrinsics, torch.from_numpy(pose))
    chosen = SplatOptions(head_only=options.head_only, view_colours=options.view_colours)
    if options.least_opacity is not None:
        chosen = replace(chosen, least_opacity=options.least_opacity)
    placing = shared.placing(options, scale, avatar.subject, console)
    down = -1 if options.y_down else 1
    cloud = placed(
        extract_splats(avatar, camera, condition, chosen), (-1 if placing.mirror else 1, down, down), placing.scale
    )
    note = f"{placing.note}, {DOWN_NOTE}" if options.y_down else placing.note
    write_gaussian_ply(options.output, cloud, note)
    told = f"{len(cloud)} Gaussians, {shared.size_words(cloud.positions, options.unit)}"
    console.wrote(options.output, f"{told}, {time.monotonic() - began:.1f} s")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raise `UserError` for options that make no sense, before anything is loaded."""
    shared.check(options)
    if options.least_opacity is not None and not 0.0 <= options.least_opacity < 1.0:
        raise UserError(f"--least-opacity {options.least_opacity} makes no sense: give 0 or more, and less than 1")
    if options.frame_pose and options.by is None:
        raise UserError("--frame-pose needs --by DATASET, whose frame it is")
    if options.frame_pose and options.turn is not None:
        raise UserError("--frame-pose and --turn contradict each other: give one of them")
    if options.turn is not None and not all(math.isfinite(angle) for angle in options.turn):
        raise UserError("--turn needs two angles in degrees")


def _load(path: Path, device: Any) -> SplatAvatar:
    from nerface.checkpoint import load_avatar
    from nerface.fields.splat import SplatAvatar

    avatar = load_avatar(path, device)
    if not isinstance(avatar, SplatAvatar):
        raise UserError(
            f"{path} has no Gaussians: they are those of avatars trained with --preset splat (nerface mesh writes the "
            "surface of this one)"
        )
    return avatar


def _pose(options: argparse.Namespace, avatar: SplatAvatar) -> np.ndarray:
    """The camera asked for, camera to head [4, 4]."""
    import numpy as np

    from nerface.driving.paths import turned
    from nerface.driving.track import read_track
    from nerface.driving.views import rest_pose, subject_convention

    subject = avatar.subject
    if options.frame_pose:
        missing: np.ndarray = np.array(subject.expression_mean, dtype=np.float32)
        track = read_track(options.by, options.split).adapted(subject, "same", missing, offered=False)
        pose = track.camera_to_head[track.find(f"{options.split}:{options.frame}", options.split)]
    else:
        pose = turned(rest_pose(subject), np.array([options.turn or (0.0, 0.0)]), subject_convention(subject))[0]
    return np.array(pose, dtype=np.float32)
