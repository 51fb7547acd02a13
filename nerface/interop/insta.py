"""Reads INSTA's datasets, which its scripts make from the metrical tracker's output.

Source: Zielon/INSTA `scripts/transforms.py` and `scripts/postprocess.py` (commit 3b288f7); Zielon/INSTA-pytorch
`insta/provider.py` (951a3be). Facts:

    transforms.json, transforms_{train,test,val}.json   the last N frames are test; val is the last 20, so part of test
      top: fl_x fl_y cx cy w h (px); frame: file_path, exp_path, mesh_path, depth_path, seg_mask_path,
           transform_matrix: the inverse of OpenCV's world to camera, so camera to world with y down and looking along
           +z
    images/NNNNN.png     with transparency: the matte of head and hair, body cut off
    flame/exp/NNNNN.txt  FLAME's expression coefficients, one a line (other folders beside exp/ are read where there)

The tracker keeps FLAME's root and neck at rest and moves the camera: world is FLAME's model space, in metres, which is
head space. Pixels are counted from the picture's edge (PyTorch3D's screen space).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nerface.errors import UserError
from nerface.interop.flame_rigid import expression_names
from nerface.interop.tracked import TURNED_YZ, TrackedClip
from nerface.interop.tracked_pictures import FilePictures, alpha_mask, decode, find_picture
from nerface.interop.tracker_folder import read_table
from nerface.interop.transforms_json import Entry, first_frame, in_time, number_in, read_camera, read_entries

FORM = "insta"
WANTED = "transforms*.json whose frames have 'exp_path' and 'mesh_path', and flame/exp/*.txt"
NO_JAW = (
    "INSTA's datasets leave out the jaw's rotation: what of the mouth FLAME's expression coefficients do not say is "
    "unknown (the tracker's own output folder has it: import that)"
)
MORE = ("jaw", "eyes", "eyelids")  # folders beside flame/exp/ that forks of the scripts write


def is_insta(source: Path) -> bool:
    """Whether `source` is such a folder."""
    keys = first_frame(source) if source.is_dir() else {}
    return "exp_path" in keys and "mesh_path" in keys and "timestep_index" not in keys


def read_insta(source: Path) -> TrackedClip:
    """The folder as a clip. Raises `UserError` where files are missing or broken."""
    entries = read_entries(source)
    ordered = in_time(entries, [number_in(entry.text("file_path"), entry.where) for entry in entries])
    frames = ordered.entries
    expressions, names = _expressions(source, frames)
    cameras = np.stack([entry.matrix("transform_matrix") for entry in frames])
    files = tuple(find_picture(source / entry.text("file_path")) for entry in frames)
    first = decode(files[0])
    transparent = first.ndim == 3 and first.shape[2] == 4
    pictures = FilePictures(files, alpha_mask if transparent else None)
    notes = () if any("jaw" in name for name in names) else (NO_JAW,)
    return TrackedClip(
        root=source,
        form=FORM,
        pictures=pictures,
        intrinsics=read_camera(frames, pictures.size),
        camera_to_head=cameras @ TURNED_YZ,
        expressions=expressions,
        names=names,
        numbers=np.array(ordered.numbers),
        unit_m=1.0,
        splits=ordered.splits,
        notes=notes,
    )


def _expressions(
    source: Path, frames: Sequence[Entry]
) -> tuple[Float[np.ndarray, "frames expression"], tuple[str, ...]]:
    """Expression coefficients, and what else lies beside them for every frame."""
    files = [source / entry.text("exp_path") for entry in frames]
    values = _column(files)
    names = expression_names(values.shape[1])
    for part in MORE:
        beside = [file.parent.parent / part / file.name for file in files]
        if beside[0].is_file():
            more = _column(beside)
            values = np.concatenate([values, more], axis=1)
            names = (*names, *(f"flame_{part}_{k}" for k in range(more.shape[1])))
    return values, names


def _column(files: Sequence[Path]) -> Float[np.ndarray, "frames numbers"]:
    rows = [read_table(file).reshape(-1) for file in files]
    for file, row in zip(files, rows):
        if len(row) != len(rows[0]):
            raise UserError(f"{file} holds {len(row)} numbers, {files[0].name} holds {len(rows[0])}")
    return np.stack(rows)
