"""`nerface reenact`: another person's dataset drives an avatar."""

from __future__ import annotations

import argparse

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
from nerface.checkpoint import load_avatar
from nerface.driving.backdrop import require_backdrop
from nerface.driving.driver import Driver, open_driver
from nerface.driving.latents import OWN, sequence_latents
from nerface.driving.reenact import (
    Neutral,
    anchored,
    avatar_neutral,
    require_same_axes,
    track_neutral,
    transferred,
)
from nerface.driving.track import read_track
from nerface.driving.views import Script
from nerface.errors import UserError
from nerface.fields.base import Subject
from nerface.rendering.sequence import check_output


def reenact_job(options: argparse.Namespace, device: torch.device, console: Console) -> int:
    """`nerface reenact`."""
    _check(options)
    check_output(options.output)
    avatar = load_avatar(options.avatar, device)
    avatar.chunk_samples = options.chunk
    if options.background is not None:
        require_backdrop(avatar)
    check_latent(options, avatar)
    subject = avatar.subject
    target = _target(options, subject)
    driver = open_driver(options.driver, subject, selection(options), target.expression)
    source = track_neutral(driver.track, options.driver_neutral, driver.split)
    require_same_axes(source, target, driver.track.convention, str(options.driver))
    console.say(f"driver: {source.source}")
    console.say(f"target: {target.source}")
    expressions = edited(_expressions(options, driver, source, target), read_edits(options, subject), options)
    script = Script(
        poses_within_range(_poses(options, driver, source, target), options, subject, console),
        within_range(expressions, options, avatar, console),
        sequence_latents(avatar, options.latent, len(driver)),
    )
    return draw_script(avatar, script, driver, options, console)


def _check(options: argparse.Namespace) -> None:
    if options.target_neutral is not None and options.target is None:
        raise UserError("--target-neutral names a frame of --target DATASET: give that too")
    if options.expression == "copy" and (options.driver_neutral or options.target_neutral):
        raise UserError("--expression copy takes the driver's scores as they are: neutral frames do not enter")
    if options.frontalise and options.anchor == "relative":
        raise UserError("--frontalise keeps the camera still: --anchor does nothing there, leave it out")
    if options.latent == OWN:
        raise UserError("--latent per-frame is for frames of the avatar's training: choose mean, zero, frame:K or walk")
    check_loops(options)


def _target(options: argparse.Namespace, subject: Subject) -> Neutral:
    """The avatar's person at rest: as the avatar knows it, or as its dataset shows it."""
    if options.target is None:
        return avatar_neutral(subject)
    fill = np.array(subject.expression_mean, dtype=np.float32)
    return track_neutral(
        read_track(options.target).adapted(subject, "same", fill, offered=False), options.target_neutral, "train"
    )


def _expressions(
    options: argparse.Namespace, driver: Driver, source: Neutral, target: Neutral
) -> Float[np.ndarray, "frames expression"]:
    if options.expression == "copy":
        return driver.expressions
    names = driver.track.expression_names
    return transferred(driver.expressions, source.expression, target.expression, names)


def _poses(
    options: argparse.Namespace, driver: Driver, source: Neutral, target: Neutral
) -> Float[np.ndarray, "frames 4 4"]:
    if options.frontalise:
        return np.repeat(target.camera_to_head[None], len(driver), axis=0)
    reference = source.camera_to_head if options.anchor == "relative" else None
    return anchored(driver.camera_to_head, target.camera_to_head, driver.track.convention, reference)
