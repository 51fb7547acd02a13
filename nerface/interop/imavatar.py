"""Reads IMavatar's and PointAvatar's `flame_params.json` (DECA, refined over the clip).

Source: zhengyuf/IMavatar `code/datasets/real_dataset.py`, `code/utils/rend_util.py` and `preprocess/DECA/optimize.py`
(commits 839e29c, 283f6f5, c315a47); zhengyuf/PointAvatar `code/datasets/real_dataset.py` (27fe612). Facts:

    flame_params.json
      frames: file_path (./image/K, no ending), world_mat [3, 4] world to camera, expression [50], pose [15],
              bbox, flame_keypoints [70, 2] (68 iBUG points and two irises, -1 to 1 over the picture)
      intrinsics: fx, fy, cx, cy as fractions of the picture (older: px of a 512 px picture); fx is negative, for a
              camera that looks along -z: u = W (fx X / Z + cx), v = H (fy Y / Z + cy) with Z < 0
      shape_params [100]
    image/K.png, mask/K.png (foreground, shoulders with it), semantic/K.png

The camera stands still; FLAME, four times its size, turns about its root and neck: `pose` is root, neck, jaw, left eye,
right eye, rotation vectors. Head space is FLAME's model space at rest; one unit is 0.25 m. Pixel centres are at whole
numbers. Each clip of a subject (MVI_1810, ...) has its own folder, so that there is no split.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from nerface.errors import UserError
from nerface.files import read_json
from nerface.interop.flame_rigid import AVERAGE, EYE_NAMES, JAW_NAMES, FlameJoints, expression_names, head_to_world
from nerface.interop.tracked import TrackedClip, inverse, pixel_intrinsics
from nerface.interop.tracked_pictures import FilePictures, find_picture, grey_masks
from nerface.interop.transforms_json import Entry, number_in
from nerface.types import Intrinsics

FORM = "imavatar"
FILE = "flame_params.json"
WANTED = f"{FILE} and image/"
TIMES_FLAME = 4.0
POSE_NUMBERS, IBUG_POINTS = 15, 68
OLD_SIZE_PX = 512.0  # what old files count the principal point and focal length in


def is_imavatar(source: Path) -> bool:
    """Whether `source` is such a folder."""
    return source.is_dir() and (source / FILE).is_file()


def read_imavatar(source: Path, joints: FlameJoints = AVERAGE) -> TrackedClip:
    """The folder of one clip. Raises `UserError` where files are missing or broken."""
    file = source / FILE
    content = read_json(file)
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise UserError(f"{file} has no list of objects under the key 'frames'")
    entries = [Entry("", frame, {}, f"{file}, frame {row}") for row, frame in enumerate(frames)]
    numbers = [number_in(entry.text("file_path"), entry.where) for entry in entries]
    if len(set(numbers)) != len(numbers):
        raise UserError(f"{file} lists a picture twice")
    entries = [entries[row] for row in np.argsort(numbers, kind="stable")]
    files = tuple(find_picture(source / entry.text("file_path")) for entry in entries)
    masks = [source / "mask" / picture.name for picture in files]
    pictures = FilePictures(files, grey_masks(masks) if all(mask.is_file() for mask in masks) else None)
    pose = np.stack([_row(entry, "pose", POSE_NUMBERS) for entry in entries])
    expression = _expressions(entries)
    skull = head_to_world(pose[:, :3], pose[:, 3:6], np.zeros((len(pose), 3)), joints)
    skull[:, :3, 3] *= TIMES_FLAME
    to_camera = np.stack([entry.matrix("world_mat", (3, 4)) for entry in entries])
    intrinsics, signs = _camera(file, content.get("intrinsics"), pictures.size)
    return TrackedClip(
        root=source,
        form=FORM,
        pictures=pictures,
        intrinsics=intrinsics,
        camera_to_head=inverse(np.diag(signs) @ to_camera @ skull, str(file)),
        expressions=np.concatenate([expression, pose[:, 6:]], axis=1),
        names=(*expression_names(expression.shape[1]), *JAW_NAMES, *EYE_NAMES),
        numbers=np.array(sorted(numbers)),
        unit_m=1 / TIMES_FLAME,
        landmarks=_keypoints(entries, pictures.size),
    )


def _camera(file: Path, stated: Any, size: tuple[int, int]) -> tuple[Intrinsics, tuple[float, float, float, float]]:
    """The camera with positive focal lengths, and the signs that make its axes ours.

    The format divides by Z < 0 where we divide by depth = -Z, and counts v downwards: with Z < 0, u grows with X where
    fx < 0, and v falls with Y where fy > 0; that is our camera. A sign that differs turns an axis.
    """
    width, height = size
    try:
        fx, fy, cx, cy = (float(value) for value in stated)
    except (TypeError, ValueError):
        raise UserError(f"{file}: 'intrinsics' is not [fx, fy, cx, cy]") from None
    if not np.isfinite([fx, fy, cx, cy]).all() or fx == 0 or fy == 0:
        raise UserError(f"{file}: 'intrinsics' {[fx, fy, cx, cy]} holds a focal length of 0, a NaN or an infinity")
    if cy > 1:
        fx, fy, cx, cy = (value / OLD_SIZE_PX for value in (fx, fy, cx, cy))
    inner = pixel_intrinsics((abs(fx) * width, abs(fy) * height), (cx * width, cy * height), size, edges=False)
    return inner, (1.0 if fx < 0 else -1.0, 1.0 if fy > 0 else -1.0, 1.0, 1.0)


def _expressions(entries: list[Entry]) -> Float[np.ndarray, "frames expression"]:
    first = entries[0].keys.get("expression")
    count = len(first) if isinstance(first, list) else 0
    return np.stack([_row(entry, "expression", count) for entry in entries])


def _row(entry: Entry, key: str, length: int) -> Float[np.ndarray, " numbers"]:
    """A list of finite numbers."""
    try:
        row = np.array(entry.keys.get(key), dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        row = np.zeros(0)
    if len(row) != length or length == 0 or not np.isfinite(row).all():
        raise UserError(f"{entry.where}: '{key}' is not a list of {length or 'some'} finite numbers")
    return row


def _keypoints(entries: list[Entry], size: tuple[int, int]) -> Float[np.ndarray, "frames 68 2"] | None:
    """The projected FLAME landmarks in px; NaN in frames without them, None where there are none."""
    found = np.full((len(entries), IBUG_POINTS, 2), np.nan)
    for row, entry in enumerate(entries):
        try:
            points = np.array(entry.keys.get("flame_keypoints"), dtype=np.float64)
        except (TypeError, ValueError):
            continue
        if points.ndim == 2 and points.shape[0] >= IBUG_POINTS and points.shape[1] == 2:
            found[row] = (points[:IBUG_POINTS] + 1) / 2 * size
    return found if np.isfinite(found).any() else None
