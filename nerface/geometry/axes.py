"""From head space to the axes and units that other programs expect."""

from __future__ import annotations

from typing import overload

import numpy as np

from nerface.fields.base import Subject
from nerface.geometry.shapes import Mesh, Points


def is_mirrored(subject: Subject) -> bool:
    """Whether head space is a mirror image of the person.

    A picture shows the world the right way round. Rays that run against the picture (fx < 0, as in the seed's datasets)
    turn it over, and so does a pose whose rotation has a negative determinant; two turns cancel (spec 1.3).
    """
    determinant = np.linalg.det(np.array(subject.rest_pose, dtype=np.float64)[:3, :3])
    return bool(subject.intrinsics.fx * subject.intrinsics.fy * determinant < 0)


@overload
def placed(shape: Mesh, *, mirror: bool = False, scale: float = 1.0) -> Mesh: ...


@overload
def placed(shape: Points, *, mirror: bool = False, scale: float = 1.0) -> Points: ...


def placed(shape: Mesh | Points, *, mirror: bool = False, scale: float = 1.0) -> Mesh | Points:
    """`shape` with x turned over where `mirror`, and lengths multiplied by `scale`.

    Head space with x to the right of the picture, y up and z out of the face is what glTF asks for up to scale (y up,
    front towards +z), so axes are never swapped. The mirror swaps corners of triangles too: outside stays outside.
    """
    signs = np.array([-1.0 if mirror else 1.0, 1.0, 1.0], dtype=np.float32)
    normals, lengths = shape.normals * signs, signs * np.float32(scale)
    if isinstance(shape, Points):
        return Points(shape.positions * lengths, shape.colours, normals)
    faces = shape.faces[:, ::-1].copy() if mirror else shape.faces
    return Mesh(shape.vertices * lengths, faces, shape.colours, normals)
