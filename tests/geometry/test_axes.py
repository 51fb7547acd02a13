"""Left is left in the files, whatever the sign of fx."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from nerface.cameras import project
from nerface.geometry import MeshOptions, PointOptions, extract_mesh, extract_points, is_mirrored, placed
from tests.geometry.solids import DENSITY, NOTHING, Solid

# A head with one ear, to the right of the picture.
HEAD = ((0.0, 0.0, 0.0), (0.08, 0.1, 0.08))


def one_eared(fx_sign, pose_sign):
    """The ear is where the picture's right is: at negative x in the mirrored head space."""
    camera_right = fx_sign * pose_sign
    return Solid((HEAD, ((0.09 * camera_right, 0.02, 0.0), (0.03, 0.03, 0.02))), fx_sign=fx_sign, pose_sign=pose_sign)


CASES = [(1, 1, False), (-1, 1, True), (-1, -1, False), (1, -1, True)]


@pytest.mark.parametrize(("fx_sign", "pose_sign", "mirrored"), CASES)
def test_a_one_eared_head_has_its_ear_on_the_right_side(fx_sign, pose_sign, mirrored):
    solid = one_eared(fx_sign, pose_sign)
    assert is_mirrored(solid.subject) == mirrored
    raw = extract_mesh(solid, NOTHING, MeshOptions(64, DENSITY / 2, 0.14))
    ear = np.abs(raw.vertices[:, 0]).argmax()
    place = project(solid.camera, solid.camera.camera_to_head.new_tensor(raw.vertices[ear : ear + 1]))
    assert place[0, 0] > solid.camera.intrinsics.width * solid.camera.intrinsics.cx  # the picture's right half
    mesh = placed(raw, mirror=is_mirrored(solid.subject))
    assert mesh.vertices[:, 0].max() == pytest.approx(0.12, abs=0.003)
    assert mesh.vertices[:, 0].min() == pytest.approx(-0.08, abs=0.003)
    body = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert body.is_winding_consistent
    assert body.volume > 0  # also after the mirror
    agreement = (mesh.normals * body.vertex_normals).sum(axis=1)  # trimesh's are weighted by angle
    assert agreement.min() > 0.8  # in the crease behind the ear
    assert agreement.mean() > 0.995
    colour_of_ear = mesh.colours[np.abs(mesh.vertices[:, 0]).argmax()]
    assert np.array_equal(colour_of_ear, raw.colours[ear])


@pytest.mark.parametrize(("fx_sign", "pose_sign", "mirrored"), CASES)
def test_points_are_turned_over_too(fx_sign, pose_sign, mirrored):
    solid = one_eared(fx_sign, pose_sign)
    points = placed(extract_points(solid, NOTHING, PointOptions(pixels=40)), mirror=mirrored)
    assert points.positions[:, 0].max() > 0.1
    assert points.positions[:, 0].min() > -0.09
    right = points.positions[:, 0] > 0.1
    assert points.normals[right, 0].mean() > 0.3


def test_scale_touches_lengths_alone():
    mesh = extract_mesh(one_eared(1, 1), NOTHING, MeshOptions(32, extent=0.14))
    scaled = placed(mesh, scale=1 / 0.012)
    assert np.allclose(scaled.vertices, mesh.vertices / 0.012, rtol=1e-5)
    assert np.array_equal(scaled.normals, mesh.normals)
    assert np.array_equal(scaled.faces, mesh.faces)
    assert np.array_equal(scaled.colours, mesh.colours)
