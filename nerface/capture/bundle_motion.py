"""Head motion from spots followed on the skin, with the landmarks' poses as a biased witness.

Landmarks tell where the head is and which way it faces on the whole, but their poses are wrong in a way that repeats:
they under-report pitch and lean with the expression. Followed spots tell how the head moves from frame to frame, but
nothing of where it is. Both meet in one adjustment of all frames' poses and the focal length f. Spot p of frame i lies
at head-space point X_p + m_pi (m: the person's expression basis where the spot sits), so that

    place_pi ~ project(f, R_i (X_p + m_pi) + t_i),        log(landmark pose_i / pose_i) ~ B phi_i

with phi_i the landmarks' own turn and expression and B (6 x K) the bias they share over the clip, solved for as well.
Spots are free points with a prior on the face's surface. They are eliminated one by one (Triggs et al. 2000, section
6), and as each lives for a limited number of frames the system that is left is banded; f and B are its border.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy.lib.stride_tricks import as_strided
from scipy.linalg import solveh_banded

from nerface.capture.bundle_geometry import Poses, cross_matrix, rotation_log
from nerface.progress import SILENT, Progress

DOF = 6  # of a pose: a rotation vector in camera axes, x, y (cm), log depth
_ALIKE = 0.6  # spots at least this share of the longest one's life are taken together with it
_CHUNK_ROWS = 30_000  # observations linearised at once: some 40 MB


@dataclass(frozen=True)
class SpotTable:
    """M observations of P spots, sorted by spot, then frame; a spot is seen in unbroken runs of frames.

    `start` [P + 1]: rows of spot p are start[p]:start[p + 1]; `frame` [M] index among the used frames; `place` [M, 2]
    px; `point` [P, 3] cm prior place in head space and `point_sigma` [P] cm; `sway_sigma` [P], cm that the skin there
    may follow a unit of a reduced score; `mobility` [P], cm of further motion that is expected.
    """

    start: Int[np.ndarray, " spots_1"]
    frame: Int[np.ndarray, " rows"]
    place: Float[np.ndarray, "rows 2"]
    point: Float[np.ndarray, "spots 3"]
    point_sigma: Float[np.ndarray, " spots"]
    sway_sigma: Float[np.ndarray, " spots"]
    mobility: Float[np.ndarray, " spots"]

    def __len__(self) -> int:
        return len(self.point)

    @property
    def owner(self) -> Int[np.ndarray, " rows"]:
        """The spot of each row."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))


@dataclass(frozen=True)
class MotionProblem:
    """What stays fixed while the motion is solved.

    `witness` N landmark poses found at focal length `focal` and their `information` [N, 6, 6]; `features` [N, K] that
    the witness' error may depend on, with prior standard deviation `bias_sigma` [K, 6] of the dependence;
    `focal_log_sigma` of the prior about `focal_prior` (0: `focal` is fixed); `smoothness` [6] weights of squared second
    differences and `joined` [N - 2] where they apply.
    """

    spots: SpotTable
    witness: Poses
    information: Float[np.ndarray, "frames 6 6"]
    features: Float[np.ndarray, "frames features"]
    bias_sigma: Float[np.ndarray, "features 6"]
    activations: Float[np.ndarray, "frames channels"]
    focal: float
    focal_prior: float
    focal_log_sigma: float
    centre: Float[np.ndarray, " 2"]
    smoothness: Float[np.ndarray, " 6"]
    joined: Float[np.ndarray, " triples"]
    noise_floor: float
    correlation: float
    prior_dof: float
    steps: int


@dataclass(frozen=True)
class Motion:
    """The unknowns: `poses`, `focal` px, `bias` [K, 6], `point` [P, 1 + J, 3] cm; and `spread` [P] px, each spot's noise."""

    poses: Poses
    focal: float
    bias: Float[np.ndarray, "features 6"]
    point: Float[np.ndarray, "spots channels 3"]
    spread: Float[np.ndarray, " spots"]


@dataclass(frozen=True)
class _Rows:
    """Residuals [M, 2] and derivatives of some observations: by pose [M, 2, 6], point [M, 2, 3 (1 + J)], log focal [M, 2]."""

    residual: np.ndarray
    by_pose: np.ndarray
    by_point: np.ndarray
    by_log_focal: np.ndarray


def solve_motion(problem: MotionProblem, progress: Progress = SILENT) -> Motion:
    """Robust Gauss-Newton from the witness' poses; deterministic."""
    spots = problem.spots
    motion = Motion(
        problem.witness,
        problem.focal,
        np.zeros_like(problem.bias_sigma),
        np.concatenate([spots.point[:, None], np.zeros((len(spots), problem.activations.shape[1] - 1, 3))], axis=1),
        np.full(len(spots), 10 * problem.noise_floor),
    )
    motion = _points_alone(problem, motion)
    for _ in range(problem.steps):
        motion = _step(problem, replace(motion, spread=spot_spread(problem, motion)))
        progress.advance()
    return motion


