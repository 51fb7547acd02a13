"""Mirrored and plain datasets: the same camera round the same head gives the same pixels, whichever way it is said."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nerface.cameras import project
from nerface.driving.conventions import PLAIN, Convention, convention_of, in_convention
from nerface.errors import UserError
from nerface.types import Camera, Intrinsics

INNER = Intrinsics(400.0, 390.0, 0.48, 0.52, 320, 320)
SEED = Convention((-1, 1), head_mirrored=True)  # fx < 0 with proper rotations
FLIPPED = Convention((-1, 1), head_mirrored=False)  # fx < 0 with the camera's x column turned round
CONVENTIONS = [PLAIN, SEED, FLIPPED, Convention((-1, -1)), Convention((1, -1), head_mirrored=True)]


def _pose(yaw=20.0, pitch=-8.0, roll=5.0):
    pose = np.eye(4, dtype=np.float32)
    pose[:3, :3] = Rotation.from_euler("yxz", [yaw, pitch, roll], degrees=True).as_matrix()
    pose[:3, 3] = pose[:3, :3] @ [0.02, -0.01, 0.5]
    return pose


def _inner(convention):
    signs = convention.camera_signs
    return dataclasses.replace(INNER, fx=signs[0] * INNER.fx, fy=signs[1] * INNER.fy)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_pose_said_otherwise_shows_the_same_pixels(convention):
    points = torch.tensor([[0.05, 0.02, 0.06], [-0.07, 0.04, 0.0], [0.0, -0.08, 0.03]])
    here = project(Camera(INNER, torch.from_numpy(_pose())), points)
    mirrored = points * torch.tensor([-1.0 if convention.head_mirrored else 1.0, 1, 1])
    pose = in_convention(_pose(), PLAIN, convention)
    there = project(Camera(_inner(convention), torch.from_numpy(pose)), mirrored)
    torch.testing.assert_close(here, there, atol=1e-3, rtol=1e-5)
    np.testing.assert_array_equal(in_convention(pose, convention, PLAIN), _pose())


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_convention_is_seen_from_the_signs_and_the_handedness(convention):
    poses = np.stack([in_convention(_pose(yaw), PLAIN, convention) for yaw in (-30, 0, 30)])
    assert convention_of(_inner(convention), poses) == convention


def test_the_seeds_negative_fx_means_a_mirrored_head():
    """Spec 1.3: fx < 0 and rotations of determinant +1."""
    assert convention_of(dataclasses.replace(INNER, fx=-400.0), _pose()) == SEED
    assert np.linalg.det(in_convention(_pose(), SEED, PLAIN)[:3, :3]) == pytest.approx(1)


def test_mixed_poses_are_refused():
    poses = np.stack([_pose(), _pose() * np.array([-1, 1, 1, 1], np.float32)])
    with pytest.raises(UserError, match="mixed"):
        convention_of(INNER, poses)
