"""A tracker's habit, learned on training frames and told to others."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nerface.capture import refit
from nerface.capture.refit import learned_poses, smoothed
from nerface.capture.report import pose_angles
from nerface.data import load_dataset
from nerface.errors import UserError
from nerface.fields.pose_correction import corrected
from tests.data.make import write_tiny_dataset
from tests.toys import AVATAR, avatar_for


def test_smoothing_keeps_motion_and_takes_noise():
    times = np.arange(200) / 25.0
    slow = np.sin(2 * np.pi * times / 1.0)[:, None]
    noise = np.random.default_rng(0).normal(size=(200, 1))
    assert np.abs(smoothed(slow, times) - slow).max() < 0.02
    assert smoothed(noise, times).std() < 0.75 * noise.std()
    line = 0.3 * times[:, None] + 1
    assert np.allclose(smoothed(line, times), line)
    order = np.random.default_rng(1).permutation(200)
    assert np.allclose(smoothed(slow[order], times[order]), smoothed(slow, times)[order])


def test_a_pitch_that_is_told_too_small_is_mended_in_frames_never_seen(tmp_path, monkeypatch):
    """The tracker under-reports pitch by a fifth; training found that; the test frames get it too."""
    monkeypatch.setattr(refit, "SMOOTH_S", 0.01)  # the made head nods faster than any real one
    dataset = load_dataset(write_tiny_dataset(tmp_path / "person", frames=120))
    poses = {name: np.array(dataset.splits[name].camera_to_head) for name in ("train", "test")}

    def habit(values):
        twists = np.zeros((len(values), 6), np.float32)
        twists[:, 0] = 0.2 * np.radians(pose_angles(values)[:, 1] - pose_angles(poses["train"])[:, 1].mean())
        return twists

    avatar = avatar_for(dataset, replace(AVATAR, refine_poses=True))
    avatar.pose_corrections.data = torch.from_numpy(habit(poses["train"]))
    wanted = corrected(torch.from_numpy(poses["test"]), torch.from_numpy(habit(poses["test"]))).numpy()
    assert turn(poses["test"], wanted) > 0.3  # degrees: there is something to mend
    assert turn(learned_poses(avatar, dataset, "test"), wanted) < 0.6 * turn(poses["test"], wanted)


def turn(one: np.ndarray, other: np.ndarray) -> float:
    """Mean angle between rotations, degrees."""
    cosine = (np.einsum("nij,nij->n", one[:, :3, :3], other[:, :3, :3]) - 1) / 2
    return math.degrees(float(np.arccos(cosine.clip(-1, 1)).mean()))


def test_an_avatar_without_corrections_is_refused(tiny_dataset):
    with pytest.raises(UserError, match="no corrections of poses"):
        learned_poses(avatar_for(tiny_dataset), tiny_dataset, "test")
