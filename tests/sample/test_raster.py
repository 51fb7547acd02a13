"""The rasteriser: where triangles land, which one is seen, and that neighbours leave no hole."""

import numpy as np
import pytest
import torch

from nerface.cameras import project
from nerface.sample.raster import AMBIENT, DIFFUSE, LIGHT_DIRECTION, Mesh, draw, vertex_normals
from nerface.types import Camera, Intrinsics

CAMERA = Intrinsics(80.0, 90.0, 0.45, 0.55, 64, 48)
WHITE = np.full((8, 8, 3), 100.0, dtype=np.float32)
BLACK = np.zeros((48, 64, 3))


def square(centre: tuple[float, float, float], half: float) -> Mesh:
    x, y, z = centre
    corners = np.array([[x + a * half, y + b * half, z] for a, b in ((-1, 1), (1, 1), (-1, -1), (1, -1))])
    triangles = np.array([[0, 2, 1], [1, 2, 3]])
    return Mesh(corners, np.tile(LIGHT_DIRECTION, (4, 1)), np.full((4, 2), 3.0), triangles)


def test_pixels_follow_the_project_convention() -> None:
    centre = (1.3, -0.9, -20.0)
    picture = draw(square(centre, 1.5), WHITE, BLACK, CAMERA, supersampling=8)[..., 0]
    rows, columns = np.mgrid[:48, :64]
    found = np.array([(picture * columns).sum(), (picture * rows).sum()]) / picture.sum()
    expected = project(Camera(CAMERA, torch.eye(4)), torch.tensor([centre]))[0, :2].numpy()
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_brightness_is_texture_times_light_and_area_is_covered() -> None:
    picture = draw(square((0.0, 0.0, -10.0), 1.0), WHITE, BLACK, CAMERA, supersampling=4)[..., 0]
    assert picture.max() == pytest.approx(100.0 * (AMBIENT + DIFFUSE), rel=1e-4)
    covered = picture.sum() / picture.max()
    assert covered == pytest.approx(2.0 * 8.0 * 2.0 * 9.0, rel=0.03)


def test_the_nearer_surface_is_seen_whatever_the_order() -> None:
    near, far = square((0.0, 0.0, -10.0), 0.5), square((0.0, 0.0, -12.0), 2.0)
    texture = WHITE.copy()
    texture[:, 4:] = 200.0
    for first, second in ((near, far), (far, near)):
        texels = np.concatenate([np.full((4, 2), 1.0 if part is near else 6.0) for part in (first, second)])
        both = Mesh(
            np.concatenate([first.vertices, second.vertices]),
            np.concatenate([first.normals, second.normals]),
            texels,
            np.concatenate([first.triangles, second.triangles + 4]),
        )
        picture = draw(both, texture, BLACK, CAMERA)[..., 0]
        middle = (round(48 * 0.55), round(64 * 0.45))
        assert picture[middle] == pytest.approx(100.0 * (AMBIENT + DIFFUSE), rel=1e-4)


def test_back_faces_are_not_drawn() -> None:
    mesh = square((0.0, 0.0, -10.0), 1.0)
    turned = Mesh(mesh.vertices, mesh.normals, mesh.texels, mesh.triangles[:, ::-1])
    np.testing.assert_array_equal(draw(turned, WHITE, BLACK, CAMERA), BLACK)


def test_a_sheet_of_small_triangles_has_no_holes() -> None:
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.linspace(-9, 9, 60), np.linspace(9, -9, 60)), axis=-1)
    grid[1:-1, 1:-1] += random.uniform(-0.1, 0.1, (58, 58, 2))
    vertices = np.concatenate([grid.reshape(-1, 2), np.full((3600, 1), -10.0)], axis=1)
    index = np.arange(3600).reshape(60, 60)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    triangles = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    mesh = Mesh(vertices, np.tile(LIGHT_DIRECTION, (3600, 1)), np.full((3600, 2), 3.0), triangles)
    assert draw(mesh, WHITE, BLACK, CAMERA).min() == pytest.approx(100.0 * (AMBIENT + DIFFUSE), rel=1e-4)


def test_welded_vertices_share_a_normal() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 1, 0], [-1, 0, -1]], dtype=float)
    triangles = np.array([[0, 1, 2], [3, 4, 5]])
    normals = vertex_normals(vertices, triangles, np.array([0, 1, 2, 0, 2, 5]))
    np.testing.assert_allclose(normals[0], normals[3])
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)
    np.testing.assert_allclose(normals[1], [0, 0, 1])
