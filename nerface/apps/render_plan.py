"""What the options of `nerface render` mean together; combinations that make no sense are refused in one line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from nerface.errors import UserError

FIXED_WORDS = ("mean", "neutral")  # expressions that need no dataset


@dataclass(frozen=True)
class Plan:
    """Which parts of a frame follow the driving dataset frame by frame: expressions, poses, viewing directions."""

    expressions_follow: bool
    poses_follow: bool
    directions_follow: bool

    @property
    def follows(self) -> bool:
        """Whether anything does."""
        return self.expressions_follow or self.poses_follow or self.directions_follow


def plan(options: argparse.Namespace) -> Plan:
    """The plan of a command. Raises `UserError` where its options contradict each other."""
    ways = [f"--{name}" for name in ("orbit", "sweep", "waypoints") if getattr(options, name) is not None]
    ways += ["--frontalise"] if options.frontalise else []
    if len(ways) > 1:
        raise UserError(f"{ways[0]} and {ways[1]} contradict each other: give one of them")
    path = ways[0] if ways and not options.frontalise else None
    if not (options.by or path or options.edit or options.latent == "walk"):
        raise UserError(
            "say what to draw: --by DATASET, --orbit YAW PITCH, --sweep YAW PITCH, --waypoints POINTS, "
            "--edit NAME=VALUE or --latent walk"
        )
    if options.by is None:
        _refuse_without_dataset(options)
    still = options.frontalise or options.camera is not None or options.view_from
    driven = options.by is not None
    made = Plan(
        expressions_follow=driven and options.fix_expression is None and options.interpolate is None,
        poses_follow=driven and path is None and not still and options.interpolate is None,
        directions_follow=options.view_from,
    )
    _refuse_contradictions(options, path)
    _refuse_idle(options, made, path)
    return made


def _refuse_without_dataset(options: argparse.Namespace) -> None:
    fixed = options.fix_expression is not None and options.fix_expression not in FIXED_WORDS
    needed = {
        "--split": options.split is not None,
        "--start": options.start is not None,
        "--channels": options.channels is not None,
        "--side-by-side": options.side_by_side,
        "--raw-scores": options.raw_scores,
        "--camera": options.camera is not None,
        "--view-from": options.view_from,
        "--interpolate": options.interpolate is not None,
        f"--fix-expression {options.fix_expression}": fixed,
        "--latent per-frame": options.latent == "per-frame",
    }
    for name, given in needed.items():
        if given:
            raise UserError(f"{name} needs --by DATASET: it is about that dataset's frames")


def _refuse_contradictions(options: argparse.Namespace, path: str | None) -> None:
    pairs = {
        ("--interpolate", "--fix-expression"): options.interpolate and options.fix_expression,
        ("--frontalise", "--camera"): options.frontalise and options.camera is not None,
        ("--view-from, which keeps the camera still,", path): options.view_from and path,
        ("--latent per-frame", "--interpolate"): options.latent == "per-frame" and options.interpolate,
    }
    for (one, other), both in pairs.items():
        if both:
            raise UserError(f"{one} and {other} contradict each other: give one of them")


def _refuse_idle(options: argparse.Namespace, made: Plan, path: str | None) -> None:
    """Options that would do nothing."""
    if path != "--waypoints" and (options.leg is not None or options.hold is not None):
        raise UserError("--leg and --hold belong to --waypoints")
    used = options.camera is not None or options.interpolate or options.fix_expression not in (None, *FIXED_WORDS)
    if options.by is not None and not made.follows and not used:
        raise UserError(f"--by {options.by} does nothing here: neither poses nor expressions are taken from it")
    if options.raw_scores and not (made.expressions_follow and not made.poses_follow):
        raise UserError("--raw-scores is for recorded expressions seen from other cameras: here it changes nothing")
    if not made.follows:
        idle = {
            "--start": options.start is not None,
            "--side-by-side": options.side_by_side,
            "--latent per-frame": options.latent == "per-frame",
        }
        for name, given in idle.items():
            if given:
                raise UserError(f"{name} needs frames of --by that follow one another: here none of them is shown")
