"""`nerface import`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from nerface.apps.console import Console
from nerface.apps.verbs import options as common
from nerface.apps.words import frame_count, frame_rate, pixels, seed

if TYPE_CHECKING:
    from nerface.interop.formats import SourceOptions
    from nerface.interop.tracked_dataset import ImportOptions, ImportReport

NAME = "import"
HELP = "turn what another tracker left (NeRFace's, VHAP, INSTA, IMavatar, AD-NeRF, OpenFace, ARKit) into a dataset"
# The names of nerface.interop.formats, which would pull in torch (a test binds the two).
FORMATS = ("tracker", "vhap", "insta", "metrical-tracker", "imavatar", "adnerf", "openface", "arkit")


def add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("source", type=Path, metavar="SOURCE", help="the tracker's folder, or its table (.csv)")
    common.output(verb, "a new folder for the dataset", metavar="DATASET")
    verb.add_argument(
        "--format",
        choices=FORMATS,
        metavar="NAME",
        help=f"what SOURCE is: {', '.join(FORMATS)} (default: found from what is in it)",
    )
    verb.add_argument(
        "--no-checks", action="store_true", help="write the dataset although axes or lengths look wrong (see docs)"
    )
    _add_frame_options(verb.add_argument_group("frames"))
    _add_picture_options(verb.add_argument_group("boxes and pictures"))
    _add_source_options(verb.add_argument_group("single formats"))
    verb.set_defaults(keeps_work=True)  # a capture of a take's video is taken up


def _add_frame_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--resplit", action="store_true", help="divide the frames anew although the source has splits of its own"
    )
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
        "--unit",
        type=_scale,
        metavar="M",
        help="unit of length in metres (default: the format's, or judged by the camera's distance)",
    )
    group.add_argument("--no-overlay", action="store_true", help="write no overlay.mp4")


def _add_source_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--cropped-from",
        type=pixels,
        nargs=2,
        metavar=("W", "H"),
        help="tracker: size of the pictures that intrinsics.txt is about, if their middle was cut out",
    )
    group.add_argument(
        "--camera", type=int, metavar="N", help="vhap: the camera_index to take, where there are several"
    )
    group.add_argument(
        "--flame-joints",
        type=float,
        nargs=6,
        metavar=("RX", "RY", "RZ", "NX", "NY", "NZ"),
        help="vhap, imavatar: places of the root and neck joints of the person's FLAME head, in metres",
    )
    group.add_argument("--video", type=Path, metavar="FILE", help="openface, arkit: the video that the table is about")
    group.add_argument(
        "--focal", type=_scale, metavar="PX", help="openface, arkit: focal length in pixels of the video"
    )
    group.add_argument("--captured", type=Path, metavar="DATASET", help="arkit: a finished capture of the take's video")
    group.add_argument(
        "--sync", type=float, metavar="S", help="arkit: when the video begins, in seconds from the table's first row"
    )
    group.add_argument(
        "--size", type=int, metavar="PX", help="arkit: longer side of the captured pictures (default: 512)"
    )
    group.add_argument("--weights", type=Path, metavar="FOLDER", help="where the networks are (see `nerface weights`)")


def _scale(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"'{word}' is not a number above 0")
    return value


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.interop.formats import import_tracking

    shared, own = _shared(options), _own(options)
    report = import_tracking(options.source, options.output, options.format, shared, own, console)
    _show(report, console)
    overlay = (options.output / "overlay.mp4").exists()
    more = "; look at overlay.mp4: where it is right, training will work" if overlay else ""
    console.wrote(options.output, f"the dataset{more}; next: nerface check {options.output}")
    return 0


def _show(report: ImportReport, console: Console) -> None:
    for note in report.notes:
        console.show(f"note: {note}")
    inner, counts = report.intrinsics, report.counts
    unused = f", {report.unused} unused" if report.unused else ""
    console.show(
        f"{report.form}: {counts['train']} train, {counts['val']} val and {counts['test']} test frames{unused} of "
        f"{inner.width}x{inner.height}; fx {inner.fx:.1f}, fy {inner.fy:.1f} px, cx {inner.cx:.4f}, cy {inner.cy:.4f}; "
        f"translations times {report.scale:.6g}"
    )


def _shared(options: argparse.Namespace) -> ImportOptions:
    """What holds for every format."""
    from nerface.interop.tracked_dataset import ImportOptions
    from nerface.interop.tracker_splits import SplitOptions

    split = SplitOptions(
        test_frames=options.test_frames,
        test_share=options.test_share,
        val_frames=options.val_frames,
        train_share=options.train_share,
        shuffled=options.shuffle,
        seed=options.seed,
    )
    return ImportOptions(
        split=split,
        resplit=options.resplit,
        mesh=options.mesh,
        mesh_scale=options.mesh_scale,
        landmarks=options.landmarks,
        background=options.background,
        names=options.names,
        frame_rate=options.frame_rate,
        unit_m=options.unit,
        cropped_from=None if options.cropped_from is None else tuple(options.cropped_from),
        overlay=not options.no_overlay,
        doubts=not options.no_checks,
        weights=options.weights,
    )


def _own(options: argparse.Namespace) -> SourceOptions:
    """What single formats can be told."""
    from nerface.capture.options import CaptureOptions
    from nerface.interop.formats import SourceOptions

    capture = CaptureOptions(
        size=options.size or CaptureOptions().size, focal_px=options.focal, weights=options.weights, seed=options.seed
    )
    return SourceOptions(
        camera=options.camera,
        flame_joints=None if options.flame_joints is None else tuple(options.flame_joints),
        video=options.video,
        focal_px=options.focal,
        captured=options.captured,
        sync=options.sync,
        capture=capture,
    )
