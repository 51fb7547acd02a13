"""Boxes of tracked frames: the rendered mean face with the seed's growth, landmarks, and a head of usual size."""

from __future__ import annotations

import numpy as np
import pytest

from nerface.errors import UserError
from nerface.interop.tracker_boxes import (
    boxes_of_faces,
    boxes_of_heads,
    boxes_of_landmarks,
    boxes_of_mesh,
    read_landmarks,
)
from nerface.interop.tracker_cameras import pose_scale, to_intrinsics, to_poses
from nerface.interop.tracker_mesh import mesh_over, read_face_mesh
from nerface.progress import SILENT
from tests.interop.tracker import INTRINSICS, RADII_M, write_tracker_folder

MICRO = 1e6


def ellipsoid(rings: int = 60, around: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """The head of the made clips as a mesh, in micrometres as the seed's mean face is."""
    polar, turn = np.meshgrid(np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, around), indexing="ij")
    unit = np.stack([np.sin(polar) * np.cos(turn), np.cos(polar), np.sin(polar) * np.sin(turn)], axis=-1)
    corner = np.arange(rings * around).reshape(rings, around)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    triangles = np.concatenate([np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    return unit.reshape(-1, 3) * RADII_M * MICRO, triangles


def write_mesh(path, vertices, triangles):
    lines = [" ".join(f"{value:.3f}" for value in vertex) for vertex in vertices]
    if path.suffix == ".off":
        rows = [f"OFF\n{len(vertices)} {len(triangles)} 0", *lines, *(f"3 {a} {b} {c}" for a, b, c in triangles)]
    else:
        rows = [f"v {line}" for line in lines] + [f"f {a} {b} {c}" for a, b, c in triangles + 1]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def tracked(tmp_path):
    return write_tracker_folder(tmp_path / "source", frames=6, size=(90, 70))


def converted(tracked):
    scale = pose_scale(tracked.rigid)
    return scale, to_poses(tracked.rigid, scale), to_intrinsics(INTRINSICS, tracked.size)


def test_growth_factors_by_hand():
    """A face in rows 40 to 60 and columns 20 to 40 of a picture of 200x100: 27 %, 15 % and 15 % around it."""
    boxes = boxes_of_faces(np.array([[40.0, 60.0, 20.0, 40.0]]), (200, 100))
    np.testing.assert_allclose(boxes.sampling, [[0.346, 0.63, 17 / 200, 43 / 200]])
    np.testing.assert_allclose(boxes.head, [[0.37, 0.6, 0.1, 0.2]])
    near_the_rim = boxes_of_faces(np.array([[2.0, 98.0, 0.0, 195.0]]), (200, 100))
    assert near_the_rim.sampling.tolist() == [[0, 1, 0, 1]]
    assert boxes_of_faces(np.full((1, 4), np.nan), (200, 100)).sampling.tolist() == [[0, 1, 0, 1]]


@pytest.mark.parametrize("ending", [".off", ".obj"])
def test_the_mean_faces_box_is_that_of_its_rendering(tracked, tmp_path, ending):
    """A mesh of the very head that was drawn: its box is the drawn pixels', and grows as the seed's does."""
    pytest.importorskip("trimesh")
    scale, poses, inner = converted(tracked)
    mesh = read_face_mesh(write_mesh(tmp_path / f"face{ending}", *ellipsoid()), 1e-6 * scale)
    boxes = boxes_of_mesh(mesh, poses, inner, SILENT)
    for row, mask in enumerate(tracked.masks):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        extent = np.array([rows[0], rows[-1] + 1, columns[0], columns[-1] + 1])
        tall, wide = extent[1] - extent[0], extent[3] - extent[2]
        grown = extent + np.array([-0.27 * tall, 0.15 * tall, -0.15 * wide, 0.15 * wide])
        expected = np.clip(grown, 0, [70, 70, 90, 90])
        assert np.abs(boxes.sampling[row] * [70, 70, 90, 90] - expected).max() <= 1.5  # a coarse mesh: one pixel


def test_a_head_half_out_of_the_picture_and_one_that_is_not_in_it(tracked, tmp_path):
    pytest.importorskip("trimesh")
    scale, poses, inner = converted(tracked)
    mesh = read_face_mesh(write_mesh(tmp_path / "face.off", *ellipsoid()), 1e-6 * scale)
    poses[0, :3, 3] += poses[0, :3, 0] * 0.09  # camera x, against the picture's
    poses[1, :3, 3] += poses[1, :3, 0]
    poses[2, :3, :3] = poses[2, :3, :3] @ np.diag([-1.0, 1.0, -1.0])  # looks away: the head is behind
    boxes = boxes_of_mesh(mesh, poses, inner, SILENT)
    assert boxes.head[0, 3] == 1.0
    assert 0.5 < boxes.head[0, 2] < 0.9
    assert boxes.sampling[1:3].tolist() == [[0, 1, 0, 1]] * 2


def test_the_mesh_covers_the_head_on_the_overlay(tracked, tmp_path):
    pytest.importorskip("trimesh")
    scale, poses, inner = converted(tracked)
    mesh = read_face_mesh(write_mesh(tmp_path / "face.off", *ellipsoid()), 1e-6 * scale)
    shown = mesh_over(tracked.plate, mesh, poses[3], inner)
    changed = (shown != tracked.plate).any(axis=2)
    assert (changed != tracked.masks[3]).mean() < 0.02
    assert changed.sum() > 200


def test_boxes_of_landmarks(tmp_path):
    points = np.array([[[20.0, 40.0], [39.0, 59.0], [30.0, 50.0]]])
    text, array = tmp_path / "points.txt", tmp_path / "points.npy"
    np.savetxt(text, points.reshape(1, -1), delimiter=", ")
    np.save(array, points)
    for file in (text, array):
        boxes = boxes_of_landmarks(read_landmarks(file, 1), (200, 100))
        np.testing.assert_allclose(boxes.sampling, [[0.346, 0.63, 17 / 200, 43 / 200]])
    with pytest.raises(UserError, match=r"points\.npy has shape \[1, 6\]: 2 rows"):
        read_landmarks(array, 2)
    np.save(array, np.array([{}]), allow_pickle=True)
    with pytest.raises(UserError, match=r"points\.npy is not a NumPy array file"):
        read_landmarks(array, 1)


def test_a_head_of_usual_size_lies_round_the_drawn_one(tracked):
    scale, poses, inner = converted(tracked)
    boxes = boxes_of_heads(poses, inner, scale)
    for box, mask in zip(boxes.head, tracked.masks):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        slack = 0.2  # it is 15 to 30 mm larger than the drawn one
        assert -0.01 < rows[0] / 70 - box[0] < slack
        assert -0.01 < columns[0] / 90 - box[2] < slack
        assert -0.03 < box[3] - columns[-1] / 90 < slack
    assert (boxes.sampling[:, ::2] <= boxes.head[:, ::2]).all()


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (None, "face.off", "is missing"),
        ("OFF\n", "face.off", "does not read as a mesh|holds no triangles"),
        ("solid", "face.stl", r"ending in \.obj, \.ply, \.off"),
    ],
)
def test_meshes_that_do_not_read(tmp_path, content, name, message):
    pytest.importorskip("trimesh")
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message) as fault:
        read_face_mesh(tmp_path / name, 1.0)
    assert "\n" not in str(fault.value)
