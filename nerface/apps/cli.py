"""The command line: verbs that are thin wrappers over importable functions.

A fault that the user can mend ends with one line on standard error and exit status 2; Ctrl-C with 130, after saying how
to go on. Heavy imports stand inside the verbs, so that `nerface --help` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from nerface import __version__
from nerface.apps.console import Console, StopOnSignal
from nerface.apps.words import degrees, frame_count, minutes
from nerface.errors import UserError
from nerface.files import refuse_existing

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
EXIT_USER_ERROR, EXIT_STOPPED, EXIT_PIPE_CLOSED = 2, 130, 141
Run = Callable[[argparse.Namespace, Console], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; gives the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    console = Console()
    try:
        options = parser().parse_args(given)
    except UserError as error:
        return _fail(console, str(error))
    try:
        with console:
            status: int = options.run(options, console)
    except UserError as error:
        return _fail(console, str(error))
    except KeyboardInterrupt:
        status = EXIT_STOPPED
    except BrokenPipeError:  # the reader of standard output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED
    except OSError as error:
        return _fail(console, _system_fault(error) + _how_to_resume(options, given))
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not loaded for its name's sake
            raise
        return _fail(console, "the GPU's memory is full: end other programs there, or lower training.rays with --set")
    if status == EXIT_STOPPED:
        goes_on = _how_to_resume(options, given) or "; to go on, give the same command again"
        console.say(f"stopped; what was finished is kept{goes_on}")
    return status


def _fail(console: Console, message: str) -> int:
    console.say(f"nerface: error: {' '.join(message.split())}")
    return EXIT_USER_ERROR


def _system_fault(error: OSError) -> str:
    where = f" {error.filename}" if error.filename else ""
    if error.errno in FULL_DISK:
        return f"the disk is full{f' (at{where})' if where else ''}: free some space, then run the same command"
    if isinstance(error, PermissionError):
        return f"no permission to use{where or ' a file'}: choose another folder or change its rights"
    if error.errno is None:
        raise error  # not the system's fault but the program's
    return f"{os.strerror(error.errno)}:{where or ' a file or folder'} cannot be used"


def _how_to_resume(options: argparse.Namespace, given: list[str]) -> str:
    if not hasattr(options, "resume"):
        return ""
    return f"; to go on: nerface {shlex.join(given if options.resume else [*given, '--resume'])}"


class _Parser(argparse.ArgumentParser):
    """Words it cannot use are a user's error like any other: one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see: {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    top = _Parser(prog="nerface", description="From a video of one person to a 4D facial avatar.", allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"nerface {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="COMMAND", title="commands")

    def new(name: str, text: str, run: Run) -> argparse.ArgumentParser:
        # Abbreviated options would make a saved command line mean something else once an option is added.
        verb = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        verb.set_defaults(run=run)
        return verb

    verb = new("create", "make an avatar from a video: capture, training, evaluation, rendered video", run_create)
    verb.add_argument("video", type=Path, metavar="VIDEO", help="a video of one person, camera and backdrop at rest")
    _output(verb, "a new folder for all results")
    _capture_options(verb, "the preset's: 512, or 160 for tiny")
    _training_options(verb)

    verb = new("demo", "run `create` on a sample clip that nerface draws itself, and check it", run_demo)
    _output(verb, "a new folder for all results (default: nerface_demo)", default=Path("nerface_demo"))
    verb.add_argument("--weights", type=Path, metavar="FOLDER", help="where the capture networks are")
    _device(verb)
    verb.add_argument("--resume", action="store_true", help="go on with a demo that was stopped")

    verb = new("capture", "turn a video into a dataset: head poses, expressions, masks, background", run_capture)
    verb.add_argument("video", type=Path, metavar="VIDEO", help="a video of one person, camera and backdrop at rest")
    _output(verb, "a new folder for the dataset")
    _capture_options(verb, "512")

    verb = new("train", "train an avatar on a dataset", run_train)
    verb.add_argument(
        "dataset", type=Path, metavar="DATASET", help="a folder in NeRFace's layout, as capture writes it"
    )
    _output(verb, "a new folder for the run")
    _training_options(verb)
    verb.add_argument("--tensorboard", action="store_true", help="write event files too (extra [tensorboard])")

    verb = new("eval", "draw a dataset's held-out frames with an avatar, and measure them", run_eval)
    verb.add_argument("avatar", type=Path, metavar="AVATAR", help="an avatar.safetensors, or the folder of a run")
    verb.add_argument("dataset", type=Path, metavar="DATASET", help="the dataset that holds the frames")
    _output(verb, "a new folder for the results")
    verb.add_argument("--split", default="test", choices=["train", "val", "test"], help="which frames (default: test)")
    verb.add_argument("--frames", type=frame_count, metavar="N", help="draw the first N frames alone")
    verb.add_argument("--no-video", action="store_true", help="write no videos")
    verb.add_argument("--half-res", action="store_true", help="read the pictures at half their size")
    _drawing_options(verb, "mean, zero, frame:K (training frame K) or video:K (frame K of the video)")

    verb = new("render", "draw an avatar as a video: driven by a dataset, or on a camera path", run_render)
    verb.add_argument("avatar", type=Path, metavar="AVATAR", help="an avatar.safetensors, or the folder of a run")
    _output(verb, "a new video file, ending in .mp4", metavar="FILE")
    verb.add_argument("--by", type=Path, metavar="DATASET", help="take expressions and head poses from this dataset")
    verb.add_argument("--split", default="test", choices=["train", "val", "test"], help="of --by (default: test)")
    verb.add_argument(
        "--orbit",
        type=degrees,
        nargs=2,
        metavar=("YAW", "PITCH"),
        help="circle round the head, at most so many degrees to the sides and up",
    )
    verb.add_argument("--frames", type=frame_count, metavar="N", help="frames to draw (default: all of --by, else 100)")
    _drawing_options(verb, "mean, zero, or frame:K (training frame K)")

    verb = new("weights", "fetch the networks that capture uses, check them, and say where they are", run_weights)
    verb.add_argument("--weights", type=Path, metavar="FOLDER", help="look in this folder first")
    return top


