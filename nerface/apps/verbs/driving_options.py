"""Options that `render` and `reenact` share."""

from __future__ import annotations

import argparse

from nerface.apps.verbs import options as common
from nerface.apps.words import frame_count

SPLITS = ("train", "val", "test", "all")
EDIT_HELP = (
    "set an expression channel (NAME=0.6), add to it (NAME+=0.3), or let it go there and back (NAME=0..0.6, "
    "NAME+=-0.4..0.4); NAME is a channel's name or number; may be given again"
)


def frame_number(word: str) -> int:
    """A frame's place, from 0."""
    if not word.isascii() or not word.isdigit():
        raise argparse.ArgumentTypeError(f"'{word}' is not the number of a frame: give 0 or more")
    return int(word)


def frames(group: argparse._ArgumentGroup, dataset: str) -> None:
    """Which frames of the driving dataset are taken, and in which channels."""
    group.add_argument(
        "--split", choices=SPLITS, help=f"frames of {dataset} to take, all: the whole video (default: test)"
    )
    group.add_argument("--start", type=frame_number, metavar="N", help="leave out the first N of these frames")
    group.add_argument(
        "--channels",
        choices=["same", "shared"],
        help=f"same (default): {dataset} must have the avatar's expression channels, in any order; shared: use those "
        "that both have, by name",
    )
    group.add_argument("--side-by-side", action="store_true", help=f"show the frames of {dataset} to the left")


def frame_limit(group: argparse._ActionsContainer, default: str) -> None:
    """`--frames`."""
    group.add_argument("--frames", type=frame_count, metavar="N", help=f"frames to draw (default: {default})")


def expression(group: argparse._ArgumentGroup, limit: str) -> None:
    """Changes to the expression; `limit` is the default of --range."""
    group.add_argument("--edit", action="append", default=[], metavar="NAME=VALUE", help=EDIT_HELP)
    group.add_argument(
        "--loops", type=frame_count, metavar="N", help="how often what goes there and back does so (default: 1)"
    )
    group.add_argument(
        "--range",
        choices=["seen", "any"],
        default=limit,
        help="seen: keep every channel and the camera's angles within their range in training; any: let them go where "
        f"the avatar has to guess (default: {limit})",
    )


def picture(verb: argparse.ArgumentParser, latents: str) -> None:
    """How pictures are drawn."""
    verb.add_argument(
        "--background",
        metavar="IMAGE|COLOUR",
        help="another background: a picture (scaled to cover the frame, then cut to it), black, white, or RRGGBB",
    )
    common.drawing(verb, latents)
