"""Shape, expression basis, focal length and key-frame poses, solved together.

Vertex v of frame i stands at  C_v + D_v + sum_j a_ij Q_vj : canonical face, person offset, and a linear basis over the
frame's reduced scores a_i. Given the poses and the focal length the offsets and bases of different vertices do not
meet in any equation, so each Gauss-Newton step eliminates them vertex by vertex (a Schur complement, as bundle
adjustment does with its points: Triggs et al. 2000, section 6) and solves the small rest for poses and focal length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from nerface.capture.bundle_geometry import POSE_PARAMETERS, Linearised, Poses, linearise, predict
from nerface.progress import SILENT, Progress


@dataclass(frozen=True)
class ShapeProblem:
    """What the key frames say: everything that stays fixed while the shape is solved.

    `landmarks` [K, 468, 3] px (column, row, depth), `activations` [K, 1 + J] (a leading 1, then reduced scores),
    `canonical` [468, 3] cm, `noise` [468, 3] px (infinite where a depth is not to count), `offset_sigma` and
    `depth_sigma` (cm), `basis_sigma` [468, J or 1] (cm per unit of score), `centre` px, the focal prior
    (log px; a sigma of 0 fixes it) and the number of Gauss-Newton `steps`.
    """

    landmarks: Float[np.ndarray, "keys 468 3"]
    activations: Float[np.ndarray, "keys channels"]
    canonical: Float[np.ndarray, "468 3"]
    noise: Float[np.ndarray, "468 3"]
    offset_sigma: float
    depth_sigma: float
    basis_sigma: Float[np.ndarray, "468 components"]
    centre: Float[np.ndarray, " 2"]
    focal_prior: float
    focal_log_sigma: float
    steps: int


@dataclass(frozen=True)
class ShapeState:
    """The unknowns: key-frame `poses`, `focal` (px) and `shape` [468, 1 + J, 3] cm (offset, then basis).

    `relief` [468] (cm) is how far behind its place the net's own depth puts each vertex, whatever the pose.
    """

    poses: Poses
    focal: float
    shape: Float[np.ndarray, "468 channels 3"]
    relief: Float[np.ndarray, " 468"]

    def vertices(
        self, canonical: Float[np.ndarray, "468 3"], activations: Float[np.ndarray, "frames channels"]
    ) -> Float[np.ndarray, "frames 468 3"]:
        """Vertices of frames with the given activations (cm)."""
        return vertices_of(canonical, self.shape, activations)


def vertices_of(
    canonical: Float[np.ndarray, "468 3"],
    shape: Float[np.ndarray, "468 channels 3"],
    activations: Float[np.ndarray, "frames channels"],
) -> Float[np.ndarray, "frames 468 3"]:
    """Canonical face + offset + basis times activations (cm)."""
    flat = shape.transpose(1, 0, 2).reshape(shape.shape[1], -1)
    return canonical + (activations @ flat).reshape(len(activations), -1, 3)


def solve_shape(problem: ShapeProblem, start: ShapeState, progress: Progress = SILENT) -> ShapeState:
    """Gauss-Newton with a Levenberg damping that follows success, from `start`."""
    state, damping = start, 1e-3
    cost = shape_cost(problem, state)
    for _ in range(problem.steps):
        progress.advance()
        for _ in range(4):
            trial = _step(problem, state, damping)
            trial_cost = shape_cost(problem, trial)
            if trial_cost < cost:
                break
            damping *= 10
        else:
            return state
        done = cost - trial_cost < 1e-4 * cost
        state, cost, damping = trial, trial_cost, max(damping / 5, 1e-6)
        if done:
            return state
    return state


def settle_shape(problem: ShapeProblem, state: ShapeState) -> ShapeState:
    """The shape alone, poses and focal length as they are: vertex by vertex, reweighted."""
    for _ in range(_SETTLE_STEPS):
        line = linearise(
            state.vertices(problem.canonical, problem.activations), state.poses, state.focal, problem.centre
        )
        residual = _residual(problem, state, line)
        weight = robust_weight(np.sum((residual / problem.noise) ** 2, axis=-1))[..., None] * problem.noise**-2
        blocks, rhs = _shape_system(problem, state, line, residual, weight)
        change = np.linalg.solve(blocks, rhs[..., None])[..., 0]
        state = replace(
            state, shape=state.shape + change[:, :-1].reshape(state.shape.shape), relief=state.relief + change[:, -1]
        )
    return state


def shape_cost(problem: ShapeProblem, state: ShapeState) -> float:
    """The objective: robust reprojection error in units of noise, ridge on shape, prior on focal length."""
    squared = np.sum((_residual(problem, state, None) / problem.noise) ** 2, axis=-1)
    data = np.sum(robust_cost(squared))
    ridge = np.sum((state.shape / _shape_sigma(problem, state.shape.shape[1])) ** 2)
    ridge += np.sum((state.relief / problem.depth_sigma) ** 2)
    focal = 0.0
    if problem.focal_log_sigma > 0:
        focal = (np.log(state.focal / problem.focal_prior) / problem.focal_log_sigma) ** 2
    return float(data + ridge + focal)


_SETTLE_STEPS = 4  # reweightings of a problem that is linear but for perspective

# Residuals (in units of noise, both axes) beyond which a landmark counts less: Geman and McClure would drop them, a
# Cauchy tail only bends them, which keeps the first steps from an inexact pose safe.
_ROBUST_SCALE_SQUARED = 9.0


def robust_cost(squared: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Cauchy's function of squared normalised residuals."""
    return np.asarray(_ROBUST_SCALE_SQUARED * np.log1p(squared / _ROBUST_SCALE_SQUARED))


