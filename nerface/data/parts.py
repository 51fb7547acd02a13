"""A part of a dataset's training frames."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from nerface.data.seed_layout import INDEX_MAP, SplitTable
from nerface.errors import UserError


def first_share(
    table: SplitTable, index_map: Int[np.ndarray, "temporal 2"] | None, share: float
) -> tuple[SplitTable, Int[np.ndarray, "temporal 2"] | None]:
    """The first `share` of the training frames in time (by the index map, else as listed), in their stored order.

    The index map is cut down to them, with their new rows. Raises `UserError` where it does not know all of them.
    """
    count = max(1, round(share * len(table)))
    if index_map is None:
        return table.rows(np.arange(count)), None
    listed = index_map[np.argsort(index_map[:, 0], kind="stable")]
    trained = listed[(listed[:, 1] >= 0) & (listed[:, 1] < len(table))]
    if not np.array_equal(np.sort(trained[:, 1]), np.arange(len(table))):
        raise UserError(
            f"{table.file.with_name(INDEX_MAP)} does not name every one of the {len(table)} training frames once, so "
            "that nobody can tell which come first: mend it or take it away (`nerface check` tells more)"
        )
    kept = np.sort(trained[:count, 1])
    new_row = np.full(len(table), -1)
    new_row[kept] = np.arange(len(kept))
    last = trained[min(count, len(trained)) - 1, 0]
    part = listed[listed[:, 0] <= last].copy()
    inside = (part[:, 1] >= 0) & (part[:, 1] < len(table))
    part[:, 1] = np.where(inside, new_row[part[:, 1].clip(0, len(table) - 1)], -1)
    return table.rows(kept), part
