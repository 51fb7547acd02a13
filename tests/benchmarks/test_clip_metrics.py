from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from clip_metrics import agreement, landmark_jitter_px, skin_rms_px

from nerface.capture.face_track import FaceTrack
from nerface.capture.report import Dropped
from nerface.capture.skin import SkinTracks
from nerface.capture.solving import SolvedClip

FRAMES, FOCAL, CENTRE = 40, 600.0, (255.5, 239.5)


def _camera_to_head(turn_error_deg: float = 0.0) -> np.ndarray:
    time = np.arange(FRAMES) / 25
    wrong = turn_error_deg * np.sin(time * 9)
    angles = np.stack([20 * np.sin(time * 3) + wrong, 10 * np.cos(time * 2), 3 * np.sin(time)], axis=1)
    head_to_camera = np.tile(np.eye(4), (FRAMES, 1, 1))
    head_to_camera[:, :3, :3] = Rotation.from_euler("YXZ", angles, degrees=True).as_matrix()
    head_to_camera[:, :3, 3] = np.stack([0.02 * np.sin(time), 0.01 * np.cos(time), -0.5 + 0.03 * time], axis=1)
    return np.linalg.inv(head_to_camera)


def _clip(camera_to_head: np.ndarray, landmarks: np.ndarray | None = None) -> SolvedClip:
    return SolvedClip(
        numbers=np.arange(FRAMES),
        landmarks=np.zeros((FRAMES, 478, 2)) if landmarks is None else landmarks,
        projected=np.zeros((FRAMES, 468, 2)),
        scores=np.zeros((FRAMES, 52)),
        names=("",) * 52,
        timestamps=np.arange(FRAMES) / 25,
        camera_to_head=camera_to_head,
        frame_rms_px=np.ones(FRAMES),
        focal=FOCAL,
        focal_assumed=False,
        centre=CENTRE,
        units_per_cm=0.01,
        frame_rate=25.0,
        dropped=Dropped(()),
    )


def _track() -> FaceTrack:
    """Twelve spots on the head, seen where the true poses put them."""
    random = np.random.default_rng(0)
    spots = random.uniform(-0.08, 0.08, (12, 3)) + np.array([0, 0, 0.08])
    head_to_camera = np.linalg.inv(_camera_to_head())
    camera = np.einsum("nij,sj->sni", head_to_camera[:, :3, :3], spots) + head_to_camera[:, :3, 3]
    seen = FOCAL * camera[..., :2] / -camera[..., 2:] * [1, -1] + CENTRE
    skin = SkinTracks(
        np.repeat(np.arange(12), FRAMES).astype(np.int32),
        np.tile(np.arange(FRAMES), 12).astype(np.int32),
        seen.reshape(-1, 2).astype(np.float32),
    )
    zeros, no = np.zeros(FRAMES), np.zeros(FRAMES, bool)
    return FaceTrack(
        landmarks=np.zeros((FRAMES, 478, 3)), spread=np.zeros((FRAMES, 478)), scores=np.zeros((FRAMES, 52)),
        presence=zeros, sharpness=zeros, found=~no, repeated=no, reasons=("",) * FRAMES,
        segment=np.zeros(FRAMES, int), timestamps=zeros, size=(512, 480), skin=skin,
    )  # fmt: skip


def test_skin_points_agree_with_true_poses_and_not_with_wrong_ones():
    assert skin_rms_px(_track(), _clip(_camera_to_head())) < 0.01
    assert skin_rms_px(_track(), _clip(_camera_to_head(turn_error_deg=2.0))) > 0.5


def test_landmark_jitter_is_the_noise_and_not_the_motion():
    time = np.arange(FRAMES)[:, None, None] / 25
    smooth = np.broadcast_to(200 + 30 * time**2, (FRAMES, 478, 2))
    assert landmark_jitter_px(_clip(_camera_to_head(), smooth)) < 1e-6
    noisy = smooth + np.random.default_rng(0).normal(0, 0.5, smooth.shape)
    # A quadratic through seven points takes a third of the noise's variance with it (7 x 3 hat matrix: 1/3 at centre).
    assert landmark_jitter_px(_clip(_camera_to_head(), noisy)) == pytest.approx(0.5 * np.sqrt(2 / 3), rel=0.1)


def test_agreement_tells_slope_and_correlation_and_nothing_of_still_channels():
    true = np.linspace(0, 1, 50)
    assert agreement(0.2 + 0.5 * true, true) == pytest.approx((1.0, 0.5))
    assert agreement(true, np.zeros(50)) is None
