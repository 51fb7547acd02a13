"""How well capture did on the sample clip: its poses, focal length and scores against what was drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from nerface.errors import UserError
from nerface.files import read_json

MM_PER_CM = 10.0
MIN_FRAMES = 3


@dataclass(frozen=True)
class TruthReport:
    """Captured against true over `frames` frames.

    A capture has a head frame, a scale and a focal length of its own, so one constant rotation and origin in head space
    and one scale are removed first. `rotation_error_deg`: mean angle left. `across_error_mm`, `depth_error_mm`: mean
    distance of the head's origin from the true one, across the camera's axis and along it. `focal_ratio`: captured over
    true. `yaw_gain`, `pitch_gain`: captured degrees per true degree. `score_correlation`: for each true channel that
    capture names too, the correlation of its score with the truth (channels that do not move are left out).
    """

    frames: int
    rotation_error_deg: float
    across_error_mm: float
    depth_error_mm: float
    focal_ratio: float
    yaw_gain: float
    pitch_gain: float
    score_correlation: dict[str, float]


@dataclass(frozen=True)
class _Captured:
    """The frames of all splits: `poses` [N, 4, 4], `scores` [N, E], `source` [N] frame numbers of the video."""

    poses: Float[np.ndarray, "frames 4 4"]
    scores: Float[np.ndarray, "frames expression"]
    source: Int[np.ndarray, " frames"]
    names: list[str]
    focal: float  # fx in pixels of the video's own frame


@dataclass(frozen=True)
class _Truth:
    poses: Float[np.ndarray, "frames 4 4"]
    expressions: Float[np.ndarray, "frames channels"]
    names: list[str]
    focal: float
    width: float


def compare_with_truth(dataset: Path | str, truth: Path | str) -> TruthReport:
    """Compare the dataset captured from a sample clip with the clip's truth (`nerface.sample.clip.write_truth`).

    Frames of all splits are matched by `source_frame`. Raises `UserError` where a file is missing or damaged, where
    fewer than `MIN_FRAMES` frames match, or where the dataset lacks `source_frame`.
    """
    true = _read_truth(Path(truth))
    captured = _read_dataset(Path(dataset), true.width)
    known = (captured.source >= 0) & (captured.source < len(true.poses))
    if int(known.sum()) < MIN_FRAMES:
        raise UserError(f"only {int(known.sum())} frames of {dataset} belong to {truth}: is it another clip's truth?")
    poses, scores, source = captured.poses[known], captured.scores[known], captured.source[known]
    target = true.poses[source]

    turn = _mean_rotation(target[:, :3, :3] @ np.swapaxes(poses[:, :3, :3], 1, 2))
    aligned = turn @ poses[:, :3, :3]
    left = np.swapaxes(target[:, :3, :3], 1, 2) @ aligned
    angle = np.degrees(np.arccos(np.clip((np.trace(left, axis1=1, axis2=2) - 1.0) / 2.0, -1.0, 1.0)))
    miss = MM_PER_CM * _origin_error(target, poses)
    true_angles, found_angles = _yaw_pitch(target[:, :3, :3]), _yaw_pitch(aligned)
    return TruthReport(
        frames=len(poses),
        rotation_error_deg=float(angle.mean()),
        across_error_mm=float(np.linalg.norm(miss[:, :2], axis=1).mean()),
        depth_error_mm=float(np.abs(miss[:, 2]).mean()),
        focal_ratio=captured.focal / true.focal,
        yaw_gain=_slope(true_angles[:, 0], found_angles[:, 0]),
        pitch_gain=_slope(true_angles[:, 1], found_angles[:, 1]),
        score_correlation=_correlations(true.names, true.expressions[source], captured.names, scores),
    )


def _mean_rotation(rotations: Float[np.ndarray, "frames 3 3"]) -> Float[np.ndarray, "3 3"]:
    """The rotation nearest to all of them (chordal mean, by SVD)."""
    left, _, right = np.linalg.svd(rotations.sum(axis=0))
    return left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right


def _origin_error(
    target: Float[np.ndarray, "frames 4 4"], poses: Float[np.ndarray, "frames 4 4"]
) -> Float[np.ndarray, "frames 3"]:
    """Captured minus true place of the head's origin in camera axes, in the truth's units.

    With R, p of a captured camera_to_head, a captured head point o lies at s R^T (o - p) before the camera. The scale s
    and the point o that the truth calls its origin are found by linear least squares in (s o, s).
    """
    inverse = np.swapaxes(poses[:, :3, :3], 1, 2)
    place = -np.einsum("nji,nj->ni", target[:, :3, :3], target[:, :3, 3])  # [N, 3]
    camera = -np.einsum("nij,nj->ni", inverse, poses[:, :3, 3])
    system = np.concatenate([inverse, camera[:, :, None]], axis=2).reshape(-1, 4)
    solution = np.linalg.lstsq(system, place.reshape(-1), rcond=None)[0]
    return (system @ solution).reshape(-1, 3) - place


def _yaw_pitch(rotations: Float[np.ndarray, "frames 3 3"]) -> Float[np.ndarray, "frames 2"]:
    """Degrees by which the face's direction, seen from the camera, points right and down."""
    forward = rotations[:, 2, :]  # R^T (0, 0, 1)
    yaw = np.degrees(np.arctan2(forward[:, 0], forward[:, 2]))
    return np.stack([yaw, -np.degrees(np.arcsin(np.clip(forward[:, 1], -1.0, 1.0)))], axis=1)


def _slope(true: Float[np.ndarray, " frames"], found: Float[np.ndarray, " frames"]) -> float:
    """Slope of the regression of found on true; 1 where the truth does not vary."""
    centred = true - true.mean()
    spread = float(centred @ centred)
    return float(centred @ (found - found.mean())) / spread if spread > 0 else 1.0


def _correlations(
    true_names: list[str], true: np.ndarray, found_names: list[str], found: np.ndarray
) -> dict[str, float]:
    result = {}
    for k, name in enumerate(true_names):
        if name not in found_names:
            continue
        score = found[:, found_names.index(name)]
        if true[:, k].std() > 0 and score.std() > 0:
            result[name] = float(np.corrcoef(true[:, k], score)[0, 1])
    return result


def _read_truth(path: Path) -> _Truth:
    try:
        with np.load(path, allow_pickle=False) as data:
            names = [str(name) for name in data["expression_names"]]
            return _Truth(
                data["camera_to_head"], data["expressions"], names, float(data["intrinsics"][0]), float(data["size"][0])
            )
    except FileNotFoundError:
        raise UserError(f"{path} is missing: make the sample clip again") from None
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is not the truth of a sample clip ({error})") from None


def _read_dataset(folder: Path, video_width: float) -> _Captured:
    poses, scores, source = [], [], []
    top: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        path = folder / f"transforms_{split}.json"
        top = read_json(path)
        try:
            for frame in top["frames"]:
                poses.append(frame["transform_matrix"])
                scores.append(frame["expression"])
                source.append(int(frame["source_frame"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} has a frame that capture did not write: {error} is missing or wrong") from None
    try:
        width = float(top["image_size"][0])
        crop = (top.get("source") or {}).get("crop") or [0, 0, video_width, video_width]
        # The stored image is `crop` of the video's frame, resized.
        focal = abs(float(top["intrinsics"][0])) * float(crop[2]) / width
        names = [str(name) for name in top["expression_names"]]
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"{folder} lacks {error}, which capture writes in its transforms files") from None
    return _Captured(np.asarray(poses, float), np.asarray(scores, float), np.asarray(source), names, focal)
