"""Accuracy of captured head poses against ground truth: capture_accuracy.py FOLDER [CLIP...] [--focal]

FOLDER holds NAME.mp4 and NAME_gt.npz with R [N, 3, 3], t [N, 3] cm (x right, y down, z forward) and f px. Prints one
line a clip: the focal length unknown to the program, and with --focal a second one with it given.

What is removed before errors are counted, because no picture shows it: one rotation and one shift of head space (where
its axes point and where its origin lies) and one scale. Nothing is removed per frame or in camera space.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from nerface.capture.landmarker import FaceLandmarker
from nerface.capture.report import eye_distance
from nerface.capture.solving import SolvedClip, solve_clip
from nerface.capture.tracking import FaceTrack, track_face
from nerface.capture.video import iterate, probe
from nerface.weights import find_weights

_FLIP = np.diag([1.0, -1.0, -1.0])  # the file's camera (y down, z forward) to the project's, and back


@dataclass(frozen=True)
class Truth:
    """Known poses of N frames in the project's camera (x right, y up, -z forward): x_camera = R x_head + t, cm; px."""

    rotation: Float[np.ndarray, "frames 3 3"]
    translation: Float[np.ndarray, "frames 3"]
    focal: float

    def __len__(self) -> int:
        return len(self.rotation)


@dataclass(frozen=True)
class PoseAccuracy:
    """Errors of N poses after one rotation and shift of head space and one scale are removed.

    `rotation_deg` [N] and `across_mm` (in the picture's plane), `depth_mm` [N] are per frame. `pitch_gain` and
    `yaw_gain` are slopes of measured on true angle (1 is right); `focal_error` is measured / true - 1. `scale` is true
    cm in a measured one.
    """

    rotation_deg: Float[np.ndarray, " frames"]
    across_mm: Float[np.ndarray, " frames"]
    depth_mm: Float[np.ndarray, " frames"]
    pitch_gain: float
    yaw_gain: float
    focal_error: float
    scale: float

    @property
    def mean_rotation_deg(self) -> float:
        return float(self.rotation_deg.mean())

    @property
    def median_rotation_deg(self) -> float:
        return float(np.median(self.rotation_deg))

    @property
    def mean_across_mm(self) -> float:
        return float(self.across_mm.mean())

    @property
    def mean_depth_mm(self) -> float:
        return float(self.depth_mm.mean())


@dataclass(frozen=True)
class Jitter:
    """Root mean squares of what a quadratic over 9 neighbouring frames leaves: head turns in degrees, place in mm."""

    pitch_deg: float
    yaw_deg: float
    roll_deg: float
    across_mm: float
    depth_mm: float


def read_truth(file: Path | str) -> Truth:
    """The poses of a `_gt.npz` file."""
    with np.load(file, allow_pickle=False) as data:
        rotation, translation, focal = data["R"], data["t"], float(data["f"])
    return Truth(_FLIP @ rotation @ _FLIP, translation @ _FLIP, focal)


def pose_errors(
    camera_to_head: Float[np.ndarray, "used 4 4"],
    truth: Truth,
    units_per_cm: float,
    focal: float | None = None,
    numbers: Int[np.ndarray, " used"] | None = None,
) -> PoseAccuracy:
    """Errors of captured poses against the truth.

    `camera_to_head` in head units; `numbers` the video frame of each pose (default: all in order). The rotation Q of
    head space is the chordal mean of R_measured^T R_true; then s t_measured + R_true c = t_true is solved for the scale
    s and shift c by least squares.
    """
    index = np.arange(len(truth)) if numbers is None else np.asarray(numbers)
    true_turn, true_place = truth.rotation[index], truth.translation[index]
    turn = camera_to_head[:, :3, :3].transpose(0, 2, 1)
    place = -np.einsum("nij,nj->ni", turn, camera_to_head[:, :3, 3]) / units_per_cm
    turn = turn @ _nearest_rotation(np.sum(turn.transpose(0, 2, 1) @ true_turn, axis=0))

    design = np.concatenate([place.reshape(-1, 1), true_turn.reshape(-1, 3)], axis=1)
    fit = np.linalg.lstsq(design, true_place.reshape(-1), rcond=None)[0]
    miss = 10 * ((design @ fit).reshape(-1, 3) - true_place)

    middle = _nearest_rotation(true_turn.sum(axis=0)).T
    measured, true = rotation_vectors(turn @ middle), rotation_vectors(true_turn @ middle)
    return PoseAccuracy(
        rotation_deg=np.rad2deg(np.linalg.norm(rotation_vectors(turn @ true_turn.transpose(0, 2, 1)), axis=1)),
        across_mm=np.linalg.norm(miss[:, :2], axis=1),
        depth_mm=np.abs(miss[:, 2]),
        pitch_gain=_slope(true[:, 0], measured[:, 0]),
        yaw_gain=_slope(true[:, 1], measured[:, 1]),
        focal_error=float("nan") if focal is None else focal / truth.focal - 1,
        scale=float(fit[0]),
    )


