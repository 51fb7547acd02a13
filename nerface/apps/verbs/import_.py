"""`nerface import`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from nerface.apps.console import Console
from nerface.apps.verbs import options as common
from nerface.apps.words import frame_count, frame_rate, pixels, seed

NAME = "import"
HELP = "turn a face tracker's folder (images/, intrinsics.txt, expression.txt, rigid.txt) into a dataset"


def add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("source", type=Path, metavar="SOURCE", help="the tracker's folder")
    common.output(verb, "a new folder for the dataset", metavar="DATASET")
    group = verb.add_argument_group("frames")
    group.add_argument(
        "--test-frames",
        type=frame_count,
        metavar="N",
        help="hold out the last N frames (default: 1000 as NeRFace does; 15 %% of clips under 4000 frames)",
    )
    group.add_argument("--test-share", type=float, metavar="SHARE", help="hold out this share instead")
    group.add_argument("--val-frames", type=int, default=5, metavar="N", help="validation frames (default: 5)")
    group.add_argument(
        "--train-share", type=float, default=1.0, metavar="SHARE", help="use the first part of the rest, e.g. 0.5"
    )
    order = group.add_mutually_exclusive_group()
    order.add_argument("--temporal", action="store_true", help="keep training frames in temporal order (default)")
    order.add_argument("--shuffle", action="store_true", help="number training frames at random, as NeRFace does")
    group.add_argument("--seed", type=seed, default=0, metavar="N", help="of all that is random (default: 0)")
    _add_picture_options(verb.add_argument_group("boxes and pictures"))


def _add_picture_options(group: argparse._ArgumentGroup) -> None:
    box = group.add_mutually_exclusive_group()
    box.add_argument("--mesh", type=Path, metavar="FILE", help="boxes from this mean face (.obj, .ply, .off), drawn")
    box.add_argument(
        "--landmarks", type=Path, metavar="FILE", help="boxes from landmarks: u v pairs in pixels, one row a frame"
    )
    group.add_argument(
        "--mesh-scale", type=_scale, default=1e-6, metavar="S", help="mesh unit in the tracker's (default: 1e-6)"
    )
    group.add_argument("--background", type=Path, metavar="FILE", help="picture of the empty scene")
    group.add_argument("--names", type=Path, metavar="FILE", help="names of the expression channels")
    group.add_argument("--frame-rate", type=frame_rate, metavar="HZ", help="of the video, for times")
    group.add_argument(
        "--unit", type=_scale, metavar="M", help="unit of length in metres (default: judged by the camera's distance)"
    )
    group.add_argument(
        "--cropped-from",
        type=pixels,
        nargs=2,
        metavar=("W", "H"),
        help="size of the pictures that intrinsics.txt is about, if their middle was cut out",
    )
    group.add_argument("--no-overlay", action="store_true", help="write no overlay.mp4")


def _scale(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"'{word}' is not a number above 0")
    return value


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.interop.tracker_import import ImportOptions, import_tracker_folder
    from nerface.interop.tracker_splits import SplitOptions

    split = SplitOptions(
        test_frames=options.test_frames,
        test_share=options.test_share,
        val_frames=options.val_frames,
        train_share=options.train_share,
        shuffled=options.shuffle,
        seed=options.seed,
    )
    chosen = ImportOptions(
        split=split,
        mesh=options.mesh,
        mesh_scale=options.mesh_scale,
        landmarks=options.landmarks,
        background=options.background,
        names=options.names,
        frame_rate=options.frame_rate,
        unit_m=options.unit,
        cropped_from=None if options.cropped_from is None else tuple(options.cropped_from),
        overlay=not options.no_overlay,
    )
    report = import_tracker_folder(options.source, options.output, chosen, console)
    for note in report.notes:
        console.show(f"note: {note}")
    inner, counts = report.intrinsics, report.counts
    unused = f", {report.unused} unused" if report.unused else ""
    console.show(
        f"{counts['train']} train, {counts['val']} val and {counts['test']} test frames{unused} of {inner.width}x"
        f"{inner.height}; fx {inner.fx:.1f}, fy {inner.fy:.1f} px, cx {inner.cx:.4f}, cy {inner.cy:.4f}; "
        f"translations times {report.scale:.6g}"
    )
    more = "" if options.no_overlay else "; look at overlay.mp4: where it is right, training will work"
    console.wrote(options.output, f"the dataset{more}; next: nerface check {options.output}")
    return 0
