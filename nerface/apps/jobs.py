"""From the command line's words to calls of the library."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from nerface.apps.console import Console, StopOnSignal
from nerface.config import RunConfig, override
from nerface.errors import UserError
from nerface.precision import pick_device
from nerface.presets import capture_size, preset

if TYPE_CHECKING:
    from nerface.capture import CaptureOptions, CaptureReport
    from nerface.create import Created, CreateOptions

EXIT_STOPPED = 130
DEFAULT_RENDER_FRAMES = 100


def device_of(options: argparse.Namespace) -> torch.device:
    """The device asked for; `UserError` where it is not there."""
    try:
        return pick_device(options.device)
    except (ValueError, RuntimeError) as error:
        raise UserError(f"--device {options.device}: {error}") from None


def run_config(options: argparse.Namespace) -> RunConfig:
    """The preset with the user's changes."""
    config = override(preset(options.preset), options.set)
    return dataclasses.replace(config, half_res=True) if options.half_res else config


def capture_options(options: argparse.Namespace, preset_size: int) -> CaptureOptions:
    """What the user said of the capture, and the preset's size."""
    from nerface.capture import CaptureOptions

    return CaptureOptions(
        size=options.size or preset_size,
        image_format=options.format,
        focal_px=options.focal,
        square=not options.keep_shape,
        test_share=options.test_share,
        min_face_share=options.min_face_share,
        weights=options.weights,
    )


def capture_line(report: CaptureReport) -> str:
    """How a capture went, in one line."""
    dropped = "; ".join(f"{count} dropped: {reason}" for reason, count in report.dropped.items())
    return (
        f"captured {report.frames_used} of {report.frames_decoded} frames{f' ({dropped})' if dropped else ''}; reprojection "
        f"error {report.rms_px:.2f} px, {100 * report.rms_share:.1f} % of the eye distance; focal length "
        f"{report.focal_px:.0f} px ({'assumed, not known' if report.focal_assumed else 'as stated'}); "
        f"{100 * report.plate_seen:.0f} % of the backdrop seen"
    )


def create_job(options: argparse.Namespace, console: Console) -> int:
    """`nerface create`."""
    from nerface.create import CreateOptions

    chosen = CreateOptions(
        config=run_config(options),
        capture=capture_options(options, capture_size(options.preset)),
        device=str(device_of(options)),
        max_train_seconds=None if options.max_minutes is None else 60 * options.max_minutes,
    )
    created = run_create(options.video, options.output, chosen, options.resume, console)
    return report_created(created, console)


def run_create(video: Path, folder: Path, chosen: CreateOptions, resume: bool, console: Console) -> Created:
    """`create` with Ctrl-C asking for a checkpoint while it trains."""
    from nerface.create import create

    with StopOnSignal(console) as stop:
        return create(video, folder, chosen, resume=resume, stop=stop, progress=console)


def report_created(created: Created, console: Console) -> int:
    """Tell what `create` found and wrote."""
    if not created.finished:
        return EXIT_STOPPED
    console.show((created.evaluation / "metrics.txt").read_text())
    faces = json.loads((created.folder / "faces.json").read_text())
    error = faces["landmark_error_mean"]
    followed = ", ".join(f"{name} {number:.2f}" for name, number in faces["correlations"].items())
    console.say(
        f"landmark net on the {faces['frames']} held-out renders: face found in {100 * (faces['found_share'] or 0):.0f} %"
        + (f", landmarks {100 * error:.1f} % of the eye distance from the truth" if error is not None else "")
        + (f"; scores follow the truth with correlation {followed}" if followed else "")
    )
    console.wrote(created.dataset, "the dataset; overlay.mp4 and capture.json tell how the capture went")
    console.wrote(created.avatar, "the avatar")
    console.wrote(created.evaluation, "held-out frames: metrics.json, frames.csv, renders/, side_by_side.mp4, contact_sheet.png")
    console.wrote(created.video, "the held-out expressions, seen by a circling camera")
    return 0


def render_job(options: argparse.Namespace, device: torch.device, console: Console) -> int:
    """`nerface render`."""
    from nerface.checkpoint import load_avatar
    from nerface.data import load_dataset
    from nerface.driving.views import dataset_views, orbit_views, require_same_channels
    from nerface.rendering.sequence import SequenceOptions, render_video

    avatar = load_avatar(options.avatar, device)
    subject = avatar.subject
    if options.by is None and options.orbit is None:
        raise UserError("say what to draw: --by DATASET, --orbit YAW PITCH, or both")
    rate = subject.frame_rate or 25.0
    expressions = np.tile(np.array(subject.expression_mean, dtype=np.float32), (options.frames or DEFAULT_RENDER_FRAMES, 1))
    if options.by is not None:
        driver = load_dataset(options.by, splits=(options.split,), background_required=False, progress=console)
        require_same_channels(subject, tuple(driver.expression_names), str(options.by))
        expressions, rate = np.array(driver.splits[options.split].expressions), driver.frame_rate or rate
        views = list(dataset_views(driver.splits[options.split], subject.intrinsics))
    if options.orbit is not None:
        views = list(orbit_views(subject, expressions, *options.orbit))
    chosen = SequenceOptions(latent=options.latent, frame_rate=rate, precision=options.precision)
    render_video(avatar, views[: options.frames], options.output, chosen, console)
    console.wrote(options.output, f"{len(views[: options.frames])} frames")
    return 0
