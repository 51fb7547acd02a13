"""The camera formula: pixels to rays and points to pixels are inverse, with all that the seed's datasets contain."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nerface.cameras import all_pixels, pixel_directions, project, to_head_space
from nerface.types import Camera, Intrinsics

ODD = Intrinsics(fx=-310.0, fy=295.0, cx=0.44, cy=0.57, width=37, height=23)


def turned_pose(handedness: float) -> torch.Tensor:
    rotation, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    rotation *= handedness * np.sign(np.linalg.det(rotation))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, [0.1, -0.2, 0.5]
    return torch.from_numpy(pose)


def test_directions_follow_the_formula():
    directions = pixel_directions(ODD, torch.tensor([0, 7]), torch.tensor([5, 36]))
    expected = [[(u - 37 * 0.44) / -310.0, -(v - 23 * 0.57) / 295.0, -1.0] for v, u in ((0, 5), (7, 36))]
    assert torch.allclose(directions, torch.tensor(expected), atol=1e-7)


@pytest.mark.parametrize("handedness", [1.0, -1.0])
def test_a_point_on_a_ray_projects_back_to_its_pixel(handedness):
    pose = turned_pose(handedness)
    pixels = all_pixels(ODD)
    assert pixels.shape == (37 * 23, 2)
    assert pixels[37].tolist() == [1, 0]
    local = pixel_directions(ODD, pixels[:, 0], pixels[:, 1]).double()
    origins, directions = to_head_space(local, pose)
    depth = torch.linspace(0.2, 0.8, len(pixels), dtype=torch.float64)
    seen = project(Camera(ODD, pose), origins + depth[:, None] * directions)
    assert torch.allclose(seen[:, 0], pixels[:, 1].double(), atol=1e-4)
    assert torch.allclose(seen[:, 1], pixels[:, 0].double(), atol=1e-4)
    assert torch.allclose(seen[:, 2], depth, atol=1e-9)


def test_one_pose_per_pixel_equals_one_pose():
    pose = turned_pose(1.0).float()
    local = pixel_directions(ODD, torch.arange(4), torch.arange(4))
    together = to_head_space(local, pose)
    apart = to_head_space(local, pose.expand(4, 4, 4))
    for one, other in zip(together, apart):
        assert torch.allclose(one, other)


def test_a_point_behind_the_camera_has_negative_depth():
    pose = turned_pose(1.0)
    behind = pose[:3, 3] + pose[:3, 2]  # the camera looks along -z
    assert project(Camera(ODD, pose), behind[None])[0, 2] < 0


def test_resized_intrinsics_keep_fractions():
    half = ODD.resized(74, 46)
    assert (half.fx, half.fy, half.cx, half.cy) == (-620.0, 590.0, 0.44, 0.57)
    assert (half.width, half.height) == (74, 46)


@pytest.mark.parametrize("fx_sign", [1, -1])
@pytest.mark.parametrize("shear", [0.0, 0.03])
def test_float32_rays_and_projection_agree_at_full_size(fx_sign, shear, device):
    """What training and rendering use: float32, a wide picture, an off-centre principal point, a sheared pose."""
    inner = Intrinsics(fx=fx_sign * 2600.0, fy=2450.0, cx=0.37, cy=0.61, width=1280, height=720)
    pose = turned_pose(float(fx_sign)).float()
    pose[:3, :3] = pose[:3, :3] @ torch.tensor([[1.0, shear, 0.0], [0.0, 1.0 + shear, -shear], [shear, 0.0, 1.0]])
    pose = pose.to(device)
    pixels = all_pixels(inner, device)[::97]
    origins, directions = to_head_space(pixel_directions(inner, pixels[:, 0], pixels[:, 1]), pose)
    for depth in (0.2, 0.5, 0.8):
        seen = project(Camera(inner, pose), origins + depth * directions)
        assert (seen[:, :2] - pixels.flip(-1)).abs().max() < 0.01
        assert torch.allclose(seen[:, 2], torch.full_like(seen[:, 2], depth), atol=1e-5)
