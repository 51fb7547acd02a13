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

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from nerface.capture.bundle_bordered import BorderedSystem
from nerface.capture.bundle_geometry import Poses, rotation_log
from nerface.capture.bundle_rows import DOF, Chunk, SpotRows, SpotTable, linearise_rows
from nerface.progress import SILENT, Progress

_ROBUST_SCALE_SQUARED = 6.0  # squared residuals, in units of a spot's noise, beyond which Cauchy's weight falls
_FIRST_SWEEPS = 3  # of the points, for the witness' poses


@dataclass(frozen=True)
class MotionProblem:
    """What stays fixed while the motion is solved.

    `witness` N landmark poses found at focal length `focal` and their `information` [N, 6, 6]; `features` [N, K] that
    the witness' error may depend on, with prior standard deviation `bias_sigma` [K, 6] of the dependence;
    `activations` [N, 1 + J] (a leading 1, then reduced scores) that the skin sways with; `focal_log_sigma` of the prior
    about `focal_prior` (0: `focal` is fixed); `centre` px; `smoothness` [6] weights of squared second differences and
    `joined` [N - 2] where they apply.

    Noise: no spot is surer than `noise_floor` px; `correlation` rows of a spot count as one, for its error drifts
    slowly; the clip's usual noise counts as `prior_dof` independent observations against a spot's own.
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
    """The unknowns: `poses`, `focal` px, `bias` [K, 6], `point` [P, 1 + J, 3] cm; and `spread` [P] px of each spot."""

    poses: Poses
    focal: float
    bias: Float[np.ndarray, "features 6"]
    point: Float[np.ndarray, "spots channels 3"]
    spread: Float[np.ndarray, " spots"]


def solve_motion(problem: MotionProblem, progress: Progress = SILENT) -> Motion:
    """Robust Gauss-Newton from the witness' poses; deterministic.

    Raises `numpy.linalg.LinAlgError` where the equations do not hold (numbers that are not finite).
    """
    spots = problem.spots
    sway = np.zeros((len(spots), problem.activations.shape[1] - 1, 3))
    motion = Motion(
        problem.witness,
        problem.focal,
        np.zeros_like(problem.bias_sigma),
        np.concatenate([spots.point[:, None], sway], axis=1),
        np.full(len(spots), 10 * problem.noise_floor),
    )
    for _ in range(_FIRST_SWEEPS):
        motion = settle_points(problem, motion)
    for _ in range(problem.steps):
        motion = settle_points(problem, step_poses(problem, motion))
        progress.advance()
    return motion


def step_poses(problem: MotionProblem, motion: Motion) -> Motion:
    """One Gauss-Newton step of poses, focal length and bias, the points eliminated; points stay as they were."""
    spots = problem.spots
    longest = int(np.max(np.diff(spots.start), initial=3))
    system = BorderedSystem(len(motion.poses), longest, problem.bias_sigma.size + 1)
    per_frame = problem.information.copy()
    for chunk in spots.chunks():
        _add_spots(problem, motion, chunk, system, per_frame)
    for number, block in enumerate(per_frame):
        system.add(number, block)
    _add_witness(problem, motion, system)
    _add_smoothness(problem, motion, system)
    if problem.focal_log_sigma > 0:
        system.corner[-1, -1] += problem.focal_log_sigma**-2
        system.corner_rhs[-1] -= np.log(motion.focal / problem.focal_prior) * problem.focal_log_sigma**-2
    else:  # a stated focal length does not move
        system.coupling[:, -1] = system.corner[-1] = system.corner[:, -1] = system.corner_rhs[-1] = 0
        system.corner[-1, -1] = 1
    step, edge = system.solve()
    return replace(
        motion,
        poses=motion.poses.moved(np.concatenate([step, np.zeros((len(step), 1))], axis=1)),
        focal=motion.focal * float(np.exp(np.clip(edge[-1], -0.3, 0.3))),
        bias=motion.bias + edge[:-1].reshape(motion.bias.shape),
    )


def settle_points(problem: MotionProblem, motion: Motion) -> Motion:
    """One Gauss-Newton step of the points for the poses as they are, and each spot's noise thereafter."""
    spots = problem.spots
    point, squared = motion.point.copy(), np.empty(len(spots))
    for chunk in spots.chunks():
        line = _rows(problem, motion, chunk)
        blocks, rhs = _point_system(problem, motion, line, _weights(problem, motion, line, chunk), chunk)
        change = np.linalg.solve(blocks, rhs[..., None])
        point[chunk.spots] += change.reshape(point[chunk.spots].shape)
        left = line.residual - (line.by_point @ change[chunk.owner])[..., 0]
        squared[chunk.spots] = chunk.sums(np.sum(left**2, axis=1)) / (2 * np.diff(chunk.bounds))
    return replace(motion, point=point, spread=_spread(problem, motion, squared))


