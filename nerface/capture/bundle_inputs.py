"""What the bundle adjustment is given, and how it is made ready: noise, reduced scores, key frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from nerface.capture.bundle_geometry import OUTER_EYE_CORNERS, Poses, mobility, rotation_log
from nerface.capture.canonical import VERTEX_COUNT
from nerface.capture.skin import SkinTracks
from nerface.errors import UserError

_FEWEST_FRAMES = 3
_GAP_STEPS = 1.8  # neighbours further apart than this many usual steps are not smoothed over
_NEUTRAL_PERCENTILE = 10  # scores carry an offset of each person's: rest is where the low ones lie


@dataclass(frozen=True)
class Observations:
    """What the landmark net saw in N frames, in temporal order.

    `landmarks` [N, 478, 2] px (column u, row v; pixel centres at whole numbers) in the upright source frame of `size`
    (W, H); `scores` [N, E]; `depths` [N, 478] px, optional, the net's own depth: in the scale of the landmarks, growing
    away from the camera from any zero; `weights` [478], optional, trust in each landmark (1 as it comes, 0 ignored);
    `times` [N] s, optional: the path is not smoothed across a gap. `segment` [N], optional: nothing joins frames of
    different segments. `skin`, optional: spots followed on the skin, with `numbers` [N], the number by which it knows
    each frame (0 to N - 1 where not given).
    """

    landmarks: Float[np.ndarray, "frames 478 2"]
    scores: Float[np.ndarray, "frames scores"]
    size: tuple[int, int]
    depths: Float[np.ndarray, "frames 478"] | None = None
    weights: Float[np.ndarray, " 478"] | None = None
    times: Float[np.ndarray, " frames"] | None = None
    segment: Int[np.ndarray, " frames"] | None = None
    skin: SkinTracks | None = None
    numbers: Int[np.ndarray, " frames"] | None = None

    def check(self) -> None:
        """Raise `UserError` for fewer than 3 frames and for numbers that are not finite."""
        if len(self.landmarks) < _FEWEST_FRAMES:
            raise UserError(
                f"only {len(self.landmarks)} frames with a face: camera and pose need at least {_FEWEST_FRAMES}"
            )
        given = [self.landmarks, self.scores] + ([] if self.depths is None else [self.depths])
        if not all(np.isfinite(values).all() for values in given):
            raise UserError("a landmark or an expression score is not a finite number: the face tracker failed")


@dataclass(frozen=True)
class BundleOptions:
    """Strengths and sizes of the bundle adjustment.

    Focal length: `focal_px` states it. Otherwise log f ~ N(log(focal_prior_ratio * longer side), focal_prior_log_sigma)
    and only `focal_evidence` of what the clip says about it is believed: a face hardly shows it (from 0.7 to 6 times
    the longer side the error changes by a few per cent), and what it shows is mostly the landmark net's bias (on ground
    truth landmarks find it 14 % too short, and spots on the skin stay at what the landmarks' poses were made with).

    Shape: `keyframes` frames (at most half of them) and `components` reduced scores; once the motion is known it is
    solved again from `refit_frames` frames. `offset_sigma_cm` and `basis_sigma_cm` (per unit of score, where mobility
    is 1 cm) are the standard deviations behind the ridges; `habit_sigma_cm` (per radian) that of what landmarks do
    beside the face as the head turns.

    Trust: `noise_ratio` is the expected landmark error on a still part of the face, as a share of the outer eye
    distance, and `mobility_noise` what a cm of mobility adds to it. The net's depths count with `depth_noise` times
    that error on the middle line of the face, twice as much `depth_half_width_cm` beside it, more further out; each
    vertex's depth may be off by about `depth_sigma_cm` throughout. Why the middle: on ground truth pictures alone
    under-report pitch (gain 0.6 to 0.7), depths mend that (0.8 to 1.0) but over-report yaw (up to 1.3), and the slope
    of the middle line tells of pitch alone.

    Spots on the skin: one is believed to stay the same for `longest_spot` frames, and to sway with `swaying_scores` of
    the reduced scores. `smooth_cycles_per_frame` is where the smoothing of the path halves a motion (0: none) that
    landmarks alone tell; spots, where there are any, overrule it.
    """

    focal_px: float | None = None
    focal_prior_ratio: float = 1.25
    focal_prior_log_sigma: float = 0.25
    focal_evidence: float = 0.0001
    keyframes: int = 48
    refit_frames: int = 160
    components: int = 12
    offset_sigma_cm: float = 0.25
    basis_sigma_cm: float = 1.5
    noise_ratio: float = 0.015
    mobility_noise: float = 3.0
    depth_noise: float = 0.7
    depth_half_width_cm: float = 2.5
    depth_sigma_cm: float = 0.1
    habit_sigma_cm: float = 3.0
    longest_spot: int = 50
    swaying_scores: int = 3
    smooth_cycles_per_frame: float = 0.2
    shape_steps: int = 12
    track_steps: int = 8
    motion_steps: int = 6


@dataclass(frozen=True)
class Activations:
    """Scores made ready: `values` [N, 1 + J] (a leading 1) along `directions` [E, J] about `neutral` [E]."""

    values: Float[np.ndarray, "frames channels"]
    directions: Float[np.ndarray, "scores components"]
    neutral: Float[np.ndarray, " scores"]


def choose_keyframes(
    poses: Poses, activations: Float[np.ndarray, "frames components"], count: int
) -> Int[np.ndarray, " keys"]:
    """Indices (ascending) of up to `count` frames as unlike each other in pose and score as can be.

    Farthest-point sampling from the frame nearest the middle; 5 degrees, 4 % of distance and 0.15 of score weigh alike.
    """
    rotation = rotation_log(poses.rotation @ poses.rotation[len(poses) // 2].T)
    place = poses.translation / np.median(-poses.translation[:, 2])
    features = np.concatenate([rotation / np.deg2rad(5), place / 0.04, activations / 0.15], axis=1)
    chosen = [int(np.argmin(np.sum((features - np.median(features, axis=0)) ** 2, axis=1)))]
    distance = np.sum((features - features[chosen[0]]) ** 2, axis=1)
    while len(chosen) < min(count, len(features)):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.sum((features - features[chosen[-1]]) ** 2, axis=1))
    return np.unique(chosen)


def landmark_noise(
    landmarks: np.ndarray, vertices: np.ndarray, observations: Observations, options: BundleOptions
) -> Float[np.ndarray, "468 3"]:
    """Expected error of each landmark's column, row and depth (px).

    Larger where expression moves the skin in ways no basis will follow; infinite for depths that are not given.
    """
    noise = options.noise_ratio * usual_eye_distance(landmarks) * (1 + options.mobility_noise * mobility(vertices))
    if observations.weights is not None:
        noise = noise / np.sqrt(np.clip(observations.weights[:VERTEX_COUNT], 1e-6, None))
    if observations.depths is None:
        return np.stack([noise, noise, np.full(VERTEX_COUNT, np.inf)], axis=1)
    factor = options.depth_noise * (1 + (vertices[:, 0] / options.depth_half_width_cm) ** 2)
    return np.stack([noise, noise, noise * factor], axis=1)


def usual_eye_distance(landmarks: Float[np.ndarray, "frames points axes"]) -> float:
    """Median distance of the outer eye corners (px), at least 1."""
    corners = landmarks[:, OUTER_EYE_CORNERS[0], :2] - landmarks[:, OUTER_EYE_CORNERS[1], :2]
    return max(float(np.median(np.linalg.norm(corners, axis=1))), 1.0)


def with_depths(observations: Observations) -> Float[np.ndarray, "frames 468 3"]:
    """Column, row and depth of the 468 landmarks that are vertices (depth 0 where there is none)."""
    frames = len(observations.landmarks)
    depths = np.zeros((frames, VERTEX_COUNT)) if observations.depths is None else observations.depths[:, :VERTEX_COUNT]
    return np.concatenate(
        [observations.landmarks[:, :VERTEX_COUNT].astype(np.float64), depths[..., None].astype(np.float64)], axis=-1
    )


def reduced_scores(scores: Float[np.ndarray, "frames scores"], components: int) -> Activations:
    """The J strongest directions of the scores over the clip, about their neutral.

    A ridge that treats all scores alike is the same ridge on rotated scores, so leaving out the weak directions only
    leaves out what would stay near zero.
    """
    neutral = np.percentile(scores, _NEUTRAL_PERCENTILE, axis=0)
    centred = np.asarray(scores, dtype=np.float64) - neutral
    _, vectors = np.linalg.eigh(centred.T @ centred)
    directions = vectors[:, ::-1][:, : min(components, scores.shape[1])]
    values = np.concatenate([np.ones((len(scores), 1)), centred @ directions], axis=1)
    return Activations(values, directions, neutral)


def near_neighbours(observations: Observations) -> Bool[np.ndarray, " steps"]:
    """Whether each frame but the first follows the one before without a gap or a cut."""
    near = np.ones(len(observations.landmarks) - 1, bool)
    if observations.times is not None:
        steps = np.diff(observations.times)
        near &= steps < _GAP_STEPS * np.median(steps)
    return near & same_segment(observations)


def same_segment(observations: Observations) -> Bool[np.ndarray, " steps"]:
    """Whether no cut or jump lies between each frame but the first and the used one before (dropped ones may)."""
    if observations.segment is None:
        return np.ones(len(observations.landmarks) - 1, bool)
    return np.asarray(np.diff(observations.segment) == 0)


def joined_triples(observations: Observations) -> Float[np.ndarray, " triples"]:
    """1 for each three neighbouring frames without a gap in time, else 0."""
    frames = len(observations.landmarks)
    if frames < 3:
        return np.zeros(0)
    near = near_neighbours(observations)
    return (near[1:] & near[:-1]).astype(np.float64)