def robust_weight(squared: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The derivative of `robust_cost`: the weight in reweighted least squares."""
    return np.asarray(1.0 / (1.0 + squared / _ROBUST_SCALE_SQUARED))


def _shape_sigma(problem: ShapeProblem, channels: int) -> Float[np.ndarray, "468 channels 1"]:
    vertices = len(problem.canonical)
    basis = np.broadcast_to(problem.basis_sigma, (vertices, channels - 1))
    return np.concatenate([np.full((vertices, 1), problem.offset_sigma), basis], axis=1)[..., None]


def _residual(problem: ShapeProblem, state: ShapeState, line: Linearised | None) -> Float[np.ndarray, "keys 468 3"]:
    """Observed minus predicted landmarks (px)."""
    if line is None:
        points = state.vertices(problem.canonical, problem.activations)
        predicted = predict(points, state.poses, state.focal, problem.centre)
    else:
        predicted = line.predicted
    scale = state.focal / -state.poses.translation[:, 2]
    residual = problem.landmarks - predicted
    residual[..., 2] -= scale[:, None] * state.relief
    return np.asarray(residual)


def _step(problem: ShapeProblem, state: ShapeState, damping: float) -> ShapeState:
    """One damped Gauss-Newton step on poses, focal length and shape together."""
    points = state.vertices(problem.canonical, problem.activations)
    line = linearise(points, state.poses, state.focal, problem.centre)
    residual = _residual(problem, state, line)  # [K, V, 3]
    weight = robust_weight(np.sum((residual / problem.noise) ** 2, axis=-1))[..., None] * problem.noise**-2

    camera, camera_rhs, cross = _camera_system(problem, state, line, residual, weight)
    blocks, shape_rhs = _shape_system(problem, state, line, residual, weight)
    blocks = blocks + damping * blocks * np.eye(blocks.shape[-1])
    camera = camera + damping * np.diag(np.diag(camera))

    root = np.linalg.cholesky(blocks)  # [V, S, S]
    reduced = np.linalg.solve(root, np.concatenate([cross, shape_rhs[..., None]], axis=-1))  # [V, S, P + 1]
    flat = reduced.reshape(-1, reduced.shape[-1])
    schur = flat.T @ flat
    step = np.linalg.solve(camera - schur[:-1, :-1], camera_rhs - schur[:-1, -1])
    remaining = reduced[..., -1] - reduced[..., :-1] @ step  # [V, S]
    change = np.linalg.solve(root.transpose(0, 2, 1), remaining[..., None])[..., 0]

    focal = state.focal * float(np.exp(np.clip(step[-1], -0.3, 0.3))) if problem.focal_log_sigma > 0 else state.focal
    return ShapeState(
        poses=state.poses.moved(step[:-1].reshape(-1, POSE_PARAMETERS)),
        focal=focal,
        shape=state.shape + change[:, :-1].reshape(state.shape.shape),
        relief=state.relief + change[:, -1],
    )


def _camera_system(
    problem: ShapeProblem, state: ShapeState, line: Linearised, residual: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal matrix [P, P] and right side [P] of poses and log focal (last), and their coupling [V, S, P] to shape."""
    frames, vertices = weight.shape[:2]
    size = POSE_PARAMETERS * frames + 1
    weighted = line.by_pose * weight[..., None]
    normal = np.zeros((size, size))
    pose_blocks = np.einsum("nvai,nvaj->nij", weighted, line.by_pose, optimize=True)
    for frame in range(frames):
        place = slice(POSE_PARAMETERS * frame, POSE_PARAMETERS * (frame + 1))
        normal[place, place] = pose_blocks[frame]
    by_focal = np.einsum("nvai,nva->ni", weighted, line.by_log_focal, optimize=True).reshape(-1)
    normal[:-1, -1] = normal[-1, :-1] = by_focal
    normal[-1, -1] = np.sum(weight * line.by_log_focal**2)
    rhs = np.zeros(size)
    rhs[:-1] = np.einsum("nvai,nva->ni", weighted, residual, optimize=True).reshape(-1)
    rhs[-1] = np.sum(weight * line.by_log_focal * residual)
    # Without depths nothing tells the level: a whisper of a prior keeps the system regular.
    levels = np.arange(POSE_PARAMETERS - 1, size - 1, POSE_PARAMETERS)
    normal[levels, levels] += 1e-6

    activations = problem.activations
    channels = activations.shape[1]
    cross = np.empty((vertices, 3 * channels + 1, size))
    by_pose = np.swapaxes(line.by_point, -1, -2) @ weighted  # [K, V, 3, 7]
    spread = np.einsum("nj,nvcp->vjcnp", activations, by_pose)
    cross[:, :-1, :-1] = spread.reshape(vertices, 3 * channels, -1)
    focal_rows = np.einsum("nvac,nva->nvc", line.by_point, line.by_log_focal * weight)
    cross[:, :-1, -1] = np.einsum("nj,nvc->vjc", activations, focal_rows).reshape(vertices, -1)
    relief_rows = weighted[:, :, 2] * line.scale[:, None, None]  # [K, V, 7]
    cross[:, -1, :-1] = relief_rows.transpose(1, 0, 2).reshape(vertices, -1)
    cross[:, -1, -1] = np.einsum("nv,n->v", weight[..., 2] * line.by_log_focal[..., 2], line.scale)
    if problem.focal_log_sigma > 0:
        precision = problem.focal_log_sigma**-2
        normal[-1, -1] += precision
        rhs[-1] -= precision * np.log(state.focal / problem.focal_prior)
    else:  # a stated focal length does not move
        normal[-1], normal[:, -1], cross[..., -1], rhs[-1] = 0, 0, 0, 0
        normal[-1, -1] = 1
    return normal, rhs, cross


def _shape_system(
    problem: ShapeProblem, state: ShapeState, line: Linearised, residual: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Per-vertex normal blocks [V, S, S] and right sides [V, S] of offset, basis and relief, ridges included."""
    activations = problem.activations
    vertices, channels = weight.shape[1], activations.shape[1]
    weighted = line.by_point * weight[..., None]
    size = 3 * channels + 1
    blocks = np.zeros((vertices, size, size))
    point_blocks = np.swapaxes(line.by_point, -1, -2) @ weighted  # [K, V, 3, 3]
    pairs = (activations[:, :, None] * activations[:, None, :]).reshape(len(activations), -1)  # [K, C C]
    inner = (pairs.T @ point_blocks.reshape(len(activations), -1)).reshape(channels, channels, vertices, 3, 3)
    blocks[:, :-1, :-1] = inner.transpose(2, 0, 3, 1, 4).reshape(vertices, 3 * channels, 3 * channels)
    mixed = np.einsum("nj,nvc->vjc", activations, weighted[:, :, 2] * line.scale[:, None, None])
    blocks[:, :-1, -1] = blocks[:, -1, :-1] = mixed.reshape(vertices, -1)
    blocks[:, -1, -1] = np.einsum("nv,n->v", weight[..., 2], line.scale**2)

    rows = np.einsum("nvac,nva->nvc", weighted, residual)
    values = np.concatenate([state.shape.reshape(vertices, -1), state.relief[:, None]], axis=1)
    rhs = np.empty((vertices, size))
    rhs[:, :-1] = np.einsum("nj,nvc->vjc", activations, rows).reshape(vertices, -1)
    rhs[:, -1] = np.einsum("nv,n->v", weight[..., 2] * residual[..., 2], line.scale)
    precision = np.full((vertices, size), problem.depth_sigma**-2)
    precision[:, :-1] = np.broadcast_to(_shape_sigma(problem, channels) ** -2, (vertices, channels, 3)).reshape(
        vertices, -1
    )
    index = np.arange(size)
    blocks[:, index, index] += precision
    return blocks, rhs - precision * values
