"""Does the index map find the training frames of the video?"""

from __future__ import annotations

import numpy as np

from nerface.checking.case import Case
from nerface.checking.findings import Finding, error, fine, named, warning

CHECK = "index map"


def check_index_map(case: Case) -> list[Finding]:
    """Every row of the train split once, nothing outside it, numbers in time, in agreement with 'source_frame'."""
    table, train = case.dataset.index_map, case.dataset.train
    if table is None:
        return [
            warning(
                CHECK,
                "index_map.npy is missing",
                "only the latent code of a frame of the video (--latent video:K) and NeRFace's own evaluator need it",
            )
        ]
    numbers, rows = table[:, 0], table[:, 1]
    found = []
    wrong = np.unique(rows[(rows < -1) | (rows >= len(train))])
    if len(wrong):
        found.append(
            error(
                CHECK,
                f"names training rows {named([str(row) for row in wrong])}, there are {len(train)} training frames",
                "it belongs to another split: write it anew",
            )
        )
    for what, values in (("frames of the video", numbers), ("training rows", rows[rows >= 0])):
        single, copies = np.unique(values, return_counts=True)
        if (copies > 1).any():
            found.append(
                error(CHECK, f"lists {what} twice: {named([str(v) for v in single[copies > 1]])}", "write it anew")
            )
    missing = np.setdiff1d(np.arange(len(train)), rows)
    if len(missing) and not len(wrong):
        found.append(
            error(
                CHECK,
                f"has {len(table)} rows and does not name {len(missing)} of {len(train)} training rows: "
                + named([str(row) for row in missing]),
                "it is too short or belongs to another split: write it anew",
            )
        )
    if (np.diff(numbers) <= 0).any() and not found:
        found.append(warning(CHECK, "is not in temporal order", "sort its rows by their first column"))
    if not found and (train.source_frames >= 0).all():
        known = rows >= 0
        order = np.argsort(numbers[known], kind="stable")
        sources = train.source_frames[rows[known][order]]
        crossed = np.flatnonzero(np.diff(sources) <= 0)
        if len(crossed):
            names = [train.names[rows[known][order][k + 1]] for k in crossed]
            found.append(
                error(
                    CHECK, f"puts training frames in another order than 'source_frame': {named(names)}", "write it anew"
                )
            )
    return found or [fine(CHECK, f"{len(table)} frames of the video, all {len(train)} training rows named")]
