"""What `render` and `reenact` share: options to library calls, and the video at the end."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from nerface.apps.console import Console
from nerface.driving.backdrop import read_backdrop, require_backdrop
from nerface.driving.driver import Driver, Selection
from nerface.driving.edits import Edit, beyond_training, read_edit
from nerface.driving.latents import OWN, WALK, sequence_latents
from nerface.driving.limits import beyond, kept_within
from nerface.driving.repose import camera_angles
from nerface.driving.views import Script, rest_pose, standing, subject_convention
from nerface.errors import UserError
from nerface.fields.base import Avatar, Subject
from nerface.fields.held_back import HeldBack
from nerface.rendering.sequence import SequenceOptions, render_video
from nerface.video import DEFAULT_FRAME_RATE_HZ

DEFAULT_SPLIT = "test"
SHOWN = 3  # channels that a note names
TOLD_FROM_DEG = 2.0  # beyond what training saw: less is not worth a note


def selection(options: argparse.Namespace) -> Selection:
    """Which frames drive."""
    return Selection(options.split or DEFAULT_SPLIT, options.start or 0, options.frames, options.channels or "same")


def backdrop(options: argparse.Namespace, avatar: Avatar) -> Float[torch.Tensor, "height width 3"] | None:
    """The background asked for, or None for the avatar's own."""
    if options.background is None:
        return None
    require_backdrop(avatar)
    inner = avatar.subject.intrinsics
    return read_backdrop(options.background, inner.width, inner.height)


def check_latent(options: argparse.Namespace, avatar: Avatar) -> None:
    """Raise `UserError` for a code that does not exist, before a dataset is read."""
    sequence_latents(avatar, WALK if options.latent == OWN else options.latent, 1)


def check_loops(options: argparse.Namespace, moving: bool = False) -> None:
    """Raise `UserError` where --loops has nothing to repeat."""
    if options.loops is not None and not moving and not any(".." in edit for edit in options.edit):
        raise UserError(
            "--loops needs something that goes there and back: --edit NAME=A..B (or render's --interpolate)"
        )


def read_edits(options: argparse.Namespace, subject: Subject) -> list[Edit]:
    """The edits asked for."""
    return [read_edit(text, subject.expression_names) for text in options.edit]


def edited(
    expressions: Float[np.ndarray, "frames expression"], edits: list[Edit], options: argparse.Namespace
) -> Float[np.ndarray, "frames expression"]:
    """Expressions with the edits."""
    for edit in edits:
        expressions = edit.apply(expressions, options.loops or 1)
    return expressions


def within_range(
    expressions: Float[np.ndarray, "frames expression"],
    options: argparse.Namespace,
    avatar: Avatar,
    console: Console,
) -> Float[np.ndarray, "frames expression"]:
    """Expressions kept within the range of training where that is asked for; tells `console` of those that left it, or
    that the avatar holds back by itself.

    Far outside a field draws noise, not a face: a channel that hardly moved in training is a large number after the
    division by its spread.
    """
    subject, names = avatar.subject, avatar.expression_names
    if options.range == "any":
        held = avatar.held_back(expressions)
        if held:
            _tell_held_back(held, len(expressions), names, console)
            return expressions
    left = beyond_training(expressions, subject.expression_min, subject.expression_max)
    if left:
        some = ", ".join(f"{names[channel]} {value:.2f}" for channel, value in list(left.items())[:SHOWN])
        more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        then = "kept inside it (--range any)" if options.range == "seen" else "the avatar guesses there (--range seen)"
        console.say(f"note: beyond the range of training: {some}{more}: {then}")
    if options.range == "any":
        return expressions
    return np.clip(expressions, subject.expression_min, subject.expression_max).astype(np.float32)


def _tell_held_back(held: Sequence[HeldBack], frames: int, names: Sequence[str], console: Console) -> None:
    some = ", ".join(
        f"{names[each.channel]} {each.asked:.2f} shown as {each.shown:.2f} ({each.frames} of {frames} frames)"
        for each in held[:SHOWN]
    )
    more = f" and {len(held) - SHOWN} more" if len(held) > SHOWN else ""
    console.say(
        f"note: beyond what training saw the avatar holds back: {some}{more} (--range seen keeps them inside it)"
    )


def poses_within_range(
    camera_to_head: Float[np.ndarray, "frames 4 4"], options: argparse.Namespace, subject: Subject, console: Console
) -> Float[np.ndarray, "frames 4 4"]:
    """Cameras kept where training saw the head from, where that is asked for; tells of those that left it."""
    away = np.abs(beyond(camera_to_head, subject.seen_angles)).max(axis=0)
    if away.max() > TOLD_FROM_DEG:
        yaw, pitch = _from_rest(subject)
        then = "kept inside it (--range any)" if options.range == "seen" else "the avatar guesses there (--range seen)"
        console.say(
            f"note: training saw the head from yaw {yaw[0]:.0f} to {yaw[1]:.0f} and pitch {pitch[0]:.0f} to "
            f"{pitch[1]:.0f} degrees from the rest pose; the camera goes beyond by {away[0]:.0f} and {away[1]:.0f}: "
            + then
        )
    return kept_within(camera_to_head, subject.seen_angles) if options.range == "seen" else camera_to_head


def _from_rest(subject: Subject) -> tuple[tuple[float, float], tuple[float, float]]:
    """The ranges of yaw and pitch that training saw, counted as camera paths count them: from the rest pose, yaw to
    the same side of the picture whether head space is mirrored or not."""
    yaw_least, yaw_most, pitch_least, pitch_most = subject.seen_angles
    yaw, pitch = np.degrees(camera_angles(rest_pose(subject)[None]))[0].tolist()
    ends = (yaw_least - yaw, yaw_most - yaw)
    if subject_convention(subject).head_mirrored:
        ends = (-ends[1], -ends[0])
    return ends, (pitch_least - pitch, pitch_most - pitch)


def draw_script(
    avatar: Avatar, script: Script, driver: Driver | None, options: argparse.Namespace, console: Console
) -> int:
    """Draw the video and tell what was written."""
    rate = (driver.frame_rate if driver else None) or avatar.subject.frame_rate or DEFAULT_FRAME_RATE_HZ
    drawing = SequenceOptions(
        frame_rate=rate,
        precision=options.precision,
        background=backdrop(options, avatar),
        beside=driver.track.pictures(driver.shown, console) if driver and options.side_by_side else None,
    )
    script = standing(script, avatar.subject)
    render_video(avatar, script.views(avatar.subject.intrinsics), options.output, drawing, console)
    console.wrote(options.output, f"{len(script)} frames, {len(script) / rate:.1f} s")
    return 0
