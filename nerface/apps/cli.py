"""The command line: verbs that are thin wrappers over importable functions.

A fault that the user can mend ends with one line on standard error and exit status 2; Ctrl-C with 130, after saying how
to go on. Heavy imports stand inside the verbs, so that `nerface --help` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from nerface import __version__
from nerface.apps.console import Console, StopOnSignal
from nerface.errors import UserError

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
EXIT_USER_ERROR, EXIT_STOPPED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; gives the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    console = Console()
    try:
        with console:
            status = options.run(options, console)
    except UserError as error:
        return _fail(console, str(error))
    except KeyboardInterrupt:
        console.say("stopped; what was finished is kept" + _how_to_resume(options, given))
        return EXIT_STOPPED
    except OSError as error:
        if error.errno in FULL_DISK:
            where = f" (at {error.filename})" if error.filename else ""
            return _fail(console, f"the disk is full{where}: free some space, then run the same command" + _how_to_resume(options, given))
        if isinstance(error, PermissionError):
            return _fail(console, f"no permission to use {error.filename}: choose another folder or change its rights")
        raise
    if status == EXIT_STOPPED:
        console.say("stopped; a checkpoint was written" + _how_to_resume(options, given))
    return status


def _fail(console: Console, message: str) -> int:
    console.say(f"nerface: error: {message}")
    return EXIT_USER_ERROR


def _how_to_resume(options: argparse.Namespace, given: list[str]) -> str:
    if not hasattr(options, "resume"):
        return ""
    return f"; to go on: nerface {shlex.join(given if options.resume else [*given, '--resume'])}"


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    top = argparse.ArgumentParser(prog="nerface", description="From a video of one person to a 4D facial avatar.")
    top.add_argument("--version", action="version", version=f"nerface {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    verb = _verb(verbs, "create", "a video becomes an avatar: capture, training, evaluation, rendered video", run_create)
    verb.add_argument("video", type=Path, help="a video of one person; static camera and backdrop")
    verb.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="a new folder for all results")
    _capture_options(verb)
    _training_options(verb)

    verb = _verb(verbs, "demo", "`create` on the sample clip that nerface makes itself; its truth is known", run_demo)
    verb.add_argument("-o", "--output", type=Path, default=Path("nerface_demo"), metavar="FOLDER", help="default: nerface_demo")
    verb.add_argument("--weights", type=Path, help="folder with the capture networks")
    verb.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    verb.add_argument("--resume", action="store_true", help="go on with a demo that was stopped")

    verb = _verb(verbs, "capture", "a video becomes a dataset", run_capture)
    verb.add_argument("video", type=Path)
    verb.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="a new folder for the dataset")
    _capture_options(verb)

    verb = _verb(verbs, "train", "a dataset becomes an avatar", run_train)
    verb.add_argument("dataset", type=Path, help="a folder in NeRFace's layout, such as capture writes")
    verb.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="a new folder for the run")
    _training_options(verb)

    verb = _verb(verbs, "eval", "draw the held-out frames of a dataset and measure them", run_eval)
    verb.add_argument("avatar", type=Path, help="an avatar.safetensors, or a run's folder")
    verb.add_argument("dataset", type=Path)
    verb.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="a new folder for the results")
    verb.add_argument("--split", default="test", choices=["train", "val", "test"])
    verb.add_argument("--frames", type=int, help="only so many frames")
    verb.add_argument("--no-video", action="store_true", help="write no videos")
    verb.add_argument("--half-res", action="store_true", help="read the pictures at half their size")
    _drawing_options(verb)

    verb = _verb(verbs, "render", "draw a video: a dataset's poses and expressions, or a camera path", run_render)
    verb.add_argument("avatar", type=Path, help="an avatar.safetensors, or a run's folder")
    verb.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.mp4")
    verb.add_argument("--by", type=Path, metavar="DATASET", help="take expressions (and poses) from this dataset")
    verb.add_argument("--split", default="test", choices=["train", "val", "test"], help="of --by")
    verb.add_argument("--orbit", type=float, nargs=2, metavar=("YAW", "PITCH"), help="circle round the head by these degrees")
    verb.add_argument("--frames", type=int, help="length of the video in frames (default: all of --by, or 100)")
    _drawing_options(verb)

    verb = _verb(verbs, "weights", "fetch the networks that capture uses, check them, and say where they are", run_weights)
    verb.add_argument("--weights", type=Path, help="look in this folder first")
    return top


def _verb(verbs: argparse._SubParsersAction, name: str, text: str, run: object) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    verb.set_defaults(run=run)
    return verb


def _capture_options(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group("capture")
    group.add_argument("--size", type=int, help="longer side of the pictures in pixels (default: the preset's)")
    group.add_argument("--focal", type=float, help="focal length in pixels of the source video, where you know it")
    group.add_argument("--format", choices=["png", "jpg"], default="png", help="of the pictures (default: png)")
    group.add_argument("--keep-shape", action="store_true", help="a rectangular crop of the video's own shape")
    group.add_argument("--test-share", type=float, default=0.15, help="share of frames held out at the end (default: 0.15)")
    group.add_argument("--min-face-share", type=float, default=0.6, help="least share of frames that must show the face")
    group.add_argument("--weights", type=Path, help="folder with the capture networks (see `nerface weights`)")


def _training_options(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group("training")
    group.add_argument("--preset", default="paper", help="paper (NeRFace's settings; needs a GPU) or tiny (for a CPU)")
    group.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting, e.g. training.steps=20000")
    group.add_argument("--max-minutes", type=float, help="end training after so long")
    group.add_argument("--half-res", action="store_true", help="train on pictures of half the size")
    group.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    group.add_argument("--resume", action="store_true", help="go on with a run that was stopped")


def _drawing_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--latent", default="mean", help="latent code: mean, zero, or frame:K (K-th training frame); eval also video:K")
    verb.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"], help="auto: bf16 on CUDA, fp32 elsewhere")
    verb.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")


def run_create(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import create_job

    return create_job(options, console)


def run_demo(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.demo import demo_job

    return demo_job(options, console)


def run_capture(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import capture_line, capture_options
    from nerface.capture import capture

    report = capture(options.video, options.output, capture_options(options, preset_size=512), console)
    console.say(capture_line(report))
    console.wrote(options.output, "the dataset, with capture.json and overlay.mp4")
    return 0


def run_train(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of, run_config
    from nerface.data import load_dataset
    from nerface.training.curves import write_training_curves
    from nerface.training.loop import train

    config = run_config(options)
    device = device_of(options)
    dataset = load_dataset(options.dataset, half_res=config.half_res, progress=console)
    seconds = None if options.max_minutes is None else 60 * options.max_minutes
    with StopOnSignal(console) as stop:
        result = train(
            dataset, options.output, config, device=device, resume=options.resume, max_seconds=seconds, stop=stop, progress=console
        )
    if not result.finished:
        return EXIT_STOPPED
    if result.validation_psnr is not None:
        console.say(f"held-out PSNR {result.validation_psnr:.2f} dB after {result.state.step} steps, {result.state.seconds:.0f} s")
    console.wrote(result.avatar_file, "the avatar")
    console.wrote(write_training_curves(options.output), "the training curves")
    return 0


def run_eval(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of
    from nerface.checkpoint import load_avatar
    from nerface.data import load_dataset
    from nerface.evaluation.evaluate import EvaluationOptions, evaluate

    avatar = load_avatar(options.avatar, device_of(options))
    dataset = load_dataset(options.dataset, half_res=options.half_res, progress=console)
    chosen = EvaluationOptions(
        split=options.split, latent=options.latent, video=not options.no_video, frames=options.frames, precision=options.precision
    )
    evaluate(avatar, dataset, options.output, chosen, console)
    console.show((options.output / "metrics.txt").read_text())
    console.wrote(options.output, "metrics, pictures and videos")
    return 0


def run_render(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of, render_job

    return render_job(options, device_of(options), console)


def run_weights(options: argparse.Namespace, console: Console) -> int:
    from nerface.weights import find_weights

    paths = find_weights(options.weights, download=True, progress=console)
    for path in (paths.face_landmarker, paths.selfie_segmentation):
        console.wrote(path, "checked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
