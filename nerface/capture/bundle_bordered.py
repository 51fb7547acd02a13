"""Normal equations of all frames' poses: banded in time, with a border of unknowns that every frame shares."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.lib.stride_tricks import as_strided
from scipy.linalg import solveh_banded

from nerface.capture.bundle_rows import DOF, Chunk

_ALIKE = 0.6  # spots at least this share of the longest one's life are taken together with it


class BorderedSystem:
    """A x = b for N poses and K shared unknowns, gathered block by block.

    Poses meet only within `reach` frames of each other. `coupling` [6 N, K], `rhs` [6 N], `corner` [K, K] and
    `corner_rhs` [K] are added to in place.
    """

    def __init__(self, frames: int, reach: int, border: int) -> None:
        size, half = DOF * frames, DOF * reach - 1
        self.coupling, self.rhs = np.zeros((size, border)), np.zeros(size)
        self.corner, self.corner_rhs = np.zeros((border, border)), np.zeros(border)
        self._store = np.zeros((2 * half + 1, size))
        self._half = half
        row, column = self._store.strides
        # As LAPACK stores bands: entry (i, j) lies in row half + i - j, column j. One step down the matrix is one row
        # down the store, so that a square block on the diagonal is a strided view of it.
        self._view = as_strided(self._store[half:], (size, size), (row, column - row))

    def add(self, frame: int, block: Float[np.ndarray, "side side"]) -> None:
        """Add a block that begins on the diagonal at a frame's first unknown."""
        first = DOF * frame
        last = first + len(block)
        self._view[first:last, first:last] += block

    def subtract_spots(self, mixed: Float[np.ndarray, "rows 6 numbers"], frame: np.ndarray, chunk: Chunk) -> None:
        """Take W_p W_p^T of each spot p, W_p its rows of `mixed`; spots that begin together and live as long go as one.

        One product with many columns is several times quicker than many with few, and the matrix is touched once.
        """
        size, bounds = mixed.shape[-1], chunk.bounds
        first = 0
        while first < len(bounds) - 1:
            begin, length = int(frame[bounds[first]]), int(bounds[first + 1] - bounds[first])
            last = first + 1
            while (
                last < len(bounds) - 1
                and frame[bounds[last]] == begin
                and bounds[last + 1] - bounds[last] >= _ALIKE * length
            ):
                last += 1
            columns = np.zeros((length, DOF, size * (last - first)))
            for number, spot in enumerate(range(first, last)):
                rows = mixed[bounds[spot] : bounds[spot + 1]]
                columns[: len(rows), :, size * number : size * (number + 1)] = rows
            flat = columns.reshape(DOF * length, -1)
            self.add(begin, flat @ -flat.T)
            first = last

    def solve(self) -> tuple[Float[np.ndarray, "frames 6"], Float[np.ndarray, " border"]]:
        """The unknowns of the poses and the shared ones."""
        sides = np.concatenate([self.coupling, self.rhs[:, None]], axis=1)
        solved = solveh_banded(self._store[self._half :], sides, lower=True)
        edge = np.linalg.solve(
            self.corner - self.coupling.T @ solved[:, :-1], self.corner_rhs - self.coupling.T @ solved[:, -1]
        )
        return (solved[:, -1] - solved[:, :-1] @ edge).reshape(-1, DOF), edge
