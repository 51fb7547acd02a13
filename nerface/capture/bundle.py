"""Camera, head poses, face shape and expression basis of one person's clip.

Every frame i is explained by the canonical face, an offset D per vertex that is the person's (and the landmark net's
habits), and a basis B over the frame's expression scores s_i that is the person's too:

    vertices_i = canonical + D + sum_k (s_ik - neutral_k) B_k,     landmarks_i ~ project(f, R_i vertices_i + t_i)

D and B are held small by ridges; B is held smallest where a skull moves little (`bundle_geometry.mobility`), so that
what the whole head does is told by the pose. Three stages:

1. `bundle_landmarks`: key frames chosen for their variety solve everything at once (`bundle_shape`); then all frames
   get poses for that shape (`bundle_track`).
2. `bundle_motion`: spots followed on the skin correct the poses, which landmarks alone get wrong by some degrees.
3. `bundle_refit`: D and B once more for those poses, with what the landmarks do wrong as the head turns beside them.

Without followed spots the first stage stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from nerface.capture.bundle_geometry import Poses
from nerface.capture.bundle_inputs import BundleOptions, Observations, usual_eye_distance
from nerface.capture.bundle_landmarks import LandmarkSolution, solve_landmarks
from nerface.capture.bundle_motion import solve_motion
from nerface.capture.bundle_refit import Refit, refit_shape
from nerface.capture.bundle_track import project_track
from nerface.capture.bundle_witness import motion_problem
from nerface.capture.canonical import VERTEX_COUNT, CanonicalFace
from nerface.errors import UserError
from nerface.progress import SILENT, Progress
from nerface.types import Intrinsics

DEFAULTS = BundleOptions()
MEAN_CAMERA_DISTANCE = 0.5  # head units, the seed's scale
# Landmark errors that tell of spots gone astray: times that of landmarks alone, and share of the eye distance.
_TORN_TIMES, _TORN_SHARE = 2.0, 0.025


@dataclass(frozen=True)
class Bundle:
    """The solved clip.

    `focal` px of the source frame and whether it was assumed (by the prior) rather than stated; `centre` (u, v) px, the
    principal point; `camera_to_head` [N, 4, 4] in head units, whose origin lies `HEAD_ORIGIN_CM` from the canonical
    mesh's: between the ears, where turning the head moves it least; `units_per_cm` head units in a cm; `vertices`
    [468, 3] the person's neutral face in head units; `offsets` [468, 3] and `basis` [E, 468, 3] in cm; `neutral` [E]
    scores at rest; `habits` [3, 468, 3] cm per radian, what the landmarks do beside the face as the head turns by
    `turn` [N, 3] (rotation vector in camera axes about the clip's mean pose); `projected` [N, 468, 2] px; `rms_px` over
    all landmarks and `frame_rms_px` [N]; `keyframes` the frames that shape and basis were solved from, and
    `held_out_rms_px` over the others (over all where there are no others); `spots` how many were followed.
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
    habits: Float[np.ndarray, "3 468 3"]
    turn: Float[np.ndarray, "frames 3"]
    projected: Float[np.ndarray, "frames 468 2"]
    rms_px: float
    frame_rms_px: Float[np.ndarray, " frames"]
    keyframes: Int[np.ndarray, " keys"]
    held_out_rms_px: float
    spots: int

    def intrinsics(self) -> Intrinsics:
        """The camera of the source frame."""
        width, height = self.size
        return Intrinsics(self.focal, self.focal, self.centre[0] / width, self.centre[1] / height, width, height)

    @property
    def held_out(self) -> Bool[np.ndarray, " frames"]:
        """Frames [N] that shape and basis were not solved from."""
        out = np.ones(len(self.frame_rms_px), bool)
        out[self.keyframes] = False
        return out


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
    followed = observations.skin is not None and len(observations.skin) > 0
    steps = 2 * options.shape_steps + options.track_steps + (options.motion_steps if followed else 0)
    progress.start("camera and head pose", steps)
    landmarks_alone = solve_landmarks(observations, canonical, options, progress)
    _check_poses(landmarks_alone.poses)
    still = Refit(landmarks_alone.track.shape, np.zeros((len(landmarks_alone.poses), 0)), landmarks_alone.keyframes)
    rough = _bundle(landmarks_alone, still, observations.size, options, 0)
    problem = motion_problem(observations, canonical, landmarks_alone, options)
    if problem is None:
        return rough
    try:
        motion = solve_motion(problem, progress)
        moved = replace(landmarks_alone.track, focal=motion.focal, relief=np.zeros(VERTEX_COUNT))
        solution = replace(landmarks_alone, poses=motion.poses, track=moved)
        _check_poses(solution.poses)
        fine = _bundle(
            solution, refit_shape(solution, canonical, options), observations.size, options, len(problem.spots)
        )
    except (np.linalg.LinAlgError, UserError):
        return rough
    # Spots that hold on to something else than the head (a hand, the backdrop) would tear the landmarks off the face.
    share = _TORN_SHARE * usual_eye_distance(observations.landmarks)
    return fine if fine.held_out_rms_px <= max(_TORN_TIMES * rough.held_out_rms_px, share) else rough


def _check_poses(poses: Poses) -> None:
    if not (np.isfinite(poses.translation).all() and np.isfinite(poses.rotation).all()):
        raise UserError("no head pose explains the landmarks: is it one real face, seen from the front, throughout?")


def _bundle(
    solution: LandmarkSolution, refit: Refit, size: tuple[int, int], options: BundleOptions, spots: int
) -> Bundle:
    """Figures and head-space poses of the solution."""
    poses, reduced = solution.poses, solution.reduced
    track = replace(
        solution.track,
        shape=refit.shape,
        activations=np.concatenate([solution.track.activations, refit.turn], axis=1),
    )
    scores = reduced.values.shape[1]
    projected = project_track(track, poses)
    squared = np.sum((projected - track.landmarks[..., :2]) ** 2, axis=-1)
    frame_rms = np.sqrt(squared.mean(axis=1))
    out = np.ones(len(poses), bool)
    out[refit.frames] = False
    head_to_camera = poses.rotation
    origins = -np.einsum("nji,nj->ni", head_to_camera, poses.translation)  # the camera in head space, cm
    units = MEAN_CAMERA_DISTANCE / float(np.mean(np.linalg.norm(origins, axis=1)))
    matrices = np.tile(np.eye(4), (len(poses), 1, 1))
    matrices[:, :3, :3] = head_to_camera.transpose(0, 2, 1)
    matrices[:, :3, 3] = origins * units
    habits = np.zeros((3, len(track.canonical), 3))
    habits[: refit.turn.shape[1]] = refit.shape[:, scores:].transpose(1, 0, 2)
    return Bundle(
        focal=float(track.focal),
        focal_assumed=options.focal_px is None,
        centre=(float(track.centre[0]), float(track.centre[1])),
        size=size,
        camera_to_head=matrices,
        units_per_cm=units,
        vertices=(track.canonical + refit.shape[:, 0]) * units,
        offsets=refit.shape[:, 0],
        basis=np.einsum("ej,vjc->evc", reduced.directions, refit.shape[:, 1:scores]),
        neutral=reduced.neutral,
        habits=habits,
        turn=np.concatenate([refit.turn, np.zeros((len(poses), 3 - refit.turn.shape[1]))], axis=1),
        projected=projected,
        rms_px=float(np.sqrt(squared.mean())),
        frame_rms_px=frame_rms,
        keyframes=refit.frames,
        held_out_rms_px=float(np.sqrt(np.mean(frame_rms[out if out.any() else ~out] ** 2))),
        spots=spots,
    )


__all__ = ["Bundle", "BundleOptions", "Observations", "solve_bundle"]
