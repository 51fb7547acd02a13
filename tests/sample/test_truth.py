"""The comparison with the truth, on datasets whose faults are known."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerface.errors import UserError
from nerface.sample.clip import CAMERA, write_truth
from nerface.sample.motion import make_motion
from nerface.sample.shapes import CHANNELS
from nerface.sample.truth import compare_with_truth

FRAMES = 60
NAMES = ["_neutral", *CHANNELS[::-1]]


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    path = tmp_path / "truth.npz"
    write_truth(path, make_motion(FRAMES, np.random.default_rng(0)))
    return path


def write_dataset(folder: Path, poses: np.ndarray, scores: np.ndarray, focal: float, crop: list[int]) -> Path:
    """A dataset's three JSON files: frames 0-47, 48-49 and 50-59, poses and scores as given."""
    folder.mkdir()
    for split, chosen in (("train", range(48)), ("val", range(48, 50)), ("test", range(50, 60))):
        frames = [
            {"transform_matrix": poses[k].tolist(), "expression": scores[k].tolist(), "source_frame": k} for k in chosen
        ]
        top = {
            "frames": frames, "expression_names": NAMES, "intrinsics": [focal, focal, 0.5, 0.5],
            "image_size": [256, 256], "source": {"crop": crop},
        }  # fmt: skip
        (folder / f"transforms_{split}.json").write_text(json.dumps(top))
    return folder


def as_captured(truth: Path, scale: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Perfect poses in another head frame and scale, and perfect scores."""
    with np.load(truth) as data:
        poses, expressions = data["camera_to_head"].copy(), data["expressions"]
    turn, shift = Rotation.from_euler("xyz", [5, -8, 3], degrees=True).as_matrix(), np.array([0.4, -2.0, 1.0])
    poses[:, :3, 3] = scale * (poses[:, :3, 3] @ turn.T + shift)
    poses[:, :3, :3] = turn @ poses[:, :3, :3]
    return poses, np.concatenate([np.zeros((FRAMES, 1)), expressions[:, ::-1]], axis=1)


def test_another_frame_and_scale_are_no_error(tmp_path: Path, truth: Path) -> None:
    poses, scores = as_captured(truth)
    folder = write_dataset(tmp_path / "set", poses, scores, CAMERA.fx * 256 / 300, [5, 8, 300, 300])
    report = compare_with_truth(folder, truth)
    assert report.frames == FRAMES
    assert report.rotation_error_deg < 1e-4
    assert report.across_error_mm < 1e-6
    assert report.depth_error_mm < 1e-6
    assert report.focal_ratio == pytest.approx(1.0)
    assert report.yaw_gain == pytest.approx(1.0)
    assert report.pitch_gain == pytest.approx(1.0)
    assert set(report.score_correlation) <= set(CHANNELS)
    assert report.score_correlation["jawOpen"] == pytest.approx(1.0)


def test_known_errors_are_found(tmp_path: Path, truth: Path) -> None:
    poses, scores = as_captured(truth)
    random = np.random.default_rng(1)
    # Turn each head by 2 degrees about a random axis through its own origin as seen by the camera.
    with np.load(truth) as data:
        true = data["camera_to_head"]
    axes = random.standard_normal((FRAMES, 3))
    wrong = Rotation.from_rotvec(np.radians(2.0) * axes / np.linalg.norm(axes, axis=1, keepdims=True)).as_matrix()
    head_to_camera = np.linalg.inv(true)
    head_to_camera[:, :3, :3] = wrong @ head_to_camera[:, :3, :3]
    head_to_camera[:, 2, 3] += np.where(np.arange(FRAMES) % 2, 0.5, -0.5)  # 5 mm in depth
    poses = np.linalg.inv(head_to_camera)
    scores[:, NAMES.index("jawOpen")] *= -1
    folder = write_dataset(tmp_path / "set", poses, scores, 1.2 * CAMERA.fx, [0, 0, 256, 256])
    report = compare_with_truth(folder, truth)
    assert report.rotation_error_deg == pytest.approx(2.0, abs=0.15)
    assert report.depth_error_mm == pytest.approx(5.0, abs=0.3)
    assert report.across_error_mm < 1.0
    assert report.focal_ratio == pytest.approx(1.2)
    assert report.score_correlation["jawOpen"] == pytest.approx(-1.0)


def test_a_weak_turn_shows_in_the_gain(tmp_path: Path, truth: Path) -> None:
    _, scores = as_captured(truth)
    with np.load(truth) as data:
        poses = data["camera_to_head"]
    vectors = Rotation.from_matrix(poses[:, :3, :3]).as_rotvec()
    poses[:, :3, :3] = Rotation.from_rotvec(0.8 * vectors).as_matrix()
    report = compare_with_truth(write_dataset(tmp_path / "set", poses, scores, 500.0, [0, 0, 256, 256]), truth)
    assert report.yaw_gain == pytest.approx(0.8, abs=0.03)


def test_faults_have_one_clear_line(tmp_path: Path, truth: Path) -> None:
    poses, scores = as_captured(truth)
    folder = write_dataset(tmp_path / "set", poses, scores, 500.0, [0, 0, 256, 256])
    with pytest.raises(UserError, match=r"missing\.npz is missing"):
        compare_with_truth(folder, tmp_path / "missing.npz")
    broken = json.loads((folder / "transforms_val.json").read_text())
    for frame in broken["frames"]:
        del frame["source_frame"]
    (folder / "transforms_val.json").write_text(json.dumps(broken))
    with pytest.raises(UserError, match="source_frame"):
        compare_with_truth(folder, truth)
    with pytest.raises(UserError, match="is missing"):
        compare_with_truth(tmp_path, truth)
