"""`nerface demo`: the main job on the sample clip, whose truth is known."""

from __future__ import annotations

import argparse
import dataclasses
import time

from nerface.apps.console import Console
from nerface.apps.jobs import device_of, report_created, run_create
from nerface.capture.options import CaptureOptions
from nerface.creation import CreateOptions, untouched
from nerface.files import refuse_existing, write_json
from nerface.presets import capture_size, preset
from nerface.sample import make_sample_clip
from nerface.sample.truth import TruthReport, compare_with_truth
from nerface.weights import find_weights

PRESET = "splat_tiny"
SAMPLE = "sample"  # the clip's folder


def demo_job(options: argparse.Namespace, console: Console) -> int:
    """Make the sample clip, `create` an avatar from it, and compare the capture with the truth."""
    started = time.monotonic()
    folder = options.output
    if not (options.resume and (untouched(folder) or (folder / SAMPLE).is_dir())):
        refuse_existing(folder)
    device = device_of(options)
    find_weights(options.weights)  # before half a minute of drawing
    clip = make_sample_clip(folder / SAMPLE, progress=console)
    chosen = CreateOptions(
        config=preset(PRESET),
        capture=CaptureOptions(size=capture_size(PRESET), weights=options.weights),
        device=str(device),
    )
    created = run_create(clip.video, folder / "avatar", chosen, options.resume, console)
    status = report_created(created, console)
    if status:
        return status
    truth = compare_with_truth(created.dataset, clip.truth)
    write_json(folder / "truth.json", dataclasses.asdict(truth))
    for line in truth_lines(truth):
        console.show(line)
    console.wrote(folder / "truth.json", "the capture against the clip's known truth")
    console.show(f"demo done in {time.monotonic() - started:.0f} s")
    return 0


def truth_lines(truth: TruthReport) -> list[str]:
    """The comparison in words."""
    correlations = ", ".join(f"{name} {value:.2f}" for name, value in truth.score_correlation.items())
    return [
        f"capture against the truth over {truth.frames} frames: rotation error {truth.rotation_error_deg:.2f} degrees, "
        f"translation error {truth.across_error_mm:.1f} mm across and {truth.depth_error_mm:.1f} mm in depth, "
        f"focal length {truth.focal_ratio:.2f} of the true one, "
        f"gain of yaw {truth.yaw_gain:.2f} and of pitch {truth.pitch_gain:.2f}",
        f"correlation of captured scores with the true expression: {correlations}",
    ]
