"""Options of the verbs that measure pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nerface.evaluation.backbones import LpipsFiles

KINDS = ("disparity", "depth", "normals", "mask", "error")  # nerface.evaluation.outputs.OUTPUTS, not imported for help


def lpips(verb: argparse.ArgumentParser) -> None:
    """Where LPIPS finds its networks."""
    group = verb.add_argument_group(
        "LPIPS", "needs the extra [lpips]; without weights it is n/a, and nothing is fetched unless you say so"
    )
    group.add_argument("--lpips-alex", type=Path, metavar="FILE", help="AlexNet's weights, as torchvision stores them")
    group.add_argument("--lpips-vgg", type=Path, metavar="FILE", help="VGG-16's weights, as torchvision stores them")
    group.add_argument(
        "--lpips-download", action="store_true", help="fetch those that are not named and not in PyTorch's cache"
    )


def lpips_files(options: argparse.Namespace) -> LpipsFiles:
    """The same, for the library."""
    from nerface.evaluation.backbones import LpipsFiles

    return LpipsFiles(alex=options.lpips_alex, vgg=options.lpips_vgg, download=options.lpips_download)


def kinds(word: str) -> tuple[str, ...]:
    """`--save`: kinds of pictures, with commas between them, or all."""
    names = KINDS if word == "all" else tuple(name.strip() for name in word.split(","))
    for name in names:
        if name not in KINDS:
            raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(KINDS)} (or all)")
    return tuple(name for name in KINDS if name in names)
