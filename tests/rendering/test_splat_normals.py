"""Normals of Gaussians from the slope of their depth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nerface.cameras import all_pixels, pixel_directions, to_head_space
from nerface.data import load_dataset
from nerface.evaluation.artist import Drawing
from nerface.evaluation.evidence import PICTURES
from nerface.rendering.normals import seen_by
from nerface.rendering.splat_normals import normals_of_depth
from nerface.rendering.splatting import Gaussians, rasterise
from nerface.types import Camera, Condition, Intrinsics
from tests.data.make import write_tiny_dataset
from tests.fields.splat_toys import toy_splat_avatar
from tests.toys import toy_subject

RADIUS = 0.1


def camera(fx=70.0, turn=0.3):
    """Beside the head, looking at the origin from 0.5."""
    pose = torch.eye(4)
    pose[:3, :3] = torch.linalg.matrix_exp(turn * torch.tensor([[0.0, 0.2, 1.0], [-0.2, 0.0, -0.5], [-1.0, 0.5, 0.0]]))
    pose[:3, 3] = 0.5 * pose[:3, 2]
    return Camera(Intrinsics(fx, 65.0, 0.47, 0.52, 48, 40), pose)


def sphere_depth(seen):
    """Exact depth along the camera's axis, opacity 1 on the sphere, and its normals."""
    inner = seen.intrinsics
    pixels = all_pixels(inner)
    local = pixel_directions(inner, pixels[:, 0], pixels[:, 1])
    origins, directions = to_head_space(local, seen.camera_to_head)
    a = directions.square().sum(-1)
    b = (origins * directions).sum(-1)
    root = b.square() - a * (origins.square().sum(-1) - RADIUS**2)
    t = (-b - root.clamp(min=0).sqrt()) / a
    hit = root > 0
    normals = torch.where(hit[:, None], (origins + t[:, None] * directions) / RADIUS, 0.0)
    size = inner.height, inner.width
    return (t * hit).reshape(size), hit.float().reshape(size), normals.reshape(*size, 3)


@pytest.mark.parametrize("fx", [70.0, -70.0])
def test_a_sphere_has_its_normals(fx):
    seen = camera(fx)
    depth, opacity, wanted = sphere_depth(seen)
    # Half as opaque, half as much depth: it is premultiplied.
    found = normals_of_depth(0.5 * depth, 0.5 * opacity, seen)
    assert (found[opacity == 0] == 0).all()
    rim = seen_by(wanted, seen)[..., 2]
    inside = rim > 0.5  # the slope is steep at the outline
    assert inside.sum() > 100
    off = torch.rad2deg((found * wanted).sum(-1).clamp(-1, 1).arccos())
    assert off[inside].max() < 8
    assert off[inside].median() < 1.5
    assert torch.allclose(found[opacity > 0].norm(dim=-1), torch.ones(()), atol=1e-5)
    assert (seen_by(found, seen)[inside][:, 2] > 0).all()


def test_what_hardly_shows_has_no_normal_and_bends_no_neighbour():
    seen = camera(turn=0.0)
    depth = torch.full((40, 48), 0.5)
    opacity = torch.ones(40, 48)
    opacity[:, 20:] = 0.05  # a haze farther away
    depth[:, 20:] = 0.05 * 0.9
    found = normals_of_depth(depth, opacity, seen)
    assert (found[:, 20:] == 0).all()
    assert torch.allclose(found[:, :20], torch.tensor([0.0, 0.0, 1.0]), atol=1e-4)


def test_a_board_of_gaussians():
    """A tilted sheet of round Gaussians: its normal, in head space."""
    seen, angle = camera(turn=0.0), math.radians(30)
    axis = torch.linspace(-0.2, 0.2, 41)
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    means = torch.stack([u * math.cos(angle), v, -u * math.sin(angle)], dim=-1).reshape(1, -1, 3)
    count = means.shape[1]
    turns = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(1, count, 4)
    board = Gaussians(means, turns, torch.full((count, 3), 0.006), torch.full((1, count), 0.9), means)
    drawn = rasterise(board, seen.camera_to_head[None], seen.intrinsics)
    found = normals_of_depth(drawn.depth[0], drawn.opacity[0], seen)[10:30, 12:36]
    wanted = torch.tensor([math.sin(angle), 0.0, math.cos(angle)])
    assert torch.rad2deg((found @ wanted).clamp(max=1).arccos()).mean() < 5


def test_an_avatar_gives_normals_where_it_is_seen(device):
    avatar = toy_splat_avatar().to(device)
    seen = Camera(avatar.subject.intrinsics, torch.tensor(avatar.subject.rest_pose))
    condition = Condition(torch.zeros(3), avatar.latent("mean"))
    normals, opacity = avatar.normals(seen, condition), avatar.render(seen, condition).opacity
    assert normals.shape == (20, 24, 3)
    assert normals.device.type == device.type
    assert not normals.requires_grad
    lengths = normals.norm(dim=-1)
    assert (lengths[opacity < 0.1] == 0).all()
    assert ((lengths[opacity >= 0.1] - 1).abs() < 1e-4).float().mean() > 0.95
    assert (opacity >= 0.1).any()


def test_every_output_of_an_evaluation_can_be_drawn(tmp_path):
    dataset = load_dataset(write_tiny_dataset(tmp_path / "person", expressions=3))
    frame = dataset.train[0]
    height, width = frame.image.shape[:2]
    avatar = toy_splat_avatar(toy_subject(width=width, height=height))
    seen = Camera(avatar.subject.intrinsics, torch.tensor(avatar.subject.rest_pose))
    condition = Condition(torch.zeros(3), avatar.latent("mean"), avatar.plate())
    with torch.no_grad():
        rendering = avatar.render(seen, condition)
    picture = (rendering.colour.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    drawing = Drawing(picture, rendering, seen, condition, 0.0)
    for kind, draw in PICTURES.items():
        shown = draw(avatar, frame, drawing)
        assert shown.shape[:2] == (height, width), kind
        assert np.ptp(shown) > 0, kind
