"""Single words of the command line as numbers; argparse names the option where one makes no sense."""

from __future__ import annotations

import argparse
import math

# The names of nerface.switches.SWITCHES, which would pull in torch (a test binds the two).
SWITCH_NAMES = (
    *("full", "no_expression", "no_latent", "no_dynamics", "no_background", "nerf", "trainable_background"),
    *("supervised_background", "white_background", "half_data", "quarter_data", "latent_x10", "latent_x100"),
    *("paper_latent", "paper_box", "paper_layers", "no_directions", "seed_directions", "refine_poses"),
    *("given_poses", "given_colours"),
)


def frame_count(word: str) -> int:
    """A number of frames, at least 1."""
    return _count(word, "number of frames")


def sample_count(word: str) -> int:
    """A number of samples, at least 1."""
    return _count(word, "number of samples")


def pixels(word: str) -> int:
    """A length in pixels, at least 1."""
    return _count(word, "number of pixels")


def _count(word: str, what: str) -> int:
    if not word.isascii() or not word.isdigit() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"'{word}' is not a {what}: give 1 or more")
    return int(word)


def seed(word: str) -> int:
    """What chance comes from: 0 or a greater whole number."""
    if not word.isascii() or not word.isdigit():
        raise argparse.ArgumentTypeError(f"'{word}' is not a seed: give a whole number, 0 or more")
    return int(word)


def frame_rate(word: str) -> float:
    """Frames per second, from 0.1 to 1000."""
    value = _number(word)
    if not 0.1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"'{word}' is not a frame rate: give 0.1 to 1000 Hz")
    return value


def minutes(word: str) -> float:
    """A time in minutes, more than none."""
    value = _number(word)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"'{word}' is not a time: give minutes, more than 0")
    return value


def degrees(word: str) -> float:
    """An angle in degrees, up to a half turn."""
    value = _number(word)
    if not abs(value) <= 180:
        raise argparse.ArgumentTypeError(f"'{word}' is not an angle: give degrees from -180 to 180")
    return value


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan
