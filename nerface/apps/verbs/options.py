"""Options that several verbs have."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.words import SWITCH_NAMES, minutes, sample_count


def output(verb: argparse.ArgumentParser, text: str, metavar: str = "FOLDER", default: Path | None = None) -> None:
    """`-o`: a new folder or file."""
    verb.add_argument(
        "-o", "--output", type=Path, required=default is None, default=default, metavar=metavar, help=text
    )


def avatar(verb: argparse.ArgumentParser) -> None:
    """The avatar to work with."""
    verb.add_argument("avatar", type=Path, metavar="AVATAR", help="an avatar.safetensors, or the folder of a run")


def device(verb: argparse._ActionsContainer) -> None:
    """`--device`."""
    verb.add_argument("--device", metavar="NAME", help="cpu, cuda or cuda:K (default: cuda where there is one)")


def capture(verb: argparse.ArgumentParser, size: str) -> None:
    """How a video is captured; `size` is the default in words."""
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
    help_text = "a photograph of the empty scene, taken from the same place: the background plate"
    group.add_argument("--plate-photo", type=Path, metavar="PHOTO", help=help_text)
    help_text = "leave pictures of a slightly moving camera as they are, instead of putting the backdrop at rest"
    group.add_argument("--no-steady", action="store_true", help=help_text)
    group.add_argument("--weights", type=Path, metavar="FOLDER", help="where the networks are (see `nerface weights`)")


def training(verb: argparse.ArgumentParser, default_preset: str = "paper") -> None:
    """How an avatar is trained. A `default_preset` that is none, but words, leaves the choice to the job."""
    group = verb.add_argument_group("training")
    group.add_argument(
        "--preset",
        default="paper" if default_preset == "paper" else None,
        metavar="NAME",
        help="paper (NeRFace's field, needs a GPU), splat (Gaussians, real time), or for a CPU tiny and splat_tiny "
        f"(default: {default_preset})",
    )
    group.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting, e.g. training.steps=20000"
    )
    group.add_argument(
        "--switch",
        action="append",
        default=[],
        metavar="NAME",
        help=f"a named change of the settings, may be repeated: {', '.join(SWITCH_NAMES)}",
    )
    group.add_argument("--max-minutes", type=minutes, metavar="MINUTES", help="end training after so long")
    group.add_argument("--half-res", action="store_true", help="train on pictures of half the size")
    device(group)
    group.add_argument("--resume", action="store_true", help="go on with what was stopped, in the same folder")


def drawing(verb: argparse.ArgumentParser, latents: str, default: str = "mean") -> None:
    """How an avatar is drawn; `latents` tells which names of latent codes there are, `default` which is taken."""
    help_text = f"latent code: {latents} (default: {default})"
    verb.add_argument("--latent", default="mean", metavar="CODE", help=help_text)
    help_text = (
        "samples in flight, of fields that take samples (default: what suits the device); fewer need less memory"
    )
    verb.add_argument("--chunk", type=sample_count, metavar="N", help=help_text)
    help_text = "auto (default): bf16 on CUDA, else fp32; Gaussians are drawn in fp32 always"
    verb.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"], help=help_text)
    device(verb)
