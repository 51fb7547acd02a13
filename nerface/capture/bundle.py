"""Camera, head poses, face shape and expression basis of one person's clip, from landmarks and scores alone.

Every frame i is explained by the canonical face, an offset D per vertex that is the person's (and the landmark net's
habits), and a basis B over the frame's expression scores s_i that is the person's too:

    vertices_i = canonical + D + sum_k (s_ik - neutral_k) B_k,     landmarks_i ~ project(f, R_i vertices_i + t_i)

D and B are held small by ridges; B is held smallest where a skull moves little (`bundle_geometry.mobility`), so that
what the whole head does is told by the pose. Key frames chosen for their variety solve everything at once
(`bundle_shape`); then all frames get poses for that shape (`bundle_track`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

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
from nerface.capture.bundle_track import TrackProblem, project_track, smoothness_for, solve_track
from nerface.capture.canonical import VERTEX_COUNT, CanonicalFace
from nerface.errors import UserError
from nerface.progress import SILENT, Progress
from nerface.types import Intrinsics

DEFAULTS = BundleOptions()
MEAN_CAMERA_DISTANCE = 0.5  # head units, the seed's scale


@dataclass(frozen=True)
class Bundle:
    """The solved clip.

    `focal` px of the source frame and whether it was assumed (by the prior) rather than stated; `centre` (u, v) px, the
    principal point; `camera_to_head` [N, 4, 4] in head units, whose origin lies `HEAD_ORIGIN_CM` from the canonical
    mesh's: between the ears, where turning the head moves it least; `units_per_cm` head units in a cm; `vertices`
    [468, 3] the person's neutral face in head units; `offsets` [468, 3] and `basis` [E, 468, 3] in cm; `neutral` [E]
    scores at rest; `projected` [N, 468, 2] px; `rms_px` over all landmarks and `frame_rms_px` [N].
    """

    focal: float
    focal_assumed: bool
    centre: tuple[float, float]
    size: tuple[int, int]
    camera_to_head: Float[np.ndarray, "frames 4 4"]
    units_per_cm: float
    vertices: Float[np.ndarray, "468 3"]
    offsets: Float[np.ndarray, "468 3"]
    basis: Float[np.ndarray, "scores 468 3"]
    neutral: Float[np.ndarray, " scores"]
    projected: Float[np.ndarray, "frames 468 2"]
    rms_px: float
    frame_rms_px: Float[np.ndarray, " frames"]
    keyframes: np.ndarray

    def intrinsics(self) -> Intrinsics:
        """The camera of the source frame."""
        width, height = self.size
        return Intrinsics(self.focal, self.focal, self.centre[0] / width, self.centre[1] / height, width, height)


def solve_bundle(
    observations: Observations,
    canonical: CanonicalFace,
    options: BundleOptions = DEFAULTS,
    progress: Progress = SILENT,
) -> Bundle:
    """Solve focal length, poses, person offset and expression basis of a clip; deterministic.

    Raises `UserError` where there are fewer than 3 frames, a landmark or score is not finite, or the solution does not
    hold (no face in front of the camera).
    """
    observations.check()
    landmarks = with_depths(observations)
    base = canonical.vertices - HEAD_ORIGIN_CM
    centre = (np.array(observations.size, dtype=np.float64) - 1) / 2
    focal_prior = options.focal_px or options.focal_prior_ratio * max(observations.size)
    motion = mobility(canonical.vertices)
    noise = landmark_noise(landmarks, canonical.vertices, observations, options)
    reduced = reduced_scores(observations.scores, options.components)
    activations = reduced.values

    progress.start("camera and head pose", 2 * options.shape_steps + options.track_steps)
    trust = noise[:, 0] ** -2 / np.max(noise[:, 0] ** -2)
    poses = first_poses(landmarks[..., :2], base, trust, focal_prior, centre)
    keys = choose_keyframes(poses, activations[:, 1:], options.keyframes)
    flat = np.where([True, True, False], noise, np.inf)  # the picture alone, without the net's depths
    problem = ShapeProblem(
        landmarks=landmarks[keys],
        activations=activations[keys],
        canonical=base,
        noise=flat,
        offset_sigma=options.offset_sigma_cm,
        depth_sigma=options.depth_sigma_cm,
        basis_sigma=options.basis_sigma_cm * motion,
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
    poses = solve_track(track, begin, progress)
    return _bundle(track, poses, reduced, observations.size, options.focal_px is None, keys)


def _without_similarity(state: ShapeState, base: np.ndarray, trust: np.ndarray) -> ShapeState:
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


def _bundle(
    track: TrackProblem,
    poses: Poses,
    reduced: Activations,
    size: tuple[int, int],
    focal_assumed: bool,
    keys: np.ndarray,
) -> Bundle:
    """Figures and head-space poses of the solution."""
    if not (np.isfinite(poses.translation).all() and np.isfinite(poses.rotation).all()):
        raise UserError("no head pose explains the landmarks: is it one real face, seen from the front, throughout?")
    projected = project_track(track, poses)
    squared = np.sum((projected - track.landmarks[..., :2]) ** 2, axis=-1)
    head_to_camera = poses.rotation
    origins = -np.einsum("nji,nj->ni", head_to_camera, poses.translation)  # the camera in head space, cm
    units = MEAN_CAMERA_DISTANCE / float(np.mean(np.linalg.norm(origins, axis=1)))
    matrices = np.tile(np.eye(4), (len(poses), 1, 1))
    matrices[:, :3, :3] = head_to_camera.transpose(0, 2, 1)
    matrices[:, :3, 3] = origins * units
    return Bundle(
        focal=float(track.focal),
        focal_assumed=focal_assumed,
        centre=(float(track.centre[0]), float(track.centre[1])),
        size=size,
        camera_to_head=matrices,
        units_per_cm=units,
        vertices=(track.canonical + track.shape[:, 0]) * units,
        offsets=track.shape[:, 0],
        basis=np.einsum("ej,vjc->evc", reduced.directions, track.shape[:, 1:]),
        neutral=reduced.neutral,
        projected=projected,
        rms_px=float(np.sqrt(squared.mean())),
        frame_rms_px=np.sqrt(squared.mean(axis=1)),
        keyframes=keys,
    )


__all__ = ["Bundle", "BundleOptions", "Observations", "solve_bundle"]
