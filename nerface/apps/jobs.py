"""From the command line's words to calls of the library."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nerface.apps.console import EXIT_STOPPED, Console, StopOnSignal
from nerface.config import RunConfig, override
from nerface.files import read_json
from nerface.precision import pick_device
from nerface.presets import capture_size, everyday_preset, preset
from nerface.switches import switch_settings, switched

if TYPE_CHECKING:
    from nerface.capture import CaptureOptions, CaptureReport
    from nerface.creation import Created, CreateOptions


def device_of(options: argparse.Namespace) -> torch.device:
    """The device asked for; `UserError` where it is not there."""
    return pick_device(options.device)


def run_config(options: argparse.Namespace) -> RunConfig:
    """The preset with the user's changes."""
    return override(switched(preset(options.preset), options.switch), _own_settings(options))


def settings_of(options: argparse.Namespace) -> list[str]:
    """All that the user changes of a configuration, as "name=value"."""
    return [*switch_settings(options.switch), *_own_settings(options)]


def _own_settings(options: argparse.Namespace) -> list[str]:
    return [*options.set, *(["data.half_res=true"] if options.half_res else [])]


def capture_options(options: argparse.Namespace, preset_size: int) -> CaptureOptions:
    """What the user said of the capture, and the preset's size."""
    from nerface.capture import CaptureOptions

    return CaptureOptions(
        size=preset_size if options.size is None else options.size,
        image_format=options.format,
        focal_px=options.focal,
        square=not options.keep_shape,
        plate=options.plate_photo,
        steady=not options.no_steady,
        test_share=options.test_share,
        min_face_share=options.min_face_share,
        weights=options.weights,
        device=str(device_of(options)),
    )


def capture_lines(report: CaptureReport) -> list[str]:
    """How a capture went: its figures, what the file is like, and what to film differently."""
    from nerface.capture.advice import judge, report_lines
    from nerface.capture.page_reading import read_evidence

    return [capture_line(report), *report.notes, *report_lines(judge(read_evidence(report.folder)))]


def capture_line(report: CaptureReport) -> str:
    """The figures of a capture, in one line."""
    dropped = "; ".join(f"{count} dropped: {reason}" for reason, count in report.dropped.items())
    return (
        f"captured {report.frames_used} of {report.frames_decoded} frames{f' ({dropped})' if dropped else ''}; "
        f"reprojection error {report.rms_px:.2f} px, {100 * report.rms_share:.1f} % of the eye distance "
        f"({100 * report.held_out_share:.1f} % on frames left out of the solve); focal length "
        f"{report.focal_px:.0f} px ({'assumed, not known' if report.focal_assumed else 'as stated'}); "
        f"the backdrop seen in {100 * report.plate_seen:.0f} % of the picture"
    )


def tell_if_slow(preset_name: str, device: torch.device, console: Console) -> None:
    """A word about presets that were made for another device, before hours pass."""
    better = {"paper": "tiny", "splat": "splat_tiny"}.get(preset_name)
    if device.type == "cpu" and better is not None:
        console.say_at_work(f"note: the preset {preset_name} takes hours to days without a GPU; {better} takes minutes")


def create_job(options: argparse.Namespace, console: Console) -> int:
    """`nerface create`."""
    from nerface.creation import CreateOptions

    device = device_of(options)
    if options.preset is None:
        options.preset = _begun_with(options) or everyday_preset(device.type)
        console.say_at_work(f"preset {options.preset} (device {device}; --preset says otherwise)")
    tell_if_slow(options.preset, device, console)
    chosen = CreateOptions(
        config=run_config(options),
        capture=capture_options(options, capture_size(options.preset)),
        device=str(device),
        max_train_seconds=None if options.max_minutes is None else 60 * options.max_minutes,
    )
    created = run_create(options.video, options.output, chosen, options.resume, console)
    return report_created(created, console)


def _begun_with(options: argparse.Namespace) -> str | None:
    """The preset of what is gone on with, perhaps on another device than it was begun on; None where there is none."""
    from nerface.creation import RECORD

    record = options.output / RECORD
    if not (options.resume and record.is_file()):
        return None
    try:
        return str(read_json(record)["config"]["preset"])
    except (KeyError, TypeError):  # not one of ours: `create` says so
        return None


def run_create(video: Path, folder: Path, chosen: CreateOptions, resume: bool, console: Console) -> Created:
    """`create` with Ctrl-C asking for a checkpoint while it trains."""
    from nerface.creation import create

    with StopOnSignal(console) as stop:
        return create(video, folder, chosen, resume=resume, stop=stop, progress=console)


def report_created(created: Created, console: Console) -> int:
    """Tell what `create` found and wrote."""
    if not created.finished:
        return EXIT_STOPPED
    console.show((created.evaluation / "metrics.txt").read_text())
    console.show(faces_line(read_json(created.folder / "faces.json")))
    console.wrote(created.dataset, "the dataset; report.html shows how the capture went")
    console.wrote(created.avatar, "the avatar; curves.png beside it tells how training went")
    console.wrote(created.evaluation, "held-out frames: metrics.json, renders/, side_by_side.mp4, contact_sheet.png")
    console.wrote(created.folder / "faces.json", "the landmark net's judgement of the renders")
    console.wrote(created.video, "the held-out expressions, seen by a circling camera")
    return 0


def faces_line(faces: dict[str, Any]) -> str:
    """What `faces.json` says, in one line."""
    shown, found, error = faces["truth_found_share"], faces["found_share"], faces["landmark_error_mean"]
    if not shown:
        return f"landmark net on the {faces['frames']} held-out frames: no face found in the frames themselves"
    followed = ", ".join(f"{name} {number:.2f}" for name, number in faces["correlations"].items())
    return (
        f"landmark net on the {faces['frames']} held-out renders: face found in {found:.0%}"
        + (f", landmarks {error:.1%} of the eye distance from the truth" if error is not None else "")
        + (f"; scores follow the truth with correlation {followed}" if followed else "")
    )
