"""The canonical face mesh that comes inside MediaPipe's `face_landmarker.task`."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from nerface.errors import UserError

VERTEX_COUNT = 468
_MEMBER = "geometry_pipeline_metadata_landmarks.binarypb"
# Field numbers of the messages that lie in the member (MediaPipe's face_geometry protos): the metadata holds the mesh
# in field 1; a mesh holds a flat float buffer (x, y, z in cm, then the texture's u, v) and a flat index buffer.
_METADATA_MESH = 1
_MESH_VERTEX_BUFFER = 3
_MESH_INDEX_BUFFER = 4
_FLOATS_PER_VERTEX = 5


@dataclass(frozen=True)
class CanonicalFace:
    """A generic face: `vertices` [468, 3] in cm and `triangles` [T, 3], counter-clockwise seen from outside.

    Axes are those of head space: x to the right of the picture, y up, z out of the face to the camera. Vertex k is the
    place that landmark k of the landmark net marks; landmarks 468 to 477 (irises) have no vertex.
    """

    vertices: Float[np.ndarray, "468 3"]
    triangles: Int[np.ndarray, "triangles 3"]


def read_canonical_face(task_file: Path | str) -> CanonicalFace:
    """Read the canonical face from a `.task` file (a zip whose member is a MediaPipe geometry metadata message).

    Raises `UserError` where the file is missing, is not a zip, has no such member, or the member is not a mesh of 468
    vertices.
    """
    task_file = Path(task_file)
    try:
        payload = _member(task_file.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {task_file}: {error.strerror or error}") from None
    except zipfile.BadZipFile:
        raise UserError(f"{task_file} is not a .task file (a zip): fetch the weights again") from None
    if payload is None:
        raise UserError(f"{task_file} holds no {_MEMBER}: is it the face_landmarker.task file?")
    try:
        return _face(payload)
    except (ValueError, struct.error):
        raise UserError(f"{task_file}: its canonical face cannot be read: fetch the weights again") from None


def _member(data: bytes) -> bytes | None:
    """The mesh member of a zip, looked for in zips inside it as well (older bundles nest them)."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if name.rsplit("/", 1)[-1] == _MEMBER:
                return archive.read(name)
        for name in archive.namelist():
            if name.endswith((".task", ".zip")):
                found = _member(archive.read(name))
                if found is not None:
                    return found
    return None


def _face(payload: bytes) -> CanonicalFace:
    mesh = next((value for number, value in _fields(payload) if number == _METADATA_MESH), None)
    if not isinstance(mesh, bytes):
        raise ValueError("no mesh")
    floats: list[float] = []
    indices: list[int] = []
    for number, value in _fields(mesh):
        if number == _MESH_VERTEX_BUFFER:
            # One float, or many where the writer packed them: bytes either way.
            floats.extend(item[0] for item in struct.iter_unpack("<f", _as_bytes(value)))
        elif number == _MESH_INDEX_BUFFER:
            indices.extend([value] if isinstance(value, int) else _varints(value))
    vertices = np.array(floats, dtype=np.float64).reshape(-1, _FLOATS_PER_VERTEX)[:, :3]
    triangles = np.array(indices, dtype=np.int64).reshape(-1, 3)
    if vertices.shape[0] != VERTEX_COUNT or triangles.size == 0 or triangles.max() >= VERTEX_COUNT:
        raise ValueError("not the mesh of 468 vertices")
    if not np.isfinite(vertices).all():
        raise ValueError("a vertex is not finite")
    return CanonicalFace(np.ascontiguousarray(vertices), triangles)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a protobuf message: an int for a varint, raw bytes for every other wire type."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + length > len(data):
            raise ValueError("the message ends early")
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A base-128 number at `at`, low groups first, and the place after it."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("broken number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _varints(data: bytes) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values


def _as_bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where floats belong")
    return value
