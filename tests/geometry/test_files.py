"""PLY and GLB files, read back by another program's reader."""

from __future__ import annotations

import json
import struct
import sys

import numpy as np
import pytest
import trimesh

from nerface.errors import UserError
from nerface.geometry import MeshOptions, Points, check_output, extract_mesh, write_mesh, write_points
from tests.geometry.solids import DENSITY, NOTHING, Solid

RADII = np.array([0.06, 0.12, 0.09])


@pytest.fixture(scope="module")
def mesh():
    return extract_mesh(Solid((((0, 0, 0), tuple(RADII)),)), NOTHING, MeshOptions(64, DENSITY / 2, 0.14))


def check_shape(body, mesh):
    assert body.vertices.shape == mesh.vertices.shape
    assert np.allclose(body.vertices, mesh.vertices, atol=1e-7)
    assert np.array_equal(body.faces, mesh.faces)
    assert np.allclose(body.vertex_normals, mesh.normals, atol=1e-5)
    assert body.is_watertight
    assert body.volume == pytest.approx(4 / 3 * np.pi * RADII.prod(), rel=0.02)


def test_a_ply_holds_the_mesh(mesh, tmp_path):
    write_mesh(tmp_path / "a.ply", mesh, "unit: head")
    body = trimesh.load(tmp_path / "a.ply", process=False)
    check_shape(body, mesh)
    assert np.array_equal(body.visual.vertex_colors[:, :3], mesh.colours)
    head = (tmp_path / "a.ply").read_bytes().split(b"end_header")[0].decode()
    assert head.splitlines()[:3] == ["ply", "format binary_little_endian 1.0", "comment unit: head"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.ply"]


def test_a_glb_holds_the_mesh_with_linear_colours(mesh, tmp_path):
    write_mesh(tmp_path / "a.glb", mesh, "unit: head")
    scene = trimesh.load(tmp_path / "a.glb", process=False)
    (body,) = scene.geometry.values()
    check_shape(body, mesh)
    linear = body.visual.vertex_attributes["color"][:, :3] / 255.0
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    bright = mesh.colours > 60  # below that, 8 linear bits are coarse
    assert np.abs(srgb * 255 - mesh.colours)[bright].max() < 3
    content = (tmp_path / "a.glb").read_bytes()
    length = struct.unpack_from("<I", content, 12)[0]
    tree = json.loads(content[20 : 20 + length])
    assert tree["asset"]["version"] == "2.0"
    assert tree["asset"]["extras"]["note"] == "unit: head"
    assert tree["extensionsUsed"] == ["KHR_materials_unlit"]
    assert tree["meshes"][0]["primitives"][0]["material"] == 0


def test_a_ply_holds_points(tmp_path):
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(50, 3)).astype(np.float32)
    normals = (positions / np.linalg.norm(positions, axis=1, keepdims=True)).astype(np.float32)
    points = Points(positions, rng.integers(0, 256, (50, 3)).astype(np.uint8), normals)
    write_points(tmp_path / "a.ply", points)
    cloud = trimesh.load(tmp_path / "a.ply", process=False)
    assert np.array_equal(cloud.vertices.astype(np.float32), positions)
    assert np.array_equal(cloud.colors[:, :3], points.colours)
    stored = cloud.metadata["_ply_raw"]["vertex"]["data"]
    assert np.array_equal(np.stack([stored[name] for name in ("nx", "ny", "nz")], axis=1).reshape(50, 3), normals)


def test_a_file_that_is_there_is_kept(mesh, tmp_path):
    (tmp_path / "a.ply").write_text("mine")
    with pytest.raises(UserError, match="nothing is overwritten"):
        write_mesh(tmp_path / "a.ply", mesh)
    assert (tmp_path / "a.ply").read_text() == "mine"


@pytest.mark.parametrize(("name", "points"), [("a.obj", False), ("a", False), ("a.glb", True), ("a.xyz", True)])
def test_unknown_endings_are_refused(name, points, tmp_path):
    with pytest.raises(UserError, match=r"is written as \.ply"):
        check_output(tmp_path / name, points)


def test_a_glb_without_trimesh_names_the_extra_and_a_ply_needs_none(mesh, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(UserError, match=r"pip install 'nerface\[mesh\]'"):
        check_output(tmp_path / "a.glb")
    with pytest.raises(UserError, match=r"pip install 'nerface\[mesh\]'"):
        write_mesh(tmp_path / "a.glb", mesh)
    write_mesh(tmp_path / "a.ply", mesh)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ply"]