def residuals(problem: MotionProblem, motion: Motion) -> Float[np.ndarray, "rows 2"]:
    """Seen minus predicted places of all spots (px)."""
    return np.concatenate([_rows(problem, motion, chunk).residual for chunk in problem.spots.chunks()])


def _spread(problem: MotionProblem, motion: Motion, squared: np.ndarray) -> Float[np.ndarray, " spots"]:
    """Noise of each spot (px): its own mean squared residual drawn to the clip's usual one, more where skin moves."""
    spots = problem.spots
    scale = motion.focal / np.median(-motion.poses.translation[:, 2])  # px in a cm
    usual = max(float(np.median(squared)), problem.noise_floor**2)
    expected = usual + (scale * spots.mobility) ** 2
    own = np.diff(spots.start) / problem.correlation
    return np.asarray(np.sqrt((problem.prior_dof * expected + own * squared) / (problem.prior_dof + own)))


def _rows(problem: MotionProblem, motion: Motion, chunk: Chunk) -> SpotRows:
    return linearise_rows(
        problem.spots, chunk, motion.poses, motion.focal, problem.centre, problem.activations, motion.point
    )


def _weights(problem: MotionProblem, motion: Motion, line: SpotRows, chunk: Chunk) -> Float[np.ndarray, " rows"]:
    variance = motion.spread[chunk.spots][chunk.owner] ** 2
    bend = 1 + np.sum(line.residual**2, axis=1) / (_ROBUST_SCALE_SQUARED * variance)
    return np.asarray(1 / (problem.correlation * variance * bend))


def _point_system(
    problem: MotionProblem, motion: Motion, line: SpotRows, weight: np.ndarray, chunk: Chunk
) -> tuple[Float[np.ndarray, "spots numbers numbers"], Float[np.ndarray, "spots numbers"]]:
    """Normal equations of each spot's point and sway, priors included."""
    weighted = np.swapaxes(line.by_point * weight[:, None, None], 1, 2)
    blocks = chunk.sums(weighted @ line.by_point)
    rhs = chunk.sums((weighted @ line.residual[..., None])[..., 0])
    spots, index = problem.spots, np.arange(blocks.shape[-1])
    precision = np.repeat(spots.sway_sigma[chunk.spots, None] ** -2, len(index), axis=1)
    precision[:, :3] = spots.point_sigma[chunk.spots, None] ** -2
    prior = np.zeros_like(motion.point[chunk.spots])
    prior[:, 0] = spots.point[chunk.spots]
    blocks[:, index, index] += precision
    rhs += precision * (prior - motion.point[chunk.spots]).reshape(len(prior), -1)
    return blocks, rhs