def residuals(problem: MotionProblem, motion: Motion) -> Float[np.ndarray, "rows 2"]:
    """Seen minus predicted places (px)."""
    parts = [_linearise(problem, motion, rows).residual for _, rows in _chunks(problem.spots)]
    return np.concatenate(parts) if parts else np.zeros((0, 2))


def spot_spread(problem: MotionProblem, motion: Motion) -> Float[np.ndarray, " spots"]:
    """Noise of each spot (px): its own residual drawn to the clip's usual one, more where skin moves."""
    spots = problem.spots
    if not len(spots):
        return np.zeros(0)
    squared = np.sum(residuals(problem, motion) ** 2, axis=1)
    count = np.diff(spots.start)
    mean = np.array([np.mean(squared[a:b]) for a, b in zip(spots.start[:-1], spots.start[1:])]) / 2
    scale = motion.focal / np.median(-motion.poses.translation[:, 2])  # px in a cm
    usual = max(float(np.sqrt(np.median(mean))), problem.noise_floor)
    expected = usual**2 + (scale * spots.mobility) ** 2
    dof = problem.prior_dof
    own = count / problem.correlation  # rows of a spot err alike
    return np.asarray(np.sqrt((dof * expected + own * mean) / (dof + own)))


def _chunks(spots: SpotTable) -> Iterator[tuple[slice, slice]]:
    """Runs of spots and their rows, bounded in size."""
    first = 0
    while first < len(spots):
        last = int(np.searchsorted(spots.start, spots.start[first] + _CHUNK_ROWS, side="right")) - 1
        last = min(max(last, first + 1), len(spots))
        yield slice(first, last), slice(int(spots.start[first]), int(spots.start[last]))
        first = last


def _linearise(problem: MotionProblem, motion: Motion, rows: slice) -> _Rows:
    spots, centre, focal = problem.spots, problem.centre, motion.focal
    frame = spots.frame[rows]
    rotation, translation = motion.poses.rotation[frame], motion.poses.translation[frame]
    owner = np.searchsorted(spots.start, np.arange(rows.start, rows.stop), side="right") - 1
    active = problem.activations[frame]
    turned = (rotation @ np.einsum("mj,mjc->mc", active, motion.point[owner])[..., None])[..., 0]
    place = turned + translation
    depth = np.maximum(-place[:, 2], 1.0)
    relative = focal * place[:, :2] * [1.0, -1.0] / depth[:, None]
    by_camera = np.zeros((len(frame), 2, 3))
    by_camera[:, 0, 0] = focal / depth
    by_camera[:, 1, 1] = -focal / depth
    by_camera[:, :, 2] = relative / depth[:, None]
    by_pose = np.concatenate([-by_camera @ cross_matrix(turned), by_camera], axis=2)
    by_pose[:, :, 5] *= translation[:, None, 2]
    by_point = (by_camera @ rotation)[:, :, None] * active[:, None, :, None]
    return _Rows(spots.place[rows] - centre - relative, by_pose, by_point.reshape(len(frame), 2, -1), relative)


