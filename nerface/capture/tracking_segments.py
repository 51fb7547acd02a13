"""Where a clip is cut, jumps or loses the face, and the face's region smoothed between such places.

The landmark network answers to where its crop lies, so a steady crop gives steadier landmarks (0.46 px of jitter fresh
per frame, 0.41 chained, 0.39 smoothed; the same clip).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter1d, median_filter

from nerface.capture.landmarker import Region
from nerface.capture.tracking_chain import NEW_SCENE, Chain

SMOOTH_FRAMES = 1.5  # standard deviation of the smoothing of the region
# A cut inside a scene stands out from the frames around it by how far the face moves (shares of the region's side) and
# by how much the picture changes. Within three clips the product of both ratios stays below 16, 28 in one. Of cuts made
# by joining parts of these same clips, these limits find 90 to 100 % of those that move the face by more than 8 %, 64
# to 93 % at 4 to 8 %, half and less below that, where smoothing across does little harm.
CUT_MOVE, CUT_MOVE_TIMES, CUT_CHANGE_TIMES, CUT_TOGETHER = 0.025, 3.0, 2.5, 30.0
JUMP = 0.25  # more between two frames is a jump whatever the picture does
AROUND_FRAMES = 17
LEAST_MOVE = 0.002  # what a face at rest is measured to move
GAP_S, GAP_TIMES = 0.25, 4.0  # a pause in the time stamps: longer than this and than so many usual intervals


def segments_of(chain: Chain, repeated: Bool[np.ndarray, " frames"]) -> Int[np.ndarray, " frames"]:
    """The number of the unbroken stretch that each frame [N] belongs to, rising from 0 with cuts, jumps and gaps.

    Frames without a face count to the stretch before them.
    """
    found = np.array([region is not None for region in chain.regions], bool)
    starts = _cuts(chain, repeated) | _pauses(np.array(chain.timestamps))
    starts |= found & ~np.append(True, found[:-1])  # a face after a gap
    # A cut while no face is seen begins a stretch by itself: the face that comes after it begins the same one.
    starts[0] = False
    return np.cumsum(starts)


def steady_regions(regions: list[Region | None], segment: Int[np.ndarray, " frames"]) -> list[Region | None]:
    """Regions smoothed over time within each stretch; None where they were None."""
    steady: list[Region | None] = [None] * len(regions)
    found = np.array([region is not None for region in regions], bool)
    for number in np.unique(segment):
        rows = np.flatnonzero((segment == number) & found)
        if not len(rows):
            continue
        smooth = gaussian_filter1d(_table(regions, rows), SMOOTH_FRAMES, axis=0, mode="nearest")
        for row, (x, y, size, angle) in zip(rows, smooth):
            steady[row] = Region(float(x), float(y), float(size), float(angle), 1.0)
    return steady


def _table(regions: list[Region | None], rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows 4"]:
    """Centre, size and unwrapped angle of the regions of `rows`."""
    values = np.array([(r.x, r.y, r.size, r.angle) for r in (regions[row] for row in rows) if r is not None])
    values[:, 3] = np.unwrap(values[:, 3])
    return values


def _cuts(chain: Chain, repeated: Bool[np.ndarray, " frames"]) -> Bool[np.ndarray, " frames"]:
    """Frames [N] that do not continue the one before."""
    count = len(chain)
    cuts = np.array(chain.correlations) < NEW_SCENE
    moves = np.zeros(count)
    for index in range(1, count):
        last, region = chain.regions[index - 1], chain.regions[index]
        if last is not None and region is not None:
            moves[index] = _move(last, region)
    fresh = np.flatnonzero(~repeated)  # repeats neither move nor change, and would make their neighbours stand out
    changes = np.array(chain.differences)[fresh]
    changes[~np.isfinite(changes)] = 0.0
    change = changes / np.maximum(median_filter(changes, AROUND_FRAMES, mode="nearest"), 1e-6)
    move = moves[fresh] / np.maximum(median_filter(moves[fresh], AROUND_FRAMES, mode="nearest"), LEAST_MOVE)
    stands_out = (moves[fresh] > CUT_MOVE) & (move > CUT_MOVE_TIMES) & (change > CUT_CHANGE_TIMES)
    stands_out &= move * change > CUT_TOGETHER
    cuts[fresh] |= stands_out
    return np.asarray(cuts | (moves > JUMP))


def _move(last: Region, region: Region) -> float:
    """How far a region went, grew or turned: shares of its side, logarithm, radians; the greatest."""
    turn = (region.angle - last.angle + np.pi) % (2 * np.pi) - np.pi
    shift = np.hypot(region.x - last.x, region.y - last.y) / last.size
    return float(max(shift, abs(np.log(region.size / last.size)), abs(turn)))


def _pauses(timestamps: Float[np.ndarray, " frames"]) -> Bool[np.ndarray, " frames"]:
    """Frames [N] that come long after the one before."""
    pauses = np.zeros(len(timestamps), bool)
    intervals = np.diff(timestamps)
    if len(intervals):
        pauses[1:] = intervals > max(GAP_S, GAP_TIMES * float(np.median(intervals)))
    return pauses
