"""The canonical face out of the `.task` file, and files that are not one."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nerface.capture.canonical import read_canonical_face
from nerface.errors import UserError

MEMBER = "geometry_pipeline_metadata_landmarks.binarypb"


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def chunk(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def mesh_message(vertices: np.ndarray, triangles: np.ndarray, packed: bool) -> bytes:
    """A geometry metadata message with the mesh alone, its lists packed or one by one."""
    floats = np.concatenate([vertices, np.zeros((len(vertices), 2))], axis=1).astype("<f4").reshape(-1)
    if packed:
        mesh = chunk(3, floats.tobytes()) + chunk(4, b"".join(varint(int(i)) for i in triangles.reshape(-1)))
    else:
        mesh = b"".join(varint(3 << 3 | 5) + struct.pack("<f", value) for value in floats)
        mesh += b"".join(varint(4 << 3) + varint(int(i)) for i in triangles.reshape(-1))
    # Fields the reader does not know, of other wire types, are passed over.
    return chunk(7, b"unknown") + chunk(1, varint(1 << 3) + varint(0) + mesh) + varint(9 << 3 | 1) + bytes(8)


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_reads_packed_and_nested_forms(tmp_path: Path, packed: bool, nested: bool) -> None:
    rng = np.random.default_rng(1)
    vertices, triangles = rng.normal(size=(468, 3)), rng.integers(0, 468, (898, 3))
    data = zipped({"a.tflite": b"x", MEMBER: mesh_message(vertices, triangles, packed)})
    if nested:
        data = zipped({"inner.task": data})
    file = tmp_path / "some.task"
    file.write_bytes(data)
    face = read_canonical_face(file)
    np.testing.assert_allclose(face.vertices, vertices, atol=1e-6)
    np.testing.assert_array_equal(face.triangles, triangles)


@pytest.mark.parametrize(
    "data",
    [
        b"not a zip",
        zipped({"face_detector.tflite": b"x"}),
        zipped({MEMBER: b"\x0a\xff\xff"}),
        zipped({MEMBER: mesh_message(np.zeros((5, 3)), np.zeros((1, 3), int), packed=True)}),
        zipped({MEMBER: mesh_message(np.zeros((468, 3)), np.full((1, 3), 468), packed=True)}),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "bad.task"
    file.write_bytes(data)
    with pytest.raises(UserError) as fault:
        read_canonical_face(file)
    assert str(file) in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.task"):
        read_canonical_face(tmp_path / "none.task")


def test_the_real_face_has_the_axes_of_head_space(shared: Path) -> None:
    face = read_canonical_face(shared / "models" / "face_landmarker.task")
    assert face.vertices.shape == (468, 3)
    assert face.triangles.shape == (898, 3)
    nose, chin, forehead = (face.vertices[i] for i in (1, 152, 10))
    right_eye, left_eye = face.vertices[33], face.vertices[263]  # the subject's: its right is left in the picture
    assert right_eye[0] < 0 < left_eye[0]
    assert chin[1] < nose[1] < forehead[1]
    assert nose[2] > right_eye[2]
    corners = face.vertices[face.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.mean(normals[:, 2] > 0) > 0.95  # outwards