def _weights(spread: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Weights of rows: Cauchy's, with the spot's own noise."""
    return np.asarray(spread**-2 / (1 + np.sum(residual**2, axis=1) / (6.0 * spread**2)))


def _points_alone(problem: MotionProblem, motion: Motion) -> Motion:
    """Points for the poses as they are."""
    spots = problem.spots
    for _ in range(3):
        point = motion.point.copy()
        for some, rows in _chunks(spots):
            line = _linearise(problem, motion, rows)
            owner = spots.owner[rows] - some.start
            weight = _weights(motion.spread[some][owner], line.residual) / problem.correlation
            begins = spots.start[some] - rows.start
            blocks, rhs = _point_system(problem, motion, line, weight, some, begins)
            point[some] += np.linalg.solve(blocks, rhs[..., None]).reshape(point[some].shape)
        motion = replace(motion, point=point)
        motion = replace(motion, spread=spot_spread(problem, motion))
    return motion


def _point_system(
    problem: MotionProblem, motion: Motion, line: _Rows, weight: np.ndarray, some: slice, begins: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    weighted = line.by_point * weight[:, None, None]
    blocks = np.add.reduceat(np.swapaxes(line.by_point, 1, 2) @ weighted, begins, axis=0)
    rhs = np.add.reduceat((np.swapaxes(weighted, 1, 2) @ line.residual[..., None])[..., 0], begins, axis=0)
    spots, index = problem.spots, np.arange(blocks.shape[-1])
    precision = np.repeat(spots.sway_sigma[some, None] ** -2, len(index), axis=1)
    precision[:, :3] = spots.point_sigma[some, None] ** -2
    prior = np.zeros_like(motion.point[some])
    prior[:, 0] = spots.point[some]
    blocks[:, index, index] += precision
    rhs += precision * (prior - motion.point[some]).reshape(len(prior), -1)
    return blocks, rhs


class _Banded:
    """A symmetric banded matrix that square blocks on the diagonal are added to, as LAPACK stores it, both halves."""

    def __init__(self, size: int, reach: int) -> None:
        self._store = np.zeros((2 * reach + 1, size))
        self._reach = reach
        row, column = self._store.strides
        # Entry (i, j) lies in row reach + i - j, column j: one step down the matrix is one row down the store.
        self._view = as_strided(self._store[reach:], (size, size), (row, column - row))

    def add(self, first: int, block: np.ndarray) -> None:
        """Add a block at rows and columns first, first + 1, ..."""
        last = first + len(block)
        self._view[first:last, first:last] += block

    def lower(self) -> np.ndarray:
        """LAPACK's lower banded form."""
        return self._store[self._reach :]


def _step(problem: MotionProblem, motion: Motion) -> Motion:
    """One Gauss-Newton step of everything."""
    spots = problem.spots
    frames, border = len(motion.poses), problem.bias_sigma.size + 1
    reach = DOF * max(int(np.max(np.diff(spots.start), initial=1)), 3) - 1
    matrix = _Banded(DOF * frames, reach)
    coupling, rhs = np.zeros((DOF * frames, border)), np.zeros(DOF * frames)
    corner, corner_rhs = np.zeros((border, border)), np.zeros(border)
    per_frame = problem.information.copy()
    back = []
    for some, rows in _chunks(spots):
        line = _linearise(problem, motion, rows)
        begins = spots.start[some] - rows.start
        owner = spots.owner[rows] - some.start
        weight = _weights(motion.spread[some][owner], line.residual) / problem.correlation
        blocks, point_rhs = _point_system(problem, motion, line, weight, some, begins)
        root = np.linalg.inv(np.linalg.cholesky(blocks))  # [P, S, S] with S = 3 (1 + J)
        weighted = line.by_pose * weight[:, None, None]  # [M, 2, 6]
        frame = spots.frame[rows]
        diagonal = np.swapaxes(line.by_pose, 1, 2) @ weighted
        mixed = np.swapaxes(weighted, 1, 2) @ line.by_point @ np.swapaxes(root[owner], 1, 2)  # [M, 6, S]
        by_focal = (np.swapaxes(weighted, 1, 2) @ line.by_log_focal[..., None])[..., 0]  # [M, 6]
        pull = (np.swapaxes(weighted, 1, 2) @ line.residual[..., None])[..., 0]
        focal_point = np.add.reduceat(
            (np.swapaxes(line.by_point, 1, 2) @ (line.by_log_focal * weight[:, None])[..., None])[..., 0], begins
        )
        focal_point = (root @ focal_point[..., None])[..., 0]
        reduced = (root @ point_rhs[..., None])[..., 0]  # [P, S]
        by_focal -= np.einsum("mij,mj->mi", mixed, focal_point[owner])
        pull -= np.einsum("mij,mj->mi", mixed, reduced[owner])
        np.add.at(per_frame, frame, diagonal)
        _subtract_outer(matrix, mixed, frame, [*begins, len(frame)])
        np.add.at(coupling[:, -1].reshape(frames, DOF), frame, by_focal)
        np.add.at(rhs.reshape(frames, DOF), frame, pull)
        corner[-1, -1] += np.sum(weight[:, None] * line.by_log_focal**2) - np.sum(focal_point**2)
        corner_rhs[-1] += np.sum(weight[:, None] * line.by_log_focal * line.residual) - np.sum(focal_point * reduced)
        back.append((some, owner, frame, mixed, root, focal_point, reduced))
    for number in range(frames):
        matrix.add(DOF * number, per_frame[number])
    _add_witness(problem, motion, coupling, rhs, corner, corner_rhs)
    _add_smoothness(problem, motion, matrix, rhs)
    if problem.focal_log_sigma > 0:
        corner[-1, -1] += problem.focal_log_sigma**-2
        corner_rhs[-1] -= np.log(motion.focal / problem.focal_prior) * problem.focal_log_sigma**-2
    else:
        coupling[:, -1] = corner[-1] = corner[:, -1] = corner_rhs[-1] = 0
        corner[-1, -1] = 1
    solved = solveh_banded(matrix.lower(), np.concatenate([coupling, rhs[:, None]], axis=1), lower=True)
    edge = np.linalg.solve(corner - coupling.T @ solved[:, :-1], corner_rhs - coupling.T @ solved[:, -1])
    step = (solved[:, -1] - solved[:, :-1] @ edge).reshape(frames, DOF)
    point = motion.point.copy()
    for some, owner, frame, mixed, root, focal_point, reduced in back:
        moved = np.zeros_like(reduced)
        np.add.at(moved, owner, np.einsum("mij,mi->mj", mixed, step[frame]))
        rest = reduced - moved - focal_point * edge[-1]
        point[some] += (np.swapaxes(root, 1, 2) @ rest[..., None]).reshape(point[some].shape)
    step = np.concatenate([step, np.zeros((frames, 1))], axis=1)
    return replace(
        motion,
        poses=motion.poses.moved(step),
        focal=motion.focal * float(np.exp(np.clip(edge[-1], -0.3, 0.3))),
        bias=motion.bias + edge[:-1].reshape(motion.bias.shape),
        point=point,
    )


def _subtract_outer(matrix: _Banded, mixed: np.ndarray, frame: np.ndarray, bounds: list[int]) -> None:
    """Take W_p W_p^T of each spot p from the matrix; spots that begin together and live about as long go as one.

    One product with many columns is several times quicker than many with few, and the matrix is touched once.
    """
    size = mixed.shape[-1]
    first = 0
    while first < len(bounds) - 1:
        begin, length = int(frame[bounds[first]]), bounds[first + 1] - bounds[first]
        last = first + 1
        # Spots are sorted by first frame, then length, the longest first.
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
        matrix.add(DOF * begin, flat @ -flat.T)
        first = last


def witness_residual(problem: MotionProblem, motion: Motion) -> Float[np.ndarray, "frames 6"]:
    """What the witness says beyond the poses, bias included: rotation vector, x, y (cm), log depth."""
    witness, poses = problem.witness, motion.poses
    turn = rotation_log(witness.rotation @ poses.rotation.transpose(0, 2, 1))
    shift = witness.translation[:, :2] - poses.translation[:, :2]
    depth = np.log(witness.translation[:, 2] / poses.translation[:, 2]) + np.log(motion.focal / problem.focal)
    return np.concatenate([turn, shift, depth[:, None]], axis=1)


def _add_witness(
    problem: MotionProblem,
    motion: Motion,
    coupling: np.ndarray,
    rhs: np.ndarray,
    corner: np.ndarray,
    corner_rhs: np.ndarray,
) -> None:
    frames, border = len(motion.poses), problem.bias_sigma.size + 1
    residual = witness_residual(problem, motion) - problem.features @ motion.bias
    # residual ~ step + Phi dB - [0..0 1] dlogf
    by_edge = np.zeros((frames, DOF, border))
    by_edge[:, :, :-1] = np.einsum("nk,ij->nikj", problem.features, np.eye(DOF)).reshape(frames, DOF, -1)
    by_edge[:, 5, -1] = -1.0
    weighted = problem.information @ by_edge
    pull = (problem.information @ residual[..., None])[..., 0]
    coupling += weighted.reshape(-1, border)
    rhs += pull.reshape(-1)
    corner += np.einsum("nia,nib->ab", by_edge, weighted)
    corner_rhs += np.einsum("nia,ni->a", by_edge, pull)
    precision = problem.bias_sigma.reshape(-1) ** -2
    corner[np.arange(border - 1), np.arange(border - 1)] += precision
    corner_rhs[:-1] -= precision * motion.bias.reshape(-1)


def _add_smoothness(problem: MotionProblem, motion: Motion, matrix: _Banded, rhs: np.ndarray) -> None:
    count = len(motion.poses)
    if count < 3 or not problem.smoothness.any():
        return
    poses = motion.poses
    turns = rotation_log(poses.rotation[1:] @ poses.rotation[:-1].transpose(0, 2, 1))
    shifts = np.diff(poses.translation, axis=0)
    shifts[:, 2] = np.diff(np.log(-poses.translation[:, 2]))
    acceleration = np.diff(np.concatenate([turns, shifts], axis=1), axis=0)  # [N - 2, 6]
    stencil = np.array([1.0, -2.0, 1.0])
    block = np.einsum("a,b,ij->aibj", stencil, stencil, np.diag(problem.smoothness)).reshape(3 * DOF, 3 * DOF)
    flat = rhs.reshape(count, DOF)
    for number in np.flatnonzero(problem.joined):
        matrix.add(DOF * int(number), block)
        flat[number : number + 3] -= stencil[:, None] * problem.smoothness * acceleration[number]
