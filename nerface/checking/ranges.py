"""Numbers that a field is told: expressions and boxes."""

from __future__ import annotations

import numpy as np

from nerface.checking.case import Case, telling
from nerface.checking.findings import Finding, error, fine, named, warning

EXPRESSION, BOXES = "expression", "boxes"
STILL = 1e-6  # a channel whose spread is below never moves
MOST_STILL = 0.5  # share of channels; padding to 76 channels leaves a third still
WILD = 10.0  # times the 99th percentile of all magnitudes
BEYOND = 1.0  # of a channel's range in training: how far held-out values may lie outside
MOST_BEYOND = 0.2  # share of held-out frames
EDGE = 1e-3  # fractions
SMALLEST_PX = 2.0


def check_expression(case: Case) -> list[Finding]:
    """Channels that never move, values out of all proportion, held-out expressions far from those trained on."""
    dataset = case.dataset
    values = dataset.train.expressions.astype(np.float64)
    names = dataset.expression_names
    low, high = values.min(axis=0), values.max(axis=0)
    still = np.flatnonzero(high - low < STILL)
    found = []
    if len(still) == len(names):
        found.append(
            error(
                EXPRESSION,
                "no expression channel ever moves in the training frames",
                "is the tracker's expression output what was written?",
            )
        )
    elif len(still) > MOST_STILL * len(names):
        found.append(
            warning(
                EXPRESSION,
                f"{len(still)} of {len(names)} channels never move: {named([names[k] for k in still])}",
                "padding? fewer channels train faster",
            )
        )
    usual = max(float(np.percentile(np.abs(values), 99)), 1e-6)
    for split, content in dataset.splits.items():
        rows, channels = np.nonzero(np.abs(content.expressions) > WILD * usual)
        if len(rows):
            worst = np.abs(content.expressions[rows, channels]).max()
            found.append(
                warning(
                    EXPRESSION,
                    f"{len(rows)} values of {split} are out of proportion (up to {worst:.3g}, usual is {usual:.3g}): "
                    + named([f"{case.where(split, int(r))} {names[c]}" for r, c in zip(rows, channels)]),
                    "leave such frames out, or mend them",
                )
            )
    test = dataset.splits["test"].expressions
    if len(test) and len(still) < len(names):
        room = BEYOND * (high - low) + 0.1 * usual
        out = (test < low - room) | (test > high + room)
        if out.any(axis=1).mean() > MOST_BEYOND:
            order = np.argsort(-out.mean(axis=0))[: int(out.any(axis=0).sum())]
            found.append(
                warning(
                    EXPRESSION,
                    f"{out.any(axis=1).mean():.0%} of the test frames go far beyond the expressions of training: "
                    + named([names[k] for k in order]),
                    "no field knows such faces: measure on other frames, or train on more",
                )
            )
    padded = f", {len(still)} of them never move" if len(still) else ""
    return found or [fine(EXPRESSION, f"{len(names)} channels{padded}, values {low.min():.3g} to {high.max():.3g}")]


def check_boxes(case: Case) -> list[Finding]:
    """Boxes in fractions, inside the picture, with something in them, and telling in training frames."""
    dataset = case.dataset
    found = []
    kinds = [("bbox", {name: split.sampling_boxes for name, split in dataset.splits.items()})]
    if dataset.head_boxes_stored:
        kinds.append(("head_box", {name: split.head_boxes for name, split in dataset.splits.items()}))
    size = np.array([dataset.intrinsics.height, dataset.intrinsics.width])
    for kind, splits in kinds:
        for split, boxes in splits.items():
            outside = np.flatnonzero((boxes < -EDGE).any(axis=1) | (boxes > 1 + EDGE).any(axis=1))
            if len(outside):
                pixels = np.median(boxes[outside].max(axis=1)) > 2
                found.append(
                    (error if pixels else warning)(
                        BOXES,
                        f"'{kind}' of {len(outside)} {split} frames reaches outside [0, 1]"
                        f"{', as pixels would' if pixels else ''}: {case.places(split, outside)}",
                        "boxes are fractions of height (rows) and width (columns)",
                    )
                )
                continue
            empty = np.flatnonzero(((boxes[:, 1::2] - boxes[:, ::2]) * size < SMALLEST_PX).any(axis=1))
            if len(empty):
                found.append(
                    error(
                        BOXES,
                        f"'{kind}' of {len(empty)} {split} frames is empty: " + case.places(split, empty),
                        "give [row_min, row_max, col_min, col_max]",
                    )
                )
    tells = telling(dataset.train.sampling_boxes)
    if not tells.any():
        found.append(
            warning(
                BOXES,
                "'bbox' is missing or the whole picture in every training frame",
                "rays are drawn from the whole picture, and head boxes for metrics are "
                + ("stored" if dataset.head_boxes_stored else "unknown: give 'bbox' or 'head_box'"),
            )
        )
    kept = dataset.train.sampling_boxes[tells]
    area = float(((kept[:, 1] - kept[:, 0]) * (kept[:, 3] - kept[:, 2])).mean()) if len(kept) else 1.0
    stored = "head boxes stored" if dataset.head_boxes_stored else "head boxes estimated from poses and training boxes"
    return found or [fine(BOXES, f"training boxes cover {area:.0%} of the picture on average; {stored}")]