def clip_errors(solved: SolvedClip, truth: Truth) -> PoseAccuracy:
    """`pose_errors` of a solved clip."""
    return pose_errors(solved.camera_to_head, truth, solved.units_per_cm, solved.focal, solved.numbers)


def pose_jitter(camera_to_head: Float[np.ndarray, "frames 4 4"], units_per_cm: float) -> Jitter:
    """How much poses tremble, told without ground truth (fast true motion counts a little as well)."""
    turn = camera_to_head[:, :3, :3].transpose(0, 2, 1)
    place = -np.einsum("nij,nj->ni", turn, camera_to_head[:, :3, 3]) / units_per_cm * 10
    middle = _nearest_rotation(turn.sum(axis=0)).T
    path = np.concatenate([np.rad2deg(rotation_vectors(turn @ middle)), place], axis=1)
    window = np.arange(-4, 5)
    smoother = np.linalg.pinv(np.vander(window, 3, increasing=True).astype(float))[0]  # the fit's value in the middle
    rough = path[4:-4] - sum(w * path[4 + k : len(path) - 4 + k] for w, k in zip(smoother, window))
    rms = np.sqrt(np.mean(rough**2, axis=0))
    return Jitter(*(float(v) for v in rms[:3]), float(np.hypot(rms[3], rms[4])), float(rms[5]))


def rotation_vectors(rotations: Float[np.ndarray, "frames 3 3"]) -> Float[np.ndarray, "frames 3"]:
    """Rotation vectors (radians) of rotations by less than half a turn."""
    pairs = ((2, 1), (0, 2), (1, 0))
    axis = np.stack([rotations[:, i, j] - rotations[:, j, i] for i, j in pairs], axis=1) / 2
    sine = np.linalg.norm(axis, axis=1)
    angle = np.arctan2(sine, (np.trace(rotations, axis1=1, axis2=2) - 1) / 2)
    return np.asarray(axis * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-12), 1.0)[:, None])


def _nearest_rotation(matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    left, _, right = np.linalg.svd(matrix)
    return np.asarray((left * [1.0, 1.0, np.linalg.det(left @ right)]) @ right)


def _slope(true: np.ndarray, measured: np.ndarray) -> float:
    centred = true - true.mean()
    return float(centred @ measured / (centred @ centred))


TABLE_HEAD = (
    "clip                 focal   rotation deg     across  depth   gain         focal    rms    held   eyes  frames\n"
    "                             mean   median    mm      mm      pitch yaw    error    px     out px px    used"
)


def table_line(name: str, given: bool, solved: SolvedClip, accuracy: PoseAccuracy) -> str:
    """One clip's figures as a line under `TABLE_HEAD`."""
    return (
        f"{name:20s} {'given' if given else 'free':7s} {accuracy.mean_rotation_deg:5.2f}  "
        f"{accuracy.median_rotation_deg:5.2f}     {accuracy.mean_across_mm:5.2f}   {accuracy.mean_depth_mm:5.2f}   "
        f"{accuracy.pitch_gain:5.2f} {accuracy.yaw_gain:5.2f}  {accuracy.focal_error:+6.1%}   {solved.rms_px:5.2f}  "
        f"{getattr(solved, 'held_out_rms_px', float('nan')):5.2f}  {eye_distance(solved.landmarks):5.0f} "
        f"{len(solved):4d}"
    )


def track_clip(video: Path) -> FaceTrack:
    """Landmarks, scores and skin tracks of a video."""
    info = probe(video)
    landmarker = FaceLandmarker(find_weights().face_landmarker)
    return track_face(lambda: iterate(video), landmarker, info.frames)


def main() -> None:
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    folder = Path(words[0])
    names = words[1:] or sorted(file.stem for file in folder.glob("*.mp4"))
    task_file = find_weights().face_landmarker
    print(TABLE_HEAD)
    for name in names:
        truth = read_truth(folder / f"{name}_gt.npz")
        track = track_clip(folder / f"{name}.mp4")
        for focal in [None, truth.focal] if "--focal" in sys.argv else [None]:
            start = time.perf_counter()
            solved = solve_clip(track, task_file, focal, probe(folder / f"{name}.mp4").frame_rate)
            line = table_line(name, focal is not None, solved, clip_errors(solved, truth))
            print(f"{line}   {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
