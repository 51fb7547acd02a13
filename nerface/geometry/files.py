"""Meshes and point clouds as PLY and GLB files, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from nerface.errors import UserError
from nerface.files import whole_file
from nerface.geometry.shapes import Mesh, Points

MESH_ENDINGS = (".ply", ".glb")
POINT_ENDINGS = (".ply",)
UNLIT = "KHR_materials_unlit"
AXES = "x to the right of the picture, y up, z out of the face"


def check_output(path: Path, points: bool = False) -> None:
    """Raise `UserError` where `path` has no known ending, exists already, or needs a package that is not there."""
    known, what = (POINT_ENDINGS, "a point cloud") if points else (MESH_ENDINGS, "a mesh")
    if path.suffix.lower() not in known:
        raise UserError(f"{path}: {what} is written as {' or '.join(known)}, choose such a name")
    if path.exists():
        raise UserError(f"{path} exists already and nothing is overwritten: choose another name")
    if path.suffix.lower() == ".glb":
        _trimesh()


def write_mesh(path: Path, mesh: Mesh, note: str = AXES) -> None:
    """Write `mesh` to a new PLY or GLB file; `note` says in it what axes and unit are.

    Raises `UserError` as `check_output` does.
    """
    check_output(path)
    content = _ply(mesh.vertices, mesh.colours, mesh.normals, mesh.faces, note)
    if path.suffix.lower() == ".glb":
        content = _glb(mesh, note)
    with whole_file(path) as partial:
        partial.write_bytes(content)


def write_points(path: Path, points: Points, note: str = AXES) -> None:
    """Write `points` to a new PLY file; see `write_mesh`."""
    check_output(path, points=True)
    with whole_file(path) as partial:
        partial.write_bytes(_ply(points.positions, points.colours, points.normals, None, note))


def _ply(positions: np.ndarray, colours: np.ndarray, normals: np.ndarray, faces: np.ndarray | None, note: str) -> bytes:
    """Binary PLY 1.0 (Turk 1994), little-endian, with the property names that viewers know."""
    row = [("position", "<f4", 3), ("normal", "<f4", 3), ("colour", "u1", 3)]
    vertices = np.empty(len(positions), dtype=row)
    vertices["position"], vertices["normal"], vertices["colour"] = positions, normals, colours
    names = [f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")]
    names += [f"property uchar {name}" for name in ("red", "green", "blue")]
    header = ["ply", "format binary_little_endian 1.0", f"comment {note}", f"element vertex {len(positions)}", *names]
    body = vertices.tobytes()
    if faces is not None:
        triangles = np.empty(len(faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
        triangles["count"], triangles["corners"] = 3, faces
        header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
        body += triangles.tobytes()
    return ("\n".join([*header, "end_header"]) + "\n").encode("ascii") + body


def _glb(mesh: Mesh, note: str) -> bytes:
    """glTF 2.0, binary: vertex colours in linear light as the format wants, unlit, for their light is the video's."""
    trimesh = _trimesh()
    body = trimesh.Trimesh(
        mesh.vertices, mesh.faces, vertex_normals=mesh.normals, vertex_colors=_linear(mesh.colours), process=False
    )

    def unlit(tree: dict[str, Any]) -> None:
        matte = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
        tree["materials"] = [{"pbrMetallicRoughness": matte, "extensions": {UNLIT: {}}}]
        tree["extensionsUsed"] = [UNLIT]
        tree["asset"]["extras"] = {"note": note}
        for shape in tree["meshes"]:
            for primitive in shape["primitives"]:
                primitive["material"] = 0

    content = trimesh.exchange.gltf.export_glb(body.scene(), include_normals=True, tree_postprocessor=unlit)
    return bytes(content)


def _linear(colours: UInt8[np.ndarray, "vertices 3"]) -> UInt8[np.ndarray, "vertices 4"]:
    """sRGB as linear light (IEC 61966-2-1), 8 bits, opaque."""
    value = np.arange(256) / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    table = np.rint(linear * 255.0).astype(np.uint8)
    return np.concatenate([table[colours], np.full((len(colours), 1), 255, dtype=np.uint8)], axis=1)


def _trimesh() -> Any:
    try:
        import trimesh
        import trimesh.exchange.gltf
    except ImportError:
        raise UserError(
            "GLB files need the package trimesh: pip install 'nerface[mesh]', or write a .ply, which needs nothing"
        ) from None
    return trimesh
