"""Frames that stand twice or are missing, pictures that repeat, and times that do not run evenly."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from nerface.checking.case import Case, frame_numbers
from nerface.checking.findings import Finding, error, fine, named, warning

CHECK = "sequence"
MOST_REPEATED = 0.02  # share of a split's pictures that may equal another
MOST_MISSING = 0.05  # share of the frames between the first and the last
LONGEST_GAP = 25  # frames
MOST_UNEVEN = 0.2  # of the frame time


def check_sequence(case: Case) -> list[Finding]:
    """Frames of the video that are missing or stand twice, equal pictures, and times that do not run evenly."""
    dataset = case.dataset
    found = []
    everything = []
    for split, content in dataset.splits.items():
        names, twice = np.unique(np.array(content.names, dtype=object), return_counts=True)
        if (twice > 1).any():
            found.append(
                error(CHECK, f"{split} lists pictures twice: {named(list(names[twice > 1]))}", "list each once")
            )
        numbers = frame_numbers(dataset, split)
        if numbers is not None:
            single, copies = np.unique(numbers, return_counts=True)
            everything.append(single)
            if (copies > 1).any():
                again = [str(number) for number in single[copies > 1]]
                found.append(error(CHECK, f"{split} holds frames of the video twice: {named(again)}", "list each once"))
    found += _repeated_pictures(case) + _missing(
        np.unique(np.concatenate(everything)) if everything else None, _tail(case)
    )
    return (found or [_in_order(everything)]) + _times(case)


def _tail(case: Case) -> int:
    """The number of the first held-out frame, or -1."""
    numbers = frame_numbers(case.dataset, "test") if "test" in case.dataset.splits else None
    return -1 if numbers is None or len(numbers) == 0 else int(numbers.min())


def _in_order(everything: list[np.ndarray]) -> Finding:
    total = sum(len(numbers) for numbers in everything)
    return fine(CHECK, f"{total} numbered frames, none twice" if total else "frames carry no number in the video")


def _repeated_pictures(case: Case) -> list[Finding]:
    found = []
    repeated: dict[str, list[int]] = defaultdict(list)
    for group in case.equal_pictures:
        for split in {split for split, _ in group}:
            repeated[split] += sorted(row for owner, row in group if owner == split)[1:]
    for split, rows in repeated.items():
        total = len(case.dataset.splits[split])
        if len(rows) > MOST_REPEATED * total:
            found.append(
                warning(
                    CHECK,
                    f"{len(rows)} of {total} pictures of {split} repeat another, pixel by pixel: "
                    + case.places(split, sorted(rows)),
                    "leave repetitions out (a video played at a higher frame rate?)",
                )
            )
    return found


def _missing(numbers: np.ndarray | None, tail: int) -> list[Finding]:
    if numbers is None or len(numbers) < 2:
        return []
    steps = np.diff(numbers)
    usual = max(1, int(np.median(steps)))  # every second frame may be meant
    steps = np.where(numbers[1:] == tail, usual, steps)  # frames left out before the held-out tail: a share of the clip
    missing = int((steps // usual - 1).sum())
    longest = int(steps.max() // usual - 1)
    if missing <= MOST_MISSING * (len(numbers) + missing) and longest <= LONGEST_GAP:
        return []
    after = numbers[int(np.argmax(steps))]
    return [
        warning(
            CHECK,
            f"{missing} frames from {numbers[0]} to {numbers[-1]} are in no split, {longest} in a row after {after}",
            "were they dropped for a reason? neighbours in the splits are then no neighbours in time",
        )
    ]


def _times(case: Case) -> list[Finding]:
    dataset = case.dataset
    pairs = [
        (int(number), float(time))
        for split in dataset.splits.values()
        for number, time in zip(split.source_frames, split.timestamps)
        if number >= 0 and np.isfinite(time)
    ]
    if len(pairs) < 3:
        return []
    table = np.array(sorted(set(pairs)))
    steps = np.diff(table[:, 1]) / np.maximum(np.diff(table[:, 0]), 1)
    back = np.flatnonzero(steps <= 0)
    if len(back):
        return [
            error(
                CHECK,
                f"times do not grow with the frame numbers: {named([str(int(table[row + 1, 0])) for row in back])}",
                "mend 'timestamp' or 'source_frame'",
            )
        ]
    rate = dataset.frame_rate
    if rate is not None and abs(np.median(steps) * rate - 1) > MOST_UNEVEN:
        return [
            warning(
                CHECK,
                f"frames are {np.median(steps):.4f} s apart, 'frame_rate' says {rate:g} Hz",
                "mend one of them: videos are written at 'frame_rate'",
            )
        ]
    return []
