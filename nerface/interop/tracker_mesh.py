"""A tracker's mean face as triangles: read from a file, and drawn from a dataset's cameras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from nerface.errors import UserError
from nerface.sample.raster import Mesh, draw, vertex_normals
from nerface.types import Intrinsics

MESH_ENDINGS = (".obj", ".ply", ".off")
CM_PER_UNIT = 100.0  # the rasteriser wants depths well over 1
MOST_TRIANGLES = 500_000  # the rasteriser numbers them with 20 bits, and each is drawn from both sides
SKIN = np.array([[[150.0, 190.0, 235.0]]])
RIM_PX = 4.0  # how far in from the outermost vertex triangles are drawn when only the box is asked for
MESH_SHARE = 0.8  # of the mesh over the photograph, as in the seed's debug pictures


@dataclass(frozen=True)
class FaceMesh:
    """The mean face in head space: `vertices` [V, 3] in head units, `triangles` [T, 3], vertex `normals` [V, 3]."""

    vertices: Float[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "triangles 3"]
    normals: Float[np.ndarray, "vertices 3"]


def read_face_mesh(file: Path, scale: float) -> FaceMesh:
    """The mesh at `file` (.obj, .ply or .off), its coordinates times `scale` (into head units).

    Raises `UserError` where the file is missing, is no mesh or has too many triangles, or where trimesh is not
    installed.
    """
    try:
        import trimesh
    except ImportError:
        raise UserError("reading a mesh needs the package trimesh: pip install 'nerface[mesh]'") from None
    if file.suffix.lower() not in MESH_ENDINGS:
        raise UserError(f"{file}: a mesh ending in {', '.join(MESH_ENDINGS)} is needed")
    if not file.is_file():
        raise UserError(f"{file} is missing")
    try:
        found: Any = trimesh.load(str(file), force="mesh", process=False)
        vertices = np.asarray(found.vertices, dtype=np.float64)
        triangles = np.asarray(found.faces, dtype=np.int64)
    except Exception as error:  # trimesh raises whatever its readers stumble on
        raise UserError(f"{file} does not read as a mesh: {' '.join(str(error).split())[:200]}") from None
    return face_mesh(vertices, triangles, scale, str(file))


def face_mesh(
    vertices: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "triangles 3"], scale: float, where: str
) -> FaceMesh:
    """A mesh from its parts, checked; `where` names it in errors."""
    if len(vertices) == 0 or len(triangles) == 0 or not np.isfinite(vertices).all():
        raise UserError(f"{where} holds no triangles, or a vertex that is not finite")
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        raise UserError(f"{where}: a triangle names a vertex that is not there")
    if len(triangles) > MOST_TRIANGLES:
        raise UserError(f"{where} has {len(triangles)} triangles, at most {MOST_TRIANGLES} can be drawn: simplify it")
    scaled = vertices * scale
    return FaceMesh(scaled, triangles, vertex_normals(scaled, triangles, np.arange(len(scaled))))


def in_camera(points: Float[np.ndarray, "points 3"], pose: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "points 3"]:
    """Head-space points in camera axes (x right, y up, looking along -z)."""
    return np.linalg.solve(pose[:3, :3], (points - pose[:3, 3]).T).T


def mesh_extent(
    mesh: FaceMesh, pose: Float[np.ndarray, "4 4"], intrinsics: Intrinsics
) -> Float[np.ndarray, " 4"] | None:
    """[first row, last row + 1, first column, last column + 1], in pixels, of the mesh in the picture; None: unseen.

    The seed renders the mesh on white and looks for the pixels that are not. Here too, but at first with those
    triangles alone that can hold the outermost pixels: all of them take a hundred times as long.
    """
    local = in_camera(mesh.vertices, pose)
    if local[:, 2].max() >= 0:
        return None  # reaches behind the camera
    size = np.array([intrinsics.width, intrinsics.height])
    screen = _screen(local, intrinsics)
    low, high = np.maximum(screen.min(axis=0), 0), np.minimum(screen.max(axis=0), size - 1)
    corners = screen[mesh.triangles]  # [T, 3, 2]
    outer = (corners.min(axis=1) < low + RIM_PX) | (corners.max(axis=1) > high - RIM_PX)
    box = _covered(local, mesh.triangles[outer.any(axis=1)], intrinsics)
    # A side that lies further in than the rim reaches may really be another triangle's.
    if box is None or (box[[2, 0]] > low + RIM_PX - 1).any() or (box[[3, 1]] < high - RIM_PX + 2).any():
        box = _covered(local, mesh.triangles, intrinsics)
    return box


def _screen(local: Float[np.ndarray, "vertices 3"], intrinsics: Intrinsics) -> Float[np.ndarray, "vertices 2"]:
    depth = -local[:, 2]
    u = intrinsics.fx * local[:, 0] / depth + intrinsics.width * intrinsics.cx
    v = -intrinsics.fy * local[:, 1] / depth + intrinsics.height * intrinsics.cy
    return np.stack([u, v], axis=1)


def _covered(
    local: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "triangles 3"], intrinsics: Intrinsics
) -> Float[np.ndarray, " 4"] | None:
    """The box of pixels whose centres lie on one of the triangles."""
    white = np.full((1, 1, 3), 255.0)
    picture = draw(_both_sides(local, np.zeros_like(local), triangles), np.zeros((1, 1, 3)), white, intrinsics, 1)
    dark = picture[:, :, 0] < 255
    if not dark.any():
        return None
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    return np.array([rows[0], rows[-1] + 1, columns[0], columns[-1] + 1], dtype=np.float64)


def _both_sides(
    local: Float[np.ndarray, "vertices 3"],
    normals: Float[np.ndarray, "vertices 3"],
    triangles: Int[np.ndarray, "triangles 3"],
) -> Mesh:
    """For the rasteriser, which leaves out backs: which side is the back depends on the file and on the sign of fx."""
    both = np.concatenate([triangles, triangles[:, ::-1]])
    return Mesh(local * CM_PER_UNIT, normals, np.zeros((len(local), 2)), both)


def mesh_over(
    image: UInt8[np.ndarray, "height width 3"],
    mesh: FaceMesh,
    pose: Float[np.ndarray, "4 4"],
    intrinsics: Intrinsics,
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture with the shaded mesh over it, four fifths opaque; unchanged where it reaches behind the camera."""
    local = in_camera(mesh.vertices, pose)
    if local[:, 2].max() >= 0:
        return image
    normals = mesh.normals @ np.linalg.inv(pose[:3, :3]).T
    normals *= np.where(normals[:, 2:] < 0, -1.0, 1.0)  # lit as seen, whatever way the file's triangles turn
    shaded = draw(_both_sides(local, normals, mesh.triangles), SKIN, image.astype(np.float64), intrinsics, 1)
    return np.rint(MESH_SHARE * shaded + (1 - MESH_SHARE) * image).astype(np.uint8)
