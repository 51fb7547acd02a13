"""Reads what VHAP exports and GaussianAvatars trains on.

Source: ShenhanQian/VHAP `vhap/export_as_nerf_dataset.py` (commit 4395551) and `vhap/model/flame.py` (2c7a4da);
ShenhanQian/GaussianAvatars `scene/dataset_readers.py` (04e4f75). Facts:

    transforms_{train,val,test}.json   or transforms.json; train is the first 70 % of time; with one camera, val is
    empty
      frame: timestep_index, camera_index, file_path, fg_mask_path, flame_param_path, fl_x fl_y cx cy w h (px),
             transform_matrix (camera to world, OpenGL axes: y up, looking along -z)
    images/, fg_masks/ (255 = person)  pictures, laid on white where a mask was known
    flame_param/TTTTT.npz              rotation, neck_pose, jaw_pose [1, 3], eyes_pose [1, 6] (rotation vectors),
                                       translation [1, 3] (m), expr [1, 100], shape [300], static_offset

The camera stands still; the head's motion is FLAME's root and neck rotation and its translation. Pixels are counted
from the picture's edge (cx is w / 2 for a centred camera, pixel centres at halves). Several cameras are told apart by
`camera_index`: a dataset has one.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nerface.errors import UserError
from nerface.interop.flame_rigid import AVERAGE, EYE_NAMES, JAW_NAMES, FlameJoints, expression_names, head_to_world
from nerface.interop.tracked import TrackedClip, inverse
from nerface.interop.tracked_pictures import FilePictures, find_picture, grey_masks
from nerface.interop.transforms_json import Entry, first_frame, in_time, read_camera, read_entries

FORM = "vhap"
WANTED = "transforms*.json whose frames have 'flame_param_path', and flame_param/*.npz"
LENGTHS = {"rotation": 3, "neck_pose": 3, "jaw_pose": 3, "eyes_pose": 6, "translation": 3}


def is_vhap(source: Path) -> bool:
    """Whether `source` is such a folder."""
    return source.is_dir() and "flame_param_path" in first_frame(source)


def read_vhap(source: Path, camera: int | None = None, joints: FlameJoints = AVERAGE) -> TrackedClip:
    """The folder as a clip: FLAME's skull at rest is head space, in metres.

    Raises `UserError` where files are missing or broken, or the folder has several cameras and `camera` (its
    camera_index) names none of them.
    """
    entries = _of_one_camera(source, read_entries(source), camera)
    ordered = in_time(entries, [entry.number("timestep_index") for entry in entries])
    frames = ordered.entries
    parameters = [_read_parameters(source / entry.text("flame_param_path")) for entry in frames]
    counts = {len(one["expr"]) for one in parameters}
    if len(counts) != 1:
        raise UserError(f"{source}: FLAME files have {sorted(counts)} expression coefficients: one number is needed")
    column = {key: np.stack([one[key] for one in parameters]) for key in (*LENGTHS, "expr")}
    skull = head_to_world(column["rotation"], column["neck_pose"], column["translation"], joints)
    cameras = np.stack([entry.matrix("transform_matrix") for entry in frames])
    masks = [entry.keys.get("fg_mask_path") for entry in frames]
    mask_files = [source / str(mask) for mask in masks] if all(isinstance(mask, str) for mask in masks) else None
    pictures = FilePictures(
        tuple(find_picture(source / entry.text("file_path")) for entry in frames),
        None if mask_files is None else grey_masks(mask_files),
    )
    return TrackedClip(
        root=source,
        form=FORM,
        pictures=pictures,
        intrinsics=read_camera(frames, pictures.size),
        camera_to_head=inverse(skull, str(source)) @ cameras,
        expressions=np.concatenate([column["expr"], column["jaw_pose"], column["eyes_pose"]], axis=1),
        names=(*expression_names(counts.pop()), *JAW_NAMES, *EYE_NAMES),
        numbers=np.array(ordered.numbers),
        unit_m=1.0,
        splits=ordered.splits,
        notes=_joint_notes(joints, column["rotation"]),
    )


def _of_one_camera(source: Path, entries: list[Entry], camera: int | None) -> list[Entry]:
    there = sorted({entry.number("camera_index") for entry in entries if "camera_index" in entry.keys})
    if camera is None and len(there) <= 1:
        return entries
    if camera not in there:
        raise UserError(
            f"{source} has cameras {', '.join(map(str, there)) or '(none numbered)'}: a dataset has one, choose it "
            "with --camera NUMBER"
        )
    return [entry for entry in entries if entry.number("camera_index") == camera]


def _read_parameters(file: Path) -> dict[str, Float[np.ndarray, " numbers"]]:
    """The numbers of one frame."""
    try:
        with np.load(file, allow_pickle=False) as content:
            found = {key: np.asarray(content[key], dtype=np.float64).reshape(-1) for key in (*LENGTHS, "expr")}
    except FileNotFoundError:
        raise UserError(f"{file} is missing") from None
    except KeyError as error:
        raise UserError(f"{file} holds no {error}: FLAME parameters of VHAP have it") from None
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{file} does not read as arrays of numbers: {str(error).splitlines()[0][:120]}") from None
    for key, length in LENGTHS.items():
        if len(found[key]) != length:
            raise UserError(f"{file}: '{key}' has {len(found[key])} numbers, {length} are needed")
    if not all(np.isfinite(values).all() for values in found.values()):
        raise UserError(f"{file} holds a value that is not finite")
    return found


def _joint_notes(joints: FlameJoints, rotation: Float[np.ndarray, "frames 3"]) -> tuple[str, ...]:
    """That the neck's place is an average one, where the head turns about it."""
    if joints != AVERAGE or np.ptp(rotation, axis=0).max() < 1e-3:
        return ()
    return (
        "the joints of neck and skull are those of an average FLAME head (right to 5 to 10 mm): --flame-joints states "
        "the person's own",
    )