def _output(verb: argparse.ArgumentParser, text: str, metavar: str = "FOLDER", default: Path | None = None) -> None:
    verb.add_argument(
        "-o", "--output", type=Path, required=default is None, default=default, metavar=metavar, help=text
    )


def _device(verb: argparse._ActionsContainer) -> None:
    verb.add_argument("--device", metavar="NAME", help="cpu, cuda or cuda:K (default: cuda where there is one)")


def _capture_options(verb: argparse.ArgumentParser, size: str) -> None:
    group = verb.add_argument_group("capture")
    group.add_argument("--size", type=int, metavar="PX", help=f"longer side of the pictures (default: {size})")
    group.add_argument("--focal", type=float, metavar="PX", help="focal length in pixels of the video, if you know it")
    group.add_argument("--format", choices=["png", "jpg"], default="png", help="of the pictures (default: png)")
    group.add_argument("--keep-shape", action="store_true", help="crop in the video's shape, not a square")
    group.add_argument(
        "--test-share", type=float, default=0.15, metavar="SHARE", help="of frames held out at the end (default: 0.15)"
    )
    group.add_argument(
        "--min-face-share",
        type=float,
        default=0.6,
        metavar="SHARE",
        help="of frames that must show the face (default: 0.6)",
    )
    group.add_argument("--weights", type=Path, metavar="FOLDER", help="where the networks are (see `nerface weights`)")


def _training_options(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group("training")
    group.add_argument(
        "--preset",
        default="paper",
        metavar="NAME",
        help="paper (NeRFace's settings, needs a GPU; default) or tiny (for a CPU)",
    )
    group.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting, e.g. training.steps=20000"
    )
    group.add_argument("--max-minutes", type=minutes, metavar="MINUTES", help="end training after so long")
    group.add_argument("--half-res", action="store_true", help="train on pictures of half the size")
    _device(group)
    group.add_argument("--resume", action="store_true", help="go on with what was stopped, in the same folder")


def _drawing_options(verb: argparse.ArgumentParser, latents: str) -> None:
    verb.add_argument("--latent", default="mean", metavar="CODE", help=f"latent code: {latents} (default: mean)")
    verb.add_argument(
        "--precision", default="auto", choices=["auto", "fp32", "bf16"], help="auto (default): bf16 on CUDA, else fp32"
    )
    _device(verb)


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
    console.show(capture_line(report))
    console.wrote(options.output, "the dataset; overlay.mp4 and capture.json tell how the capture went")
    return 0


def run_train(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of, run_config
    from nerface.data import load_dataset
    from nerface.training.curves import write_training_curves
    from nerface.training.loop import train

    config, device = run_config(options), device_of(options)
    if not options.resume:
        refuse_existing(options.output)  # before minutes of decoding
    dataset = load_dataset(options.dataset, half_res=config.half_res, progress=console)
    seconds = None if options.max_minutes is None else 60 * options.max_minutes
    with StopOnSignal(console) as stop:
        result = train(
            dataset,
            options.output,
            config,
            device=device,
            resume=options.resume,
            max_seconds=seconds,
            tensorboard=options.tensorboard,
            stop=stop,
            progress=console,
        )
    if not result.finished:
        return EXIT_STOPPED
    if result.validation_psnr is not None:
        spent = f"{result.state.step} steps, {result.state.seconds:.0f} s"
        console.show(f"held-out PSNR {result.validation_psnr:.2f} dB after {spent} of training")
    console.wrote(result.avatar_file, "the avatar")
    console.wrote(write_training_curves(options.output), "the training curves")
    return 0


def run_eval(options: argparse.Namespace, console: Console) -> int:
    from nerface.apps.jobs import device_of
    from nerface.checkpoint import load_avatar
    from nerface.data import load_dataset
    from nerface.evaluation.evaluate import EvaluationOptions, evaluate

    refuse_existing(options.output)
    avatar = load_avatar(options.avatar, device_of(options))
    dataset = load_dataset(options.dataset, half_res=options.half_res, progress=console)
    chosen = EvaluationOptions(
        split=options.split,
        latent=options.latent,
        video=not options.no_video,
        frames=options.frames,
        precision=options.precision,
    )
    evaluate(avatar, dataset, options.output, chosen, console)
    console.show((options.output / "metrics.txt").read_text())
    what = "metrics.json, metrics.txt, frames.csv, contact_sheet.png, renders/" + (
        "" if options.no_video else ", render.mp4, side_by_side.mp4"
    )
    console.wrote(options.output, what)
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
