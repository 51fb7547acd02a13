"""Ways in which another tracker's numbers can be in another convention than the format's: one at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from tests.interop.foreign import (
    Foreign,
    write_adnerf,
    write_imavatar,
    write_insta,
    write_metrical,
    write_openface,
    write_vhap,
)

Numbers = dict[str, Any]
FLIPPED_Y = np.diag([1.0, -1.0, 1.0, 1.0])


def _change(key: str, change: Callable[[Any], Any]) -> Callable[[Numbers], Numbers]:
    return lambda numbers: {**numbers, key: change(numbers[key])}


def _far(matrix: np.ndarray) -> np.ndarray:
    far = np.array(matrix, dtype=np.float64)
    far[:3, 3] *= 1000
    return far


def _transposed(matrix: np.ndarray) -> np.ndarray:
    """The rotation's transpose, the place left as it is."""
    turned = np.array(matrix, dtype=np.float64)
    turned[:3, :3] = turned[:3, :3].T
    return turned


def _swapped(matrix: np.ndarray) -> np.ndarray:
    """x and y columns exchanged."""
    return np.array(matrix, dtype=np.float64)[:, [1, 0, 2, 3]]


def _of_opencv(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Numbers], Numbers]:
    """A change of the tracker's world to camera."""

    def changed(content: Numbers) -> Numbers:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = content["opencv"]["R"][0], content["opencv"]["t"][0]
        matrix = change(matrix).astype(np.float32)
        opencv = {**content["opencv"], "R": matrix[None, :3, :3], "t": matrix[None, :3, 3]}
        return {**content, "opencv": opencv}

    return changed


def _backwards(vector: np.ndarray) -> np.ndarray:
    """The inverse rotation, as a rotation vector: a matrix that was transposed."""
    return -np.asarray(vector)


def _other_order(euler: np.ndarray) -> np.ndarray:
    """The angles of the transposed matrix."""
    return Rotation.from_euler("XYZ", euler).inv().as_euler("XYZ")


def _pose(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Numbers], Numbers]:
    """A change of root and neck of DECA's pose."""

    def changed(numbers: Numbers) -> Numbers:
        pose = np.array(numbers["pose"])
        pose[:3], pose[3:6] = change(pose[:3]), change(pose[3:6])
        return {**numbers, "pose": pose}

    return changed


def _both(*changes: Callable[[Numbers], Numbers]) -> Callable[[Numbers], Numbers]:
    def changed(numbers: Numbers) -> Numbers:
        for change in changes:
            numbers = change(numbers)
        return numbers

    return changed


MATRIX = "transform_matrix"
Spoilt = Callable[[Path], Foreign]
BROKEN: dict[str, Spoilt] = {
    "vhap y flipped": lambda folder: write_vhap(folder, _change(MATRIX, lambda m: m @ FLIPPED_Y)),
    "vhap OpenCV axes": lambda folder: write_vhap(folder, _change(MATRIX, lambda m: m @ np.diag([1, -1, -1, 1]))),
    "vhap in millimetres": lambda folder: write_vhap(
        folder, _both(_change(MATRIX, _far), _change("translation", lambda t: 1000 * t))
    ),
    "vhap translation alone in millimetres": lambda folder: write_vhap(
        folder, _change("translation", lambda t: 1000 * t)
    ),
    "vhap rotations transposed": lambda folder: write_vhap(
        folder, _both(_change("rotation", _backwards), _change("neck_pose", _backwards))
    ),
    "vhap columns swapped": lambda folder: write_vhap(folder, _change(MATRIX, _swapped)),
    "insta y flipped": lambda folder: write_insta(folder, _change(MATRIX, lambda m: m @ FLIPPED_Y)),
    "insta OpenGL axes": lambda folder: write_insta(folder, _change(MATRIX, lambda m: m @ np.diag([1, -1, -1, 1]))),
    "insta in millimetres": lambda folder: write_insta(folder, _change(MATRIX, _far)),
    "insta rotations transposed": lambda folder: write_insta(folder, _change(MATRIX, _transposed)),
    "insta inverted": lambda folder: write_insta(folder, _change(MATRIX, np.linalg.inv)),
    "insta columns swapped": lambda folder: write_insta(folder, _change(MATRIX, _swapped)),
    "metrical-tracker y flipped": lambda folder: write_metrical(folder, _of_opencv(lambda m: FLIPPED_Y @ m)),
    "metrical-tracker in millimetres": lambda folder: write_metrical(folder, _of_opencv(_far)),
    "metrical-tracker rotations transposed": lambda folder: write_metrical(folder, _of_opencv(_transposed)),
    "metrical-tracker columns swapped": lambda folder: write_metrical(folder, _of_opencv(_swapped)),
    "imavatar y flipped": lambda folder: write_imavatar(
        folder, _change("intrinsics", lambda f: [f[0], -f[1], f[2], f[3]])
    ),
    "imavatar x flipped": lambda folder: write_imavatar(
        folder, _change("intrinsics", lambda f: [-f[0], f[1], f[2], f[3]])
    ),
    "imavatar times 1000": lambda folder: write_imavatar(folder, _change("world_mat", _far)),
    "imavatar rotations transposed": lambda folder: write_imavatar(folder, _pose(_backwards)),
    "imavatar columns swapped": lambda folder: write_imavatar(folder, _change("world_mat", _swapped)),
    "imavatar not scaled by 4": lambda folder: write_imavatar(
        folder, _change("world_mat", lambda m: np.concatenate([m[:, :3], m[:, 3:] / 4], axis=1))
    ),
    "adnerf y flipped": lambda folder: write_adnerf(folder, _change(MATRIX, lambda m: m @ FLIPPED_Y)),
    "adnerf times 1000": lambda folder: write_adnerf(folder, _change(MATRIX, _far)),
    "adnerf times 10": lambda folder: write_adnerf(
        folder, _change(MATRIX, lambda m: np.concatenate([m[:, :3], m[:, 3:] * [[10], [10], [10], [1]]], axis=1))
    ),
    "adnerf rotations transposed": lambda folder: write_adnerf(folder, _change(MATRIX, _transposed)),
    "adnerf inverted": lambda folder: write_adnerf(folder, _change(MATRIX, np.linalg.inv)),
    "adnerf columns swapped": lambda folder: write_adnerf(folder, _change(MATRIX, _swapped)),
    "openface y flipped": lambda folder: write_openface(folder, _change("T", lambda t: t * [1, -1, 1])),
    "openface pitch flipped": lambda folder: write_openface(folder, _change("R", lambda r: r * [-1, 1, 1])),
    "openface in metres": lambda folder: write_openface(folder, _change("T", lambda t: t / 1000)),
    "openface times 1000": lambda folder: write_openface(folder, _change("T", lambda t: t * 1000)),
    "openface rotations transposed": lambda folder: write_openface(folder, _change("R", _other_order)),
    "openface in degrees": lambda folder: write_openface(folder, _change("R", np.degrees)),
    "openface columns swapped": lambda folder: write_openface(folder, _change("R", lambda r: r[[1, 0, 2]])),
    "openface z first": lambda folder: write_openface(folder, _change("T", lambda t: t[[2, 1, 0]])),
}
