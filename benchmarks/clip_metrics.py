"""Figures of a captured clip that need more than its poses: skin points, trembling landmarks, expression channels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from nerface.capture.face_track import FaceTrack
from nerface.capture.solving import SolvedClip

MIN_VIEWS = 8  # observations of a skin point before its place on the head is asked for
# Places on the head that move least with the expression: bridge of the nose, inner eye corners, temples, forehead.
STILL_LANDMARKS = (6, 168, 197, 195, 133, 362, 127, 356, 10, 151, 67, 297)
HALF_WINDOW = 3  # frames to each side of the quadratic that is taken for the true path


def skin_rms_px(track: FaceTrack, solved: SolvedClip) -> float:
    """How well followed skin points agree with the solved poses: median over the points of their RMS error, px.

    Each point is placed on the head by least squares over all the frames that see it, as if the head were rigid, so
    what the skin itself moves is in the figure. NaN where no points were followed.
    """
    skin = track.skin
    if skin is None or len(skin) == 0:
        return float("nan")
    row_of = np.full(len(track), -1)
    row_of[solved.numbers] = np.arange(len(solved))
    rows = row_of[np.asarray(skin.frame)]
    kept = rows >= 0
    rows, names, places = rows[kept], np.asarray(skin.track)[kept], np.asarray(skin.place, np.float64)[kept]
    names, owner, views = np.unique(names, return_inverse=True, return_counts=True)
    turn = solved.camera_to_head[:, :3, :3].transpose(0, 2, 1)
    shift = -np.einsum("nij,nj->ni", turn, solved.camera_to_head[:, :3, 3])
    # u (-z) = f x and so on: two rows of equations for the point, linear in it, weighted by 1 / depth of the head.
    along = (places - solved.centre) / solved.focal * [1, -1]
    lines = turn[rows][:, :2] + along[..., None] * turn[rows][:, 2:3]
    right = -(shift[rows][:, :2] + along * shift[rows][:, 2:3])
    normal, vector = np.zeros((len(names), 3, 3)), np.zeros((len(names), 3))
    np.add.at(normal, owner, np.einsum("mki,mkj->mij", lines, lines))
    np.add.at(vector, owner, np.einsum("mki,mk->mi", lines, right))
    long = views >= MIN_VIEWS
    if not long.any():
        return float("nan")
    # Seen from one side only, a point's depth is loose: it is held, weakly, to where the solution puts it.
    points = np.linalg.solve(normal + 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(3),
                             vector[..., None])[..., 0]  # fmt: skip
    camera = np.einsum("mij,mj->mi", turn[rows], points[owner]) + shift[rows]
    seen = solved.focal * camera[:, :2] / -camera[:, 2:] * [1, -1] + solved.centre
    error = np.bincount(owner, ((seen - places) ** 2).sum(axis=1)) / views
    return float(np.median(np.sqrt(error[long])))


def landmark_jitter_px(solved: SolvedClip) -> float:
    """RMS of what a quadratic over seven neighbouring frames leaves of landmarks that the expression hardly moves."""
    path = solved.landmarks[:, list(STILL_LANDMARKS)].reshape(len(solved), -1)
    window = np.arange(-HALF_WINDOW, HALF_WINDOW + 1)
    weights = np.linalg.pinv(np.vander(window, 3, increasing=True).astype(float))[0]
    if len(path) <= len(window):
        return float("nan")
    smooth = sum(w * path[HALF_WINDOW + k : len(path) - HALF_WINDOW + k] for w, k in zip(weights, window))
    unbroken = solved.numbers[2 * HALF_WINDOW :] - solved.numbers[: -2 * HALF_WINDOW] == 2 * HALF_WINDOW
    rough = (path[HALF_WINDOW:-HALF_WINDOW] - smooth)[unbroken]
    return float(np.sqrt(np.mean(rough**2))) if len(rough) else float("nan")


def agreement(measured: Float[np.ndarray, " frames"], true: Float[np.ndarray, " frames"]) -> tuple[float, float] | None:
    """Correlation and slope of measured on true values; None where the truth does not move."""
    centred = true - true.mean()
    if np.abs(centred).max() < 1e-6 or measured.std() < 1e-9:
        return None
    return float(np.corrcoef(measured, true)[0, 1]), float(centred @ measured / (centred @ centred))
