"""What the landmarks hand on to the motion's adjustment: their poses, how far to trust them, and where spots sit."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from nerface.capture.bundle_geometry import linearise, mobility
from nerface.capture.bundle_inputs import (
    BundleOptions,
    Observations,
    joined_triples,
    same_segment,
    usual_eye_distance,
)
from nerface.capture.bundle_landmarks import LandmarkSolution
from nerface.capture.bundle_motion import MotionProblem
from nerface.capture.bundle_refit import turns
from nerface.capture.bundle_rows import DOF
from nerface.capture.bundle_shape import vertices_of
from nerface.capture.bundle_spots import FaceModel, SpotOptions, spot_table
from nerface.capture.bundle_track import smoothness_for
from nerface.capture.canonical import CanonicalFace

_CHUNK_FRAMES = 128
# Landmarks of a frame err together: 468 of them count for about 19, which leaves a degree of doubt beyond the bias.
_ERR_TOGETHER = 25.0
_SMOOTH_TIMES = 4.0  # smoothing of the motion relative to the witness' information
# How far the witness' error may grow with the head's turn (radians a radian, cm a radian, log depth a radian) and with
# a unit of the strongest reduced scores.
_TURN_BIAS, _SCORE_BIAS = (0.3, 0.3, 0.3, 3.0, 3.0, 0.1), (0.05, 0.05, 0.05, 0.3, 0.3, 0.01)
_BIASED_SCORES = 4
_CORRELATION_FRAMES = 10.0  # a followed spot drifts, and skin moves, over about this long
_PRIOR_DOF = 4.0
_NOISE_FLOOR_SHARE = 0.0005  # of the outer-eye distance: no spot is followed more exactly


def motion_problem(
    observations: Observations, canonical: CanonicalFace, solution: LandmarkSolution, options: BundleOptions
) -> MotionProblem | None:
    """The adjustment of all frames' motion, begun from the landmarks' solution; None where no spot was followed."""
    track, poses = solution.track, solution.poses
    if observations.skin is None:
        return None
    model = FaceModel(
        track.canonical + track.shape[:, 0],
        track.shape[:, 1:].transpose(1, 0, 2),
        track.activations[:, 1:],
        canonical.triangles,
        mobility(canonical.vertices),
        track.focal,
        track.centre,
        poses,
    )
    numbers = np.arange(len(poses)) if observations.numbers is None else observations.numbers
    near = same_segment(observations)  # spots were followed through the frames that were dropped
    spots = spot_table(observations.skin, numbers, near, model, SpotOptions(longest=options.longest_spot))
    if spots is None:
        return None
    information = _information(solution) / _ERR_TOGETHER
    score = track.activations[:, 1 : 1 + _BIASED_SCORES]
    stiffness = _SMOOTH_TIMES * smoothness_for(options.smooth_cycles_per_frame)
    return MotionProblem(
        spots=spots,
        witness=poses,
        information=information,
        features=np.concatenate([turns(poses), score - score.mean(axis=0)], axis=1),
        bias_sigma=np.array([_TURN_BIAS] * 3 + [_SCORE_BIAS] * score.shape[1]),
        activations=track.activations[:, : 1 + options.swaying_scores],
        focal=track.focal,
        focal_prior=options.focal_px or options.focal_prior_ratio * max(observations.size),
        focal_log_sigma=0.0 if options.focal_px else options.focal_prior_log_sigma * np.sqrt(options.focal_evidence),
        centre=track.centre,
        smoothness=stiffness * np.einsum("nii->i", information) / len(poses),
        joined=joined_triples(observations),
        noise_floor=_NOISE_FLOOR_SHARE * usual_eye_distance(track.landmarks),
        correlation=_CORRELATION_FRAMES,
        prior_dof=_PRIOR_DOF,
        steps=options.motion_steps,
    )


def _information(solution: LandmarkSolution) -> Float[np.ndarray, "frames 6 6"]:
    """What the pictured landmarks of each frame say of its pose, if each erred on its own."""
    track, poses = solution.track, solution.poses
    information = np.empty((len(poses), DOF, DOF))
    for at in range(0, len(poses), _CHUNK_FRAMES):
        part = slice(at, at + _CHUNK_FRAMES)
        points = vertices_of(track.canonical, track.shape, track.activations[part])
        line = linearise(points, poses.take(part), track.focal, track.centre)
        rows = (line.by_pose[:, :, :2, :DOF] / track.noise[:, :2, None]).reshape(len(points), -1, DOF)
        information[part] = rows.transpose(0, 2, 1) @ rows
    return information
