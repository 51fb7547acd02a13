"""Poses of all frames for a known shape: robust Gauss-Newton with a light penalty on acceleration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import solveh_banded

from nerface.capture.bundle_geometry import POSE_PARAMETERS, Poses, linearise, predict, rotation_log
from nerface.capture.bundle_shape import robust_weight, vertices_of
from nerface.progress import SILENT, Progress

_CHUNK_FRAMES = 128  # bounds the memory of the derivatives to some 60 MB


@dataclass(frozen=True)
class TrackProblem:
    """What stays fixed while poses are solved.

    `landmarks` [N, 468, 3] px (column, row, depth), `activations` [N, 1 + J], `canonical` [468, 3], `shape`
    [468, 1 + J, 3] and `relief` [468] cm, `noise` [468, 3] px, `centre` and `focal` px; `smoothness` is the weight of
    squared second differences relative to the mean information of a frame (0: frames on their own); `joined` [N - 2]
    is 0 where three frames are not neighbours in time.
    """

    landmarks: Float[np.ndarray, "frames 468 3"]
    activations: Float[np.ndarray, "frames channels"]
    canonical: Float[np.ndarray, "468 3"]
    shape: Float[np.ndarray, "468 channels 3"]
    relief: Float[np.ndarray, " 468"]
    noise: Float[np.ndarray, "468 3"]
    centre: Float[np.ndarray, " 2"]
    focal: float
    smoothness: float
    joined: Float[np.ndarray, " triples"]
    steps: int


def solve_track(problem: TrackProblem, start: Poses, progress: Progress = SILENT) -> Poses:
    """Poses of all frames from `start`; a fixed number of Gauss-Newton steps, the smoothing in the last half."""
    poses = start
    for step in range(problem.steps):
        blocks, rhs = _frame_systems(problem, poses)
        if problem.smoothness > 0 and len(poses) > 2 and step >= problem.steps // 2:
            poses = poses.moved(_smooth_step(problem, poses, blocks, rhs))
        else:
            poses = poses.moved(np.linalg.solve(blocks, rhs[..., None])[..., 0])
        progress.advance()
    return poses


def project_track(problem: TrackProblem, poses: Poses) -> Float[np.ndarray, "frames 468 2"]:
    """The model's landmarks in every frame (px)."""
    parts = []
    for at in range(0, len(poses), _CHUNK_FRAMES):
        part = slice(at, at + _CHUNK_FRAMES)
        points = vertices_of(problem.canonical, problem.shape, problem.activations[part])
        parts.append(predict(points, poses.take(part), problem.focal, problem.centre)[..., :2])
    return np.concatenate(parts)


def smoothness_for(half_gain_cycles_per_frame: float) -> float:
    """The penalty at which motion of the given frequency keeps half its size (Whittaker's smoother of order two)."""
    if not 0 < half_gain_cycles_per_frame < 0.5:
        return 0.0
    return float((2 - 2 * np.cos(2 * np.pi * half_gain_cycles_per_frame)) ** -2)


def _frame_systems(problem: TrackProblem, poses: Poses) -> tuple[np.ndarray, np.ndarray]:
    """Normal matrices [N, 7, 7] and right sides [N, 7] of the frames, each on its own."""
    blocks, rhs = np.empty((len(poses), POSE_PARAMETERS, POSE_PARAMETERS)), np.empty((len(poses), POSE_PARAMETERS))
    for at in range(0, len(poses), _CHUNK_FRAMES):
        part = slice(at, at + _CHUNK_FRAMES)
        points = vertices_of(problem.canonical, problem.shape, problem.activations[part])
        line = linearise(points, poses.take(part), problem.focal, problem.centre)
        residual = problem.landmarks[part] - line.predicted
        residual[..., 2] -= line.scale[:, None] * problem.relief
        weight = robust_weight(np.sum((residual / problem.noise) ** 2, axis=-1))[..., None] * problem.noise**-2
        rows = line.by_pose.reshape(len(points), -1, POSE_PARAMETERS)
        weighted = (rows * weight.reshape(len(points), -1, 1)).transpose(0, 2, 1)
        blocks[part] = weighted @ rows
        rhs[part] = (weighted @ residual.reshape(len(points), -1, 1))[..., 0]
    diagonal = np.einsum("nii->ni", blocks)
    diagonal *= 1 + 1e-6
    diagonal[:, -1] += 1e-6  # without depths nothing tells the level
    return blocks, rhs


def _smooth_step(problem: TrackProblem, poses: Poses, blocks: np.ndarray, rhs: np.ndarray) -> np.ndarray:
    """One step of all frames at once, with the penalty |second difference|^2 in the metric of a frame's information.

    The penalty couples a frame to two neighbours on either side: a banded system of half width 3 * 7 - 1.
    """
    count = len(poses)
    # The diagonal only: coupling between, say, a turn and a shift is a matter of the data, not of smoothness.
    metric = problem.smoothness * np.einsum("nii->i", blocks) / count
    joined = problem.joined[:, None]
    metric[-1] = 0  # the level of depth is no motion
    acceleration = _second_differences(poses) * joined
    stencil = (1.0, -2.0, 1.0)
    width = 3 * POSE_PARAMETERS
    banded = np.zeros((width, POSE_PARAMETERS * count))  # lower form: banded[k, j] = A[j + k, j]
    for k in range(POSE_PARAMETERS):
        for j in range(POSE_PARAMETERS - k):
            banded[k, j::POSE_PARAMETERS] = blocks[:, j + k, j]
    rhs = rhs.copy()
    for a in range(3):
        rhs[a : count - 2 + a] -= stencil[a] * metric * acceleration
        for b in range(a + 1):
            value = stencil[a] * stencil[b] * metric * joined  # couples frame b (column) to frame a (row)
            for j in range(POSE_PARAMETERS):
                columns = slice(POSE_PARAMETERS * b + j, POSE_PARAMETERS * (count - 2 + b) + j, POSE_PARAMETERS)
                banded[POSE_PARAMETERS * (a - b), columns] += value[:, j]
    return np.asarray(solveh_banded(banded, rhs.reshape(-1), lower=True).reshape(count, POSE_PARAMETERS))


def _second_differences(poses: Poses) -> np.ndarray:
    """Second differences [N - 2, 7] of the path, in the units of `Poses.moved`."""
    turns = rotation_log(poses.rotation[1:] @ poses.rotation[:-1].transpose(0, 2, 1))
    shifts = np.diff(poses.translation, axis=0)
    shifts[:, 2] = np.diff(np.log(-poses.translation[:, 2]))
    return np.diff(np.concatenate([turns, shifts, np.zeros((len(turns), 1))], axis=1), axis=0)
