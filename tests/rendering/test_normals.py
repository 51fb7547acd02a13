"""Normals against solids whose normals are known."""

from __future__ import annotations

import pytest
import torch

from nerface.cameras import all_pixels, pixel_directions, to_head_space
from nerface.driving.views import head_turn
from nerface.rendering.normals import OPACITY_FLOOR, render_normals, render_surface, seen_by
from nerface.types import Camera, Condition
from tests.geometry.solids import NOTHING, Solid, sphere
from tests.toys import toy_avatar


def hits(camera: Camera, radius: float):
    """Where each pixel's ray first meets the sphere round the origin, [P, 3], and whether it does so well inside."""
    pixels = all_pixels(camera.intrinsics)
    origin, direction = to_head_space(
        pixel_directions(camera.intrinsics, pixels[:, 0], pixels[:, 1]), camera.camera_to_head
    )
    a, b, c = (direction**2).sum(-1), (origin * direction).sum(-1), (origin**2).sum(-1) - radius**2
    inside = b * b - a * c
    t = (-b - inside.clamp(min=0).sqrt()) / a
    points = origin + t[:, None] * direction
    grazing = (points * direction).sum(-1).abs() / radius / direction.norm(dim=-1)
    return points, (inside > 0) & (grazing > 0.3), inside < -0.1 * radius**2


def angles(found, wanted):
    """Degrees between unit vectors."""
    return torch.rad2deg(torch.acos((found * wanted).sum(-1).clamp(-1, 1)))


@pytest.mark.parametrize(("fx_sign", "pose_sign"), [(1, 1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("turn", [(0, 0), (50, -20)])
def test_normals_of_a_sphere(fx_sign, pose_sign, turn):
    solid = sphere(fx_sign=fx_sign, pose_sign=pose_sign)
    camera = Camera(solid.camera.intrinsics, head_turn(*turn) @ solid.camera.camera_to_head)
    normals = render_normals(solid, camera, NOTHING)
    assert normals.shape == (36, 40, 3)
    points, hit, missed = hits(camera, 0.1)
    found = normals.reshape(-1, 3)
    assert hit.sum() > 150
    error = angles(found[hit], points[hit] / points[hit].norm(dim=-1, keepdim=True))
    assert error.max() < 2.0  # the skin's thickness shows where a ray grazes the sphere
    assert error.mean() < 0.6
    assert torch.allclose(found[hit].norm(dim=-1), torch.ones(int(hit.sum())), atol=1e-5)
    towards = camera.camera_to_head[:3, 3] - points
    assert ((found * towards).sum(-1)[hit] > 0).all()  # out of the solid, towards the camera
    assert missed.any()
    assert (found[missed] == 0).all()  # nothing beside it


def test_normals_of_an_ellipsoid_follow_its_shape_and_not_its_depth():
    radii = torch.tensor([0.06, 0.12, 0.09])
    solid = Solid((((0, 0, 0), tuple(radii.tolist())),))
    surface = render_surface(solid, solid.camera, NOTHING)
    pixels = all_pixels(solid.camera.intrinsics)
    directions = pixel_directions(solid.camera.intrinsics, pixels[:, 0], pixels[:, 1])
    solidly = (surface.opacity > 0.9).nonzero()[:, 0]
    points = solid.camera.camera_to_head[:3, 3] + surface.depth[solidly, None] * directions[solidly]
    wanted = torch.nn.functional.normalize(points / radii**2, dim=-1)
    assert len(solidly) > 60
    assert angles(surface.normal[solidly], wanted).median() < 1.0
    assert angles(surface.normal[solidly], wanted).quantile(0.9) < 3.0


@pytest.mark.parametrize(("fx_sign", "pose_sign"), [(1, 1), (-1, 1), (-1, -1)])
def test_normals_as_the_picture_shows_them(fx_sign, pose_sign):
    solid = sphere(fx_sign=fx_sign, pose_sign=pose_sign)
    shown = seen_by(render_normals(solid, solid.camera, NOTHING), solid.camera)
    row, column = 17, 20  # the principal point
    assert shown[row, column, 2] > 0.99
    assert shown[row, column + 5, 0] > 0.3  # what lies to the right of the picture faces right
    assert shown[row, column - 5, 0] < -0.3
    assert shown[row - 5, column, 1] > 0.3  # and what lies above faces up


def test_depth_and_colour_of_the_surface():
    solid = sphere()
    surface = render_surface(solid, solid.camera, NOTHING)
    points, hit, missed = hits(solid.camera, 0.1)
    assert torch.allclose(surface.depth[hit], 0.5 - points[hit, 2], atol=0.004)
    assert torch.allclose(surface.colour[hit], 0.5 + 2 * points[hit], atol=0.02)
    assert (surface.depth[missed] == 0.8).all()
    assert (surface.opacity[missed] < 1e-4).all()


def test_a_breath_of_fog_has_no_normal():
    solid = sphere()
    thin = OPACITY_FLOOR / 2 / 0.2 / 400
    full = solid.query
    solid.query = lambda *words: (full(*words)[0] * thin, full(*words)[1])
    assert (render_normals(solid, solid.camera, NOTHING) == 0).all()


def test_chunks_change_nothing():
    solid = sphere()
    whole = render_normals(solid, solid.camera, NOTHING)
    assert torch.allclose(whole, render_normals(solid, solid.camera, NOTHING, chunk=7), atol=1e-5)


def test_an_avatar_gives_normals_without_asking_for_gradients(device):
    avatar = toy_avatar().to(device)
    subject = avatar.subject
    condition = Condition(torch.zeros(3, device=device), avatar.latent("mean"))
    with torch.no_grad():
        normals = render_normals(avatar, Camera(subject.intrinsics, torch.tensor(subject.rest_pose)), condition)
    assert normals.device.type == device.type
    assert not normals.requires_grad
    lengths = normals.norm(dim=-1)
    assert ((lengths == 0) | ((lengths - 1).abs() < 1e-4)).all()
    assert all(parameter.grad is None for parameter in avatar.parameters())
