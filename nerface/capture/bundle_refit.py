"""Face shape and expression basis for head poses that are known, with the landmarks' own pose-dependent habits.

Where the landmark net under-reports a turn, its landmarks stand beside the face's points by an amount that grows with
the turn. Vertices therefore follow three channels more than the scores: the head's turn about the clip's mean pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from nerface.capture.bundle_geometry import Poses, mobility, rotation_log
from nerface.capture.bundle_inputs import BundleOptions, choose_keyframes
from nerface.capture.bundle_landmarks import LandmarkSolution
from nerface.capture.bundle_shape import ShapeProblem, ShapeState, settle_shape
from nerface.capture.canonical import CanonicalFace


@dataclass(frozen=True)
class Refit:
    """A shape, the `frames` it was solved from, and what the landmarks do beside it.

    `shape` [468, 1 + J + 3, 3] cm: offset, basis over the reduced scores, habits over `turn` [N, 3] (radians).
    """

    shape: Float[np.ndarray, "468 channels 3"]
    turn: Float[np.ndarray, "frames 3"]
    frames: Int[np.ndarray, " chosen"]


def refit_shape(solution: LandmarkSolution, canonical: CanonicalFace, options: BundleOptions) -> Refit:
    """The shape that explains the landmarks of chosen frames, poses and focal length of `solution` fixed."""
    track = solution.track
    count = min(options.refit_frames, len(solution.poses) // 2)
    keys = np.union1d(solution.keyframes, choose_keyframes(solution.poses, track.activations[:, 1:], count))
    turn = turns(solution.poses)
    vertices, channels = track.shape.shape[:2]
    basis = np.repeat(options.basis_sigma_cm * mobility(canonical.vertices)[:, None], channels - 1, axis=1)
    problem = ShapeProblem(
        landmarks=track.landmarks[keys],
        activations=np.concatenate([track.activations, turn], axis=1)[keys],
        canonical=track.canonical,
        noise=np.where([True, True, False], track.noise, np.inf),
        offset_sigma=options.offset_sigma_cm,
        depth_sigma=options.depth_sigma_cm,
        basis_sigma=np.concatenate([basis, np.full((vertices, turn.shape[1]), options.habit_sigma_cm)], axis=1),
        centre=track.centre,
        focal_prior=track.focal,
        focal_log_sigma=0.0,
        steps=0,
    )
    start = np.concatenate([track.shape, np.zeros((vertices, turn.shape[1], 3))], axis=1)
    state = ShapeState(solution.poses.take(keys), track.focal, start, np.zeros(vertices))
    return Refit(settle_shape(problem, state).shape, turn, keys)


def turns(poses: Poses) -> Float[np.ndarray, "frames 3"]:
    """Rotation vectors (radians, camera axes) about the mean pose, of mean zero."""
    left, _, right = np.linalg.svd(poses.rotation.sum(axis=0))
    turn = rotation_log(poses.rotation @ (left @ right).T)
    return np.asarray(turn - turn.mean(axis=0))
