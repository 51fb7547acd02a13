"""`nerface render`: from options to a script of poses and expressions, and from that to a video."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from nerface.apps.console import Console
from nerface.apps.driving_job import (
    check_latent,
    check_loops,
    draw_script,
    edited,
    poses_within_range,
    read_edits,
    selection,
    within_range,
)
from nerface.apps.render_plan import Plan, plan
from nerface.checkpoint import load_avatar
from nerface.driving.backdrop import require_backdrop
from nerface.driving.driver import Driver, open_driver
from nerface.driving.latents import OWN, WALK, sequence_latents
from nerface.driving.paths import ORBIT_PERIOD_FRAMES, SWEEP_FRAMES, orbit_angles, sweep_angles, there_and_back, turned
from nerface.driving.reenact import avatar_neutral
from nerface.driving.repose import fit_pose_share
from nerface.driving.views import Script, rest_pose, subject_convention
from nerface.driving.waypoints import HOLD_FRAMES, LEG_FRAMES, Waypoint, path_frames, read_waypoints, waypoint_path
from nerface.errors import UserError
from nerface.fields.base import Avatar, Subject
from nerface.rendering.sequence import check_output


@dataclass(frozen=True)
class _Given:
    """All that decides what is drawn: the options and what they name."""

    options: argparse.Namespace
    plan: Plan
    subject: Subject
    driver: Driver | None
    points: tuple[Waypoint, ...] | None

    def frames(self) -> int:
        """How many frames there are: those of the dataset, as many as asked for, or what the path takes."""
        if self.plan.follows and self.driver is not None:
            return len(self.driver)
        if self.options.frames is not None:
            return int(self.options.frames)
        if self.points is not None:
            return path_frames(self.points)
        if self.options.sweep is not None:
            return SWEEP_FRAMES
        return self.subject.train_frames if self.options.latent == WALK else ORBIT_PERIOD_FRAMES


def render_job(options: argparse.Namespace, device: torch.device, console: Console) -> int:
    """`nerface render`."""
    chosen = plan(options)
    check_loops(options, moving=options.interpolate is not None)
    check_output(options.output)
    points = None
    if options.waypoints is not None:
        points = read_waypoints(options.waypoints, options.leg or LEG_FRAMES, options.hold or HOLD_FRAMES)
    avatar = load_avatar(options.avatar, device)
    avatar.chunk_samples = options.chunk
    if options.background is not None:
        require_backdrop(avatar)
    check_latent(options, avatar)
    mean = np.array(avatar.subject.expression_mean, dtype=np.float32)
    driver = None if options.by is None else open_driver(options.by, avatar.subject, selection(options), mean)
    script = _script(_Given(options, chosen, avatar.subject, driver, points), avatar, console)
    return draw_script(avatar, script, driver, options, console)


def _script(given: _Given, avatar: Avatar, console: Console) -> Script:
    """What to draw."""
    frames, subject, options = given.frames(), given.subject, given.options
    if given.points is not None and frames < path_frames(given.points):
        console.say(f"note: the way-points take {path_frames(given.points)} frames, only {frames} of them are drawn")
    poses = poses_within_range(_poses(given, frames), options, subject, console)
    expressions = _expressions(given, frames, poses)
    if given.points is not None:
        expressions = waypoint_path(given.points, frames).expressions(expressions, subject.expression_names)
    expressions = edited(expressions, read_edits(options, subject), options)
    rows = None
    if given.driver is not None and options.latent == OWN and given.driver.split == "train":
        trained, codes = given.driver.track.splits.count("train"), len(avatar.latent_codes)
        if trained != codes:
            raise UserError(
                f"--latent per-frame: {options.by} has {trained} training frames, the avatar {codes} codes: it was "
                "trained on another dataset or on a part of it"
            )
        rows = given.driver.track.rows[given.driver.shown]
    return Script(
        camera_to_head=poses,
        expressions=within_range(expressions, options, avatar, console),
        latents=sequence_latents(avatar, options.latent, frames, rows),
        viewed_from=given.driver.camera_to_head if given.driver is not None and options.view_from else None,
    )


def _poses(given: _Given, frames: int) -> Float[np.ndarray, "frames 4 4"]:
    options, driver = given.options, given.driver
    if given.plan.poses_follow and driver is not None:
        return driver.camera_to_head
    base = rest_pose(given.subject)
    if options.camera is not None and driver is not None:
        base = driver.track.camera_to_head[driver.find(options.camera)]
    if options.orbit is not None:
        angles = orbit_angles(frames, *options.orbit)
    elif options.sweep is not None:
        angles = sweep_angles(frames, *options.sweep)
    elif given.points is not None:
        angles = waypoint_path(given.points, frames).angles()
    else:
        return np.repeat(base[None], frames, axis=0)
    return turned(base, angles, subject_convention(given.subject))


def _expressions(
    given: _Given, frames: int, poses: Float[np.ndarray, "frames 4 4"]
) -> Float[np.ndarray, "frames expression"]:
    options, driver = given.options, given.driver
    if given.plan.expressions_follow and driver is not None:
        if given.plan.poses_follow or options.raw_scores:
            return driver.expressions
        share = fit_pose_share(driver.track.camera_to_head, driver.track.expressions)
        return share.moved(driver.expressions, driver.camera_to_head, poses)
    if options.interpolate is not None and driver is not None:
        first, last = (driver.track.expressions[driver.find(word)] for word in options.interpolate)
        return (first + there_and_back(frames, options.loops or 1)[:, None] * (last - first)).astype(np.float32)
    return np.repeat(_fixed(given)[None], frames, axis=0)


def _fixed(given: _Given) -> Float[np.ndarray, " expression"]:
    """The one expression of all frames."""
    word = given.options.fix_expression or "mean"
    if word == "mean":
        return np.array(given.subject.expression_mean, dtype=np.float32)
    if word == "neutral":
        return avatar_neutral(given.subject).expression
    if given.driver is None:
        raise UserError(f"--fix-expression {word} needs --by DATASET")
    return given.driver.track.expressions[given.driver.find(word)]
