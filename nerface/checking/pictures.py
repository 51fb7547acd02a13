"""The pictures themselves: their number, size and transparency, and the person masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from nerface.checking.case import Case, middle_of, spread_over
from nerface.checking.findings import Finding, error, fine, named, warning

PICTURES, MASKS = "pictures", "masks"
FEWEST_TRAIN = 20
SMALLEST_PX = 32
OPENED = 12  # files of a split looked at for their form
LOOKED_AT = 48  # pictures of a split
DARKEST = 3.0  # mean level of a picture with nothing on it
MOST_HALF_TRANSPARENT = 0.3


def check_pictures(case: Case) -> list[Finding]:
    """Numbers of frames, size and form of the pictures, transparency, pictures with nothing on them."""
    dataset = case.dataset
    inner = dataset.intrinsics
    counts = {split: len(content) for split, content in dataset.splits.items()}
    found = []
    if counts["train"] < FEWEST_TRAIN:
        found.append(warning(PICTURES, f"only {counts['train']} training frames", "hundreds are usual"))
    found += [
        warning(PICTURES, f"the {split} split is empty", "nothing held out means nothing measured")
        for split in ("val", "test")
        if counts[split] == 0
    ]
    if min(inner.width, inner.height) < SMALLEST_PX:
        found.append(warning(PICTURES, f"pictures of {inner.width}x{inner.height} px", "256 and more are usual"))
    for split, content in dataset.splits.items():
        dark = [row for row in spread_over(len(content), LOOKED_AT) if content.images[row].mean() < DARKEST]
        if dark:
            found.append(
                error(
                    PICTURES,
                    f"{len(dark)} of the {split} pictures looked at are black: " + case.places(split, dark),
                    "leave them out",
                )
            )
    forms, transparent = _forms(case)
    found += transparent
    shape = "" if inner.width == inner.height else ", not square"
    total = " / ".join(str(counts[split]) for split in counts)
    return (found or [fine(PICTURES, f"{total} frames of {inner.width}x{inner.height}{shape}{forms}")]) + _masks(case)


def _forms(case: Case) -> tuple[str, list[Finding]]:
    """What kinds of files there are, and those that are mostly half-transparent."""
    kinds: set[str] = set()
    veiled = []
    for split, files in case.files.items():
        for row in spread_over(len(files), OPENED):
            pixels = _stored(files[row])
            if pixels is None:
                continue
            if pixels.dtype == np.uint16:
                kinds.add("16 bits")
            if pixels.ndim == 2:
                kinds.add("grey")
            elif pixels.shape[2] == 4:
                kinds.add("transparent (laid over the plate)")
                alpha = pixels[:, :, 3].astype(np.float32) / np.iinfo(pixels.dtype).max
                if ((alpha > 0.02) & (alpha < 0.98)).mean() > MOST_HALF_TRANSPARENT:
                    veiled.append(case.where(split, row))
    found = [
        warning(
            PICTURES,
            f"{len(veiled)} of the pictures looked at are largely half-transparent: {named(veiled)}",
            "is the fourth channel really opacity?",
        )
    ]
    return (f"; {', '.join(sorted(kinds))}" if kinds else ""), found if veiled else []


def _stored(file: Path) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(file.read_bytes(), dtype=np.uint8), cv2.IMREAD_UNCHANGED)


def _masks(case: Case) -> list[Finding]:
    """Person masks that leave out the middle of the head's box, or cover everything."""
    found = []
    for split, content in case.dataset.splits.items():
        if content.masks is None:
            continue
        rows = spread_over(len(content), LOOKED_AT)
        empty = [row for row in rows if not middle_of(content.masks[row], content.head_boxes[row]).mean() > 127]
        full = [row for row in rows if content.masks[row].mean() > 250]
        for kind, bad in (("do not hold the head", empty), ("cover the whole picture", full)):
            if len(bad) > len(rows) // 10:
                found.append(
                    warning(
                        MASKS,
                        f"{len(bad)} of the {split} masks looked at {kind}: {case.places(split, bad)}",
                        "white is person",
                    )
                )
    return found
