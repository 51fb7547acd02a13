"""Frames that are in two splits."""

from __future__ import annotations

from collections import defaultdict

from nerface.checking.case import Case
from nerface.checking.findings import Finding, error, fine, named, warning

CHECK = "leaks"
BORDER_FRAMES = 2  # held-out frames that neighbour training frames: both ends of one held-out stretch


def check_leaks(case: Case) -> list[Finding]:
    """The same frame of the video, or the very same picture, in two splits; test frames among training frames."""
    dataset = case.dataset
    found = []
    owners: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for split, content in dataset.splits.items():
        for row, number in enumerate(content.source_frames):
            if number >= 0:
                owners[int(number)].append((split, row))
    shared = {number: places for number, places in owners.items() if len({split for split, _ in places}) > 1}
    if shared:
        found.append(
            error(
                CHECK,
                f"{len(shared)} frames of the video are in two splits: "
                + named([f"{number} ({_places(case, places)})" for number, places in sorted(shared.items())]),
                "held-out frames must not be trained on: leave them out of one split",
            )
        )
    known = {split: {number for number, places in owners.items() if places[0][0] == split} for split in dataset.splits}
    twins = [group for group in case.equal_pictures if len({split for split, _ in group}) > 1]
    strange = [group for group in twins if not _are_neighbours(case, group)]
    if strange and not shared:
        found.append(
            error(
                CHECK,
                f"{len(strange)} pictures are in two splits, pixel by pixel: "
                + named([_places(case, group) for group in strange]),
                "held-out pictures must not be trained on: leave them out of one split",
            )
        )
    beside = [k for k in sorted(known["test"]) if k - 1 in known["train"] or k + 1 in known["train"]]
    if len(beside) > BORDER_FRAMES:
        found.append(
            warning(
                CHECK,
                f"{len(beside)} test frames stand right beside training frames in time: "
                + named([str(number) for number in beside]),
                "measured on these, a field need only repeat its neighbours: hold out one stretch at the end",
            )
        )
    return found or [fine(CHECK, "no frame and no picture is in two splits")]


def _places(case: Case, places: list[tuple[str, int]]) -> str:
    return " = ".join(case.where(split, row) for split, row in places[:3])


def _are_neighbours(case: Case, group: list[tuple[str, int]]) -> bool:
    """A still moment of the video may cross the border of two splits: consecutive frames, equal but not copied."""
    numbers = sorted(int(case.dataset.splits[split].source_frames[row]) for split, row in group)
    return numbers[0] >= 0 and numbers[-1] - numbers[0] < len(numbers) + 1 and len(set(numbers)) == len(numbers)