def _add_spots(
    problem: MotionProblem, motion: Motion, chunk: Chunk, system: BorderedSystem, per_frame: np.ndarray
) -> None:
    """What some spots say of poses and focal length, their points eliminated; `per_frame` gathers diagonal blocks."""
    line = _rows(problem, motion, chunk)
    weight = _weights(problem, motion, line, chunk)
    blocks, point_rhs = _point_system(problem, motion, line, weight, chunk)
    root = np.linalg.inv(np.linalg.cholesky(blocks))  # [p, S, S]: blocks^-1 = root^T root
    turned_root = np.swapaxes(root, 1, 2)
    frame, frames = problem.spots.frame[chunk.rows], len(motion.poses)
    weighted = np.swapaxes(line.by_pose * weight[:, None, None], 1, 2)  # [m, 6, 2]
    by_focal = line.by_log_focal * weight[:, None]
    mixed = weighted @ line.by_point @ turned_root[chunk.owner]  # [m, 6, S]
    focal_point = chunk.sums((np.swapaxes(line.by_point, 1, 2) @ by_focal[..., None])[..., 0])
    focal_point = (root @ focal_point[..., None])[..., 0]  # [p, S]
    reduced = (root @ point_rhs[..., None])[..., 0]  # [p, S]

    def without_points(column: np.ndarray, eliminated: np.ndarray) -> np.ndarray:
        """weighted^T column less what the points take up, summed by frame."""
        own = (weighted @ column[..., None])[..., 0] - (mixed @ eliminated[chunk.owner][..., None])[..., 0]
        total = np.zeros((frames, DOF))
        np.add.at(total, frame, own)
        return total.reshape(-1)

    np.add.at(per_frame, frame, weighted @ line.by_pose)
    system.subtract_spots(mixed, frame, chunk)
    system.coupling[:, -1] += without_points(line.by_log_focal, focal_point)
    system.rhs += without_points(line.residual, reduced)
    system.corner[-1, -1] += np.sum(by_focal * line.by_log_focal) - np.sum(focal_point**2)
    system.corner_rhs[-1] += np.sum(by_focal * line.residual) - np.sum(focal_point * reduced)


def witness_residual(problem: MotionProblem, motion: Motion) -> Float[np.ndarray, "frames 6"]:
    """What the witness says beyond the poses, bias included: rotation vector, x, y (cm), log depth."""
    witness, poses = problem.witness, motion.poses
    turn = rotation_log(witness.rotation @ poses.rotation.transpose(0, 2, 1))
    shift = witness.translation[:, :2] - poses.translation[:, :2]
    # The witness saw the head at the distance that its own focal length makes of the picture's scale.
    depth = np.log(witness.translation[:, 2] / poses.translation[:, 2]) + np.log(motion.focal / problem.focal)
    return np.concatenate([turn, shift, depth[:, None]], axis=1)


def _add_witness(problem: MotionProblem, motion: Motion, system: BorderedSystem) -> None:
    """The witness: residual = step + features dB - (0 .. 0, 1) d log f; its blocks of the poses are in already."""
    frames, border = len(motion.poses), problem.bias_sigma.size + 1
    residual = witness_residual(problem, motion) - problem.features @ motion.bias
    by_edge = np.zeros((frames, DOF, border))
    by_edge[:, :, :-1] = np.einsum("nk,ij->nikj", problem.features, np.eye(DOF)).reshape(frames, DOF, -1)
    by_edge[:, 5, -1] = -1.0
    weighted = problem.information @ by_edge
    pull = (problem.information @ residual[..., None])[..., 0]
    system.coupling += weighted.reshape(-1, border)
    system.rhs += pull.reshape(-1)
    system.corner += np.einsum("nia,nib->ab", by_edge, weighted)
    system.corner_rhs += np.einsum("nia,ni->a", by_edge, pull)
    precision = problem.bias_sigma.reshape(-1) ** -2
    system.corner[np.arange(border - 1), np.arange(border - 1)] += precision
    system.corner_rhs[:-1] -= precision * motion.bias.reshape(-1)


def _add_smoothness(problem: MotionProblem, motion: Motion, system: BorderedSystem) -> None:
    """The penalty |second difference|^2 of the path."""
    poses, count = motion.poses, len(motion.poses)
    if count < 3:
        return
    turns = rotation_log(poses.rotation[1:] @ poses.rotation[:-1].transpose(0, 2, 1))
    shifts = np.diff(poses.translation, axis=0)
    shifts[:, 2] = np.diff(np.log(-poses.translation[:, 2]))
    acceleration = np.diff(np.concatenate([turns, shifts], axis=1), axis=0)  # [N - 2, 6]
    stencil = np.array([1.0, -2.0, 1.0])
    block = np.einsum("a,b,ij->aibj", stencil, stencil, np.diag(problem.smoothness)).reshape(3 * DOF, 3 * DOF)
    flat = system.rhs.reshape(count, DOF)
    for number in np.flatnonzero(problem.joined):
        system.add(int(number), block)
        flat[number : number + 3] -= stencil[:, None] * problem.smoothness * acceleration[number]
