"""First stage of the bundle adjustment: camera, head poses, face shape and expression basis from landmarks alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from nerface.capture.bundle_geometry import HEAD_ORIGIN_CM, Poses, first_poses, mobility
from nerface.capture.bundle_inputs import (
    Activations,
    BundleOptions,
    Observations,
    choose_keyframes,
    joined_triples,
    landmark_noise,
    reduced_scores,
    with_depths,
)
from nerface.capture.bundle_shape import ShapeProblem, ShapeState, solve_shape
from nerface.capture.bundle_track import TrackProblem, smoothness_for, solve_track
from nerface.capture.canonical import VERTEX_COUNT, CanonicalFace
from nerface.progress import Progress

FEWEST_KEYS = 20  # fewer frames do not tell a person's shape


@dataclass(frozen=True)
class LandmarkSolution:
    """What landmarks and scores give: the solved `track` problem, its `poses`, the reduced scores and key frames."""

    track: TrackProblem
    poses: Poses
    reduced: Activations
    keyframes: Int[np.ndarray, " keys"]


def solve_landmarks(
    observations: Observations, canonical: CanonicalFace, options: BundleOptions, progress: Progress
) -> LandmarkSolution:
    """Shape, basis and key-frame poses together, then poses of all frames."""
    landmarks = with_depths(observations)
    base = canonical.vertices - HEAD_ORIGIN_CM
    centre = (np.array(observations.size, dtype=np.float64) - 1) / 2
    focal_prior = options.focal_px or options.focal_prior_ratio * max(observations.size)
    noise = landmark_noise(landmarks, canonical.vertices, observations, options)
    reduced = reduced_scores(observations.scores, options.components)
    activations = reduced.values

    trust = noise[:, 0] ** -2 / np.max(noise[:, 0] ** -2)
    poses = first_poses(landmarks[..., :2], base, trust, focal_prior, centre)
    # At least half of the frames are left out of the shape, to tell how far it holds beyond those that made it.
    keys = choose_keyframes(poses, activations[:, 1:], min(options.keyframes, max(len(poses) // 2, FEWEST_KEYS)))
    flat = np.where([True, True, False], noise, np.inf)  # the picture alone, without the net's depths
    problem = ShapeProblem(
        landmarks=landmarks[keys],
        activations=activations[keys],
        canonical=base,
        noise=flat,
        offset_sigma=options.offset_sigma_cm,
        depth_sigma=options.depth_sigma_cm,
        basis_sigma=options.basis_sigma_cm * mobility(canonical.vertices)[:, None],
        centre=centre,
        focal_prior=focal_prior,
        focal_log_sigma=0.0 if options.focal_px else options.focal_prior_log_sigma * np.sqrt(options.focal_evidence),
        steps=options.shape_steps,
    )
    shape = np.zeros((VERTEX_COUNT, activations.shape[1], 3))
    state = solve_shape(problem, ShapeState(poses.take(keys), focal_prior, shape, np.zeros(VERTEX_COUNT)), progress)
    if observations.depths is not None:
        # The depths were learnt without perspective and pull the focal length to infinity: they get no say in it.
        state = solve_shape(replace(problem, noise=noise, focal_log_sigma=0.0), state, progress)
    state = _without_similarity(state, base, trust)

    track = TrackProblem(
        landmarks=landmarks,
        activations=activations,
        canonical=base,
        shape=state.shape,
        relief=state.relief,
        noise=noise,
        centre=centre,
        focal=state.focal,
        smoothness=smoothness_for(options.smooth_cycles_per_frame),
        joined=joined_triples(observations),
        steps=options.track_steps,
    )
    begin = first_poses(landmarks[..., :2], base + state.shape[:, 0], trust, state.focal, centre)
    return LandmarkSolution(track, solve_track(track, begin, progress), reduced, keys)


def _without_similarity(
    state: ShapeState, base: Float[np.ndarray, "468 3"], trust: Float[np.ndarray, " 468"]
) -> ShapeState:
    """The same projections with the offset freed of the similarity that best takes the canonical face to the person.

    Moves it into poses; the scale (which no picture shows) shrinks or grows the whole scene.
    """
    weight = trust / np.sum(trust)
    person = base + state.shape[:, 0]
    from_mean, to_mean = weight @ base, weight @ person
    covariance = (person - to_mean).T @ ((base - from_mean) * weight[:, None])
    left, values, right = np.linalg.svd(covariance)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * sign) @ right
    scale = float(values @ sign / np.sum(weight[:, None] * (base - from_mean) ** 2))
    shift = to_mean - scale * rotation @ from_mean
    shape = state.shape @ rotation / scale
    shape[:, 0] = (person - shift) @ rotation / scale - base
    poses = Poses(
        state.poses.rotation @ rotation,
        (state.poses.translation + state.poses.rotation @ shift) / scale,
        state.poses.level,
    )
    return replace(state, poses=poses, shape=shape, relief=state.relief / scale)
