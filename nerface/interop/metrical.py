"""Reads the metrical tracker's own output folder, without running what its files may hold.

Source: Zielon/metrical-tracker `tracker.py` (commits 15bc5f6, 19fac52: `save_checkpoint`). Facts:

    checkpoint/NNNNN.frame   written by torch.save: dictionaries of NumPy arrays
      opencv: R [1, 3, 3], t [1, 3] world to camera (y down, looking along +z), K [1, 3, 3] (px)
      flame:  exp [1, E], jaw [1, 6], eyes [1, 12] (two axes of a rotation each), eyelids [1, 2], shape, tex, sh
      img_size [2] (h, w), frame_id
    input/NNNNN.png          the pictures

World is FLAME's model space at rest, in metres (see `nerface.interop.insta`). The files are pickles: they are read by
PyTorch's restricted reader, which builds tensors and arrays and calls nothing else; what it refuses is refused here.
"""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from nerface.errors import UserError
from nerface.interop.flame_rigid import EYE_NAMES, JAW_NAMES, expression_names
from nerface.interop.tracked import TURNED_YZ, TrackedClip, inverse, pixel_intrinsics, rigid_matrices
from nerface.interop.tracked_pictures import FilePictures, find_picture

FORM = "metrical-tracker"
WANTED = "checkpoint/*.frame and input/*.png"
EYELID_NAMES = ("flame_eyelid_left", "flame_eyelid_right")


def is_metrical(source: Path) -> bool:
    """Whether `source` is such a folder."""
    return next(source.glob("checkpoint/*.frame"), None) is not None if source.is_dir() else False


def read_metrical(source: Path) -> TrackedClip:
    """The folder as a clip. Raises `UserError` where files are missing, broken, or hold more than arrays."""
    files = sorted(source.glob("checkpoint/*.frame"))
    if not files:
        raise UserError(f"{source / 'checkpoint'} holds no .frame files")
    contents = [_read(file) for file in files]
    pictures = FilePictures(tuple(find_picture(source / "input" / file.stem) for file in files))
    inner = _stack(files, contents, "opencv", "K", 9).reshape(-1, 3, 3)
    if np.abs(inner - inner[0]).max() > 0.5:
        raise UserError(f"{source}: the camera's inner numbers change over the clip: a dataset has one camera")
    turn, shift = _stack(files, contents, "opencv", "R", 9), _stack(files, contents, "opencv", "t", 3)
    world_to_camera = rigid_matrices(turn.reshape(-1, 3, 3), shift)
    expression = _stack(files, contents, "flame", "exp")
    eyes = _stack(files, contents, "flame", "eyes", 12)
    parts = [
        expression,
        _rotation_vectors(_stack(files, contents, "flame", "jaw", 6)),
        _rotation_vectors(eyes[:, :6]),  # in the order of FLAME's joints: left, right
        _rotation_vectors(eyes[:, 6:]),
        _stack(files, contents, "flame", "eyelids", 2),
    ]
    return TrackedClip(
        root=source,
        form=FORM,
        pictures=pictures,
        intrinsics=pixel_intrinsics(
            (inner[0, 0, 0], inner[0, 1, 1]), (inner[0, 0, 2], inner[0, 1, 2]), pictures.size, edges=True
        ),
        camera_to_head=inverse(world_to_camera, str(source)) @ TURNED_YZ,
        expressions=np.concatenate(parts, axis=1),
        names=(*expression_names(expression.shape[1]), *JAW_NAMES, *EYE_NAMES, *EYELID_NAMES),
        numbers=np.array([_number(file) for file in files]),
        unit_m=1.0,
    )


def _number(file: Path) -> int:
    if not file.stem.isdecimal():
        raise UserError(f"{file}: its name is not a frame's number")
    return int(file.stem)


def safe_load(file: Path) -> Any:
    """A file of torch.save that holds tensors, NumPy arrays, numbers and texts alone; nothing in it is executed.

    Raises `UserError` where it is missing, broken, or holds anything else.
    """
    allowed: list[Any] = [np.ndarray, np.dtype, *_array_makers(), *_dtype_classes()]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(allowed):
            warnings.simplefilter("ignore")  # PyTorch's about the age of a file: an error says what matters
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{file} is missing") from None
    except pickle.UnpicklingError:
        raise UserError(
            f"{file} holds more than arrays: such files can run code when opened, so it is not opened; save its arrays "
            "again with another tool"
        ) from None
    except Exception as error:  # PyTorch raises whatever its readers stumble on
        raise UserError(f"{file} does not read as a file of torch.save: {str(error).splitlines()[0][:120]}") from None


def _array_makers() -> list[tuple[Any, str]]:
    """The functions by which pickles of NumPy arrays and numbers name themselves, under NumPy 1's place and 2's."""
    array, scalar = np.ndarray(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    homes = ("numpy.core.multiarray", "numpy._core.multiarray")
    return [(maker, f"{home}.{maker.__name__}") for maker in (array, scalar) for home in homes]


def _dtype_classes() -> list[type]:
    return [type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "u1", "b1", "f2")]


def _read(file: Path) -> dict[str, Any]:
    content = safe_load(file)
    if not isinstance(content, dict) or not {"opencv", "flame"} <= set(content):
        raise UserError(f"{file} is no frame of the metrical tracker: it has no 'opencv' and 'flame'")
    return content


def _stack(
    files: list[Path], contents: list[dict[str, Any]], group: str, key: str, length: int | None = None
) -> Float[np.ndarray, "frames numbers"]:
    """One array of every frame, flattened."""
    rows: list[np.ndarray] = []
    for file, content in zip(files, contents):
        try:
            row = np.asarray(content[group][key], dtype=np.float64).reshape(-1)
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{file} has no numbers under '{group}', '{key}'") from None
        wanted = length or (len(rows[0]) if rows else len(row))
        if len(row) != wanted or not np.isfinite(row).all():
            raise UserError(f"{file}: '{group}', '{key}' is not {wanted} finite numbers")
        rows.append(row)
    return np.stack(rows)


def _rotation_vectors(six: Float[np.ndarray, "frames 6"]) -> Float[np.ndarray, "frames 3"]:
    """Rotation vectors (radians) of rotations told by the first two rows of their matrices (Zhou et al. 2019)."""
    first = six[:, :3] / np.linalg.norm(six[:, :3], axis=1, keepdims=True)
    second = six[:, 3:] - (first * six[:, 3:]).sum(axis=1, keepdims=True) * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return np.asarray(Rotation.from_matrix(np.stack([first, second, np.cross(first, second)], axis=1)).as_rotvec())
