"""Meshes of solids whose shape, size and colours are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from nerface.errors import UserError
from nerface.geometry import MeshOptions, choose_level, extract_mesh
from nerface.geometry.level import WALL
from nerface.geometry.surface import vertex_normals
from tests.geometry.solids import DENSITY, NOTHING, SKIN, Solid, sphere

FINE = MeshOptions(resolution=112, level=DENSITY / 2, extent=0.14, whole_box=True)  # voxels of 0.0025
RADII = np.array([0.06, 0.12, 0.09])
CENTRE = np.array([0.02, -0.01, 0.03])


def solid_of(mesh):
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


class Counter:
    """A `Progress` that remembers."""

    def __init__(self):
        self.tasks: list[list] = []

    def start(self, task, total):
        self.tasks.append([task, total, 0])

    def advance(self, steps=1, note=""):
        self.tasks[-1][2] += steps


def test_a_sphere_has_its_radius_volume_and_outward_faces():
    mesh = extract_mesh(sphere(), NOTHING, FINE)
    body = solid_of(mesh)
    assert body.is_watertight
    assert body.is_winding_consistent
    assert body.volume == pytest.approx(4 / 3 * math.pi * 0.1**3, rel=0.01)  # head units; positive: faces look outwards
    radius = np.linalg.norm(mesh.vertices, axis=1)
    assert np.abs(radius - 0.1).max() < 0.0003  # an eighth of a voxel
    error = np.degrees(np.arccos(np.clip((mesh.normals * mesh.vertices).sum(1) / radius, -1, 1)))
    assert error.mean() < 1.2
    assert error.max() < 3.0


def test_an_ellipsoid_has_its_axes_place_normals_and_colours():
    mesh = extract_mesh(Solid(((tuple(CENTRE), tuple(RADII)),)), NOTHING, FINE)
    assert solid_of(mesh).volume == pytest.approx(4 / 3 * math.pi * RADII.prod(), rel=0.02)
    assert np.abs(mesh.vertices.max(0) - (CENTRE + RADII)).max() < 0.002
    assert np.abs(mesh.vertices.min(0) - (CENTRE - RADII)).max() < 0.002
    wanted = (mesh.vertices - CENTRE) / RADII**2
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    error = np.degrees(np.arccos(np.clip((mesh.normals * wanted).sum(1), -1, 1)))
    assert error.mean() < 1.3
    assert error.max() < 5.0
    assert np.abs(mesh.colours / 255 - (0.5 + 2 * mesh.vertices)).max() < 0.02


def test_normals_are_unit_and_point_out_of_a_tetrahedron():
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    normals = vertex_normals(corners, faces)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    assert np.allclose(normals[0], -np.ones(3) / math.sqrt(3))
    assert np.allclose(normals[1], [1, 0, 0])  # the slanted face cancels what the two beside it have across


def test_the_level_moves_the_surface_where_the_density_says():
    for level in (0.2 * DENSITY, 0.8 * DENSITY):
        mesh = extract_mesh(sphere(), NOTHING, MeshOptions(120, level, 0.13, whole_box=True))
        radius = 0.1 - SKIN * (level / DENSITY - 0.5)
        assert np.linalg.norm(mesh.vertices, axis=1).mean() == pytest.approx(radius, abs=0.0004)


def test_the_default_level_is_a_wall_for_solids_and_lower_for_haze():
    solid = sphere()
    assert choose_level(solid, NOTHING) == pytest.approx(WALL)
    assert pytest.approx(math.log(2) / 0.01) == WALL
    full = solid.query
    solid.query = lambda *words: (0.05 * full(*words)[0], full(*words)[1])  # 20 per head unit deep inside
    level = choose_level(solid, NOTHING)
    assert 4 < level < 10.5
    mesh = extract_mesh(solid, NOTHING, MeshOptions(resolution=60))
    assert np.linalg.norm(mesh.vertices, axis=1).mean() == pytest.approx(0.1, abs=0.004)


def test_the_largest_piece_is_kept_unless_all_are_asked_for():
    two = Solid((((-0.1, 0, 0), (0.06, 0.06, 0.06)), ((0.1, 0, 0), (0.04, 0.04, 0.04))))
    options = MeshOptions(80, DENSITY / 2, whole_box=True)
    one = extract_mesh(two, NOTHING, options)
    assert one.vertices[:, 0].max() < 0
    assert len(solid_of(one).split()) == 1
    both = extract_mesh(two, NOTHING, replace(options, all_parts=True))
    assert len(solid_of(both).split()) == 2
    assert both.vertices[:, 0].max() == pytest.approx(0.14, abs=0.002)


def test_only_what_the_rest_pose_shows_is_meshed_and_the_cut_is_closed():
    # At z = -0.2 the picture of the camera at z = 0.5 ends 0.35 to the sides; this rod is longer than that.
    rod = Solid((((0, 0, -0.2), (0.6, 0.03, 0.03)),))
    mesh = extract_mesh(rod, NOTHING, MeshOptions(120, DENSITY / 2, 0.5))
    assert solid_of(mesh).is_watertight
    ends = mesh.vertices[:, 0].min(), mesh.vertices[:, 0].max()
    inner, pose = rod.camera.intrinsics, rod.camera.camera_to_head
    assert pose[2, 3] == 0.5
    left, right = (-0.5 - inner.width * inner.cx) / inner.fx, (inner.width - 0.5 - inner.width * inner.cx) / inner.fx
    voxel = 1.0 / 120
    assert ends[0] == pytest.approx(0.7 * left, abs=0.03 * abs(left) + voxel)  # the rod's own thickness, and a voxel
    assert ends[1] == pytest.approx(0.7 * right, abs=0.03 * right + voxel)
    whole = extract_mesh(rod, NOTHING, MeshOptions(120, DENSITY / 2, 0.5, whole_box=True))
    assert whole.vertices[:, 0].max() == pytest.approx(0.5, abs=1e-3)  # cut by the box, at its place
    assert solid_of(whole).is_watertight


def test_colours_are_those_seen_from_the_front():
    solid = sphere()
    extract_mesh(solid, NOTHING, MeshOptions(20, DENSITY / 2, whole_box=True))
    asked = torch.cat([sight for sight in solid.asked if sight is not None])
    assert (asked[:, 2] + 1).abs().max() < 1e-5  # as rays are drawn: of depth 1 along the camera's axis
    assert asked[:, :2].abs().max() < 0.3


def test_smoothing_takes_bumps_away_and_keeps_the_size():
    class Bumpy(Solid):
        def inside(self, points):
            return super().inside(points) + 0.003 * torch.sin(400 * points).sum(-1)

    rough, smooth = (
        extract_mesh(Bumpy(), NOTHING, MeshOptions(80, DENSITY / 2, 0.13, whole_box=True, smooth=width))
        for width in (0.0, 2.0)
    )
    rough_radius, smooth_radius = (np.linalg.norm(mesh.vertices, axis=1) for mesh in (rough, smooth))
    assert smooth_radius.std() < 0.6 * rough_radius.std()
    assert smooth_radius.mean() == pytest.approx(0.1, abs=0.003)


def test_progress_counts_every_chunk():
    counter = Counter()
    extract_mesh(sphere(), NOTHING, MeshOptions(64, whole_box=True), counter)
    assert [task for task, _, _ in counter.tasks] == ["asking the field", "asking for colours"]
    assert all(done == total > 0 for _, total, done in counter.tasks)


def test_nothing_above_the_level_names_the_densest_value():
    with pytest.raises(UserError, match=r"1e\+04 per head unit, the densest place has 400: try the level 2e\+02"):
        extract_mesh(sphere(), NOTHING, MeshOptions(24, 1e4))
    empty = Solid((((0, 0, 9.0), (0.1, 0.1, 0.1)),))
    with pytest.raises(UserError, match="the density is 0 everywhere"):
        extract_mesh(empty, NOTHING, MeshOptions(24))


def test_a_field_of_nan_is_told():
    solid = sphere()
    solid.query = lambda points, *rest: (points[:, 0] * math.nan, points)
    with pytest.raises(UserError, match="NaN or infinity"):
        extract_mesh(solid, NOTHING, MeshOptions(16, 10.0))


def test_a_camera_that_looks_away_is_told():
    solid = sphere()
    pose = torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0]))
    pose[2, 3] = 0.5
    solid.subject.rest_pose = pose.tolist()
    with pytest.raises(UserError, match="give a larger extent"):
        extract_mesh(solid, NOTHING, MeshOptions(16, 10.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"resolution": 7},
        {"resolution": 5000},
        {"level": 0.0},
        {"level": math.nan},
        {"extent": -1.0},
        {"smooth": -1.0},
        {"smooth": math.nan},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UserError, match=r"makes no sense: give"):
        MeshOptions(**wrong)
