"""Reads the datasets of AD-NeRF, RAD-NeRF and ER-NeRF (and of what trains on them: TalkingGaussian, InsTaG, ...).

Source: YudongGuo/AD-NeRF `data_util/process_data.py` (3487bd7), `NeRFs/HeadNeRF/run_nerf_helpers.py` (51a601a) and
`data_util/face_tracking/face_tracker.py` (51a601a); ashawkey/RAD-NeRF `data_utils/process.py` (410afbb) and
`nerf/provider.py` (4cb8fc6); Fictionarry/ER-NeRF `nerf_triplane/provider.py` (068d0aa),
`data_utils/face_tracking/geo_transform.py` (2f88e6a). Facts:

    transforms_{train,val}.json   val is the last eleventh of the clip
      top: focal_len, cx, cy (px); frame: img_id, aud_id, transform_matrix (camera to head, OpenGL axes), face_rect
    ori_imgs/ID.jpg, ID.lms       pictures; 68 iBUG points, a line of u v each
    gt_imgs/ or com_imgs/ID.jpg   the same with the plate in place of what moves behind the person
    parsing/ID.png                labels of the picture, white = background
    bc.jpg                        the plate
    track_params.pt               of torch.save: exp [N, 79] (coefficients of a 3DMM), euler, trans, focal, id
    au.csv                        OpenFace's action units, a row a frame of the video (ER-NeRF)

The tracker sees u = cx - f X / Z, v = cy + f Y / Z with Z < 0, which is our camera; `process_data.py` divides its
translations by 10, which makes them metres in effect (the model's unit is a decimetre). RAD-NeRF's own loader scales
and permutes axes on reading: the files are not touched by it. Pixel centres are at whole numbers, as in AD-NeRF's
renderer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from nerface.errors import UserError
from nerface.interop.csv_table import read_csv
from nerface.interop.metrical import safe_load
from nerface.interop.tracked import TrackedClip, pixel_intrinsics
from nerface.interop.tracked_pictures import FilePictures, find_picture, parsing_masks
from nerface.interop.tracker_folder import read_table
from nerface.interop.transforms_json import Entry, first_frame, in_time, read_entries
from nerface.types import Intrinsics

FORM = "adnerf"
WANTED = "transforms_train.json with 'focal_len' and frames with 'img_id', and gt_imgs/, com_imgs/ or ori_imgs/"
PICTURES = ("gt_imgs", "com_imgs", "ori_imgs")  # those over the plate first
PLATE, PARAMETERS, UNITS = "bc.jpg", "track_params.pt", "au.csv"
IBUG_POINTS = 68
FRAME_RATE_HZ = 25.0  # process.py resamples videos to it


def is_adnerf(source: Path) -> bool:
    """Whether `source` is such a folder."""
    keys = first_frame(source) if source.is_dir() else {}
    return "img_id" in keys and "focal_len" in keys["shared"]


def read_adnerf(source: Path) -> TrackedClip:
    """The folder as a clip; its val frames, the end of the video, are our test frames.

    Raises `UserError` where files are missing or broken, or nothing tells of expressions.
    """
    entries = read_entries(source, [("train", "transforms_train.json"), ("test", "transforms_val.json")])
    ordered = in_time(entries, [entry.number("img_id") for entry in entries])
    frames, numbers = ordered.entries, np.array(ordered.numbers)
    folder = next((source / name for name in PICTURES if (source / name).is_dir()), None)
    if folder is None:
        raise UserError(f"{source} has no {', '.join(PICTURES[:-1])} or {PICTURES[-1]} folder with the pictures")
    parsing = [source / "parsing" / f"{number}.png" for number in numbers]
    pictures = FilePictures(
        tuple(find_picture(folder / str(number)) for number in numbers),
        parsing_masks(parsing) if all(file.is_file() for file in parsing) else None,
    )
    expressions, names, note = _expressions(source, numbers)
    plate = source / PLATE
    return TrackedClip(
        root=source,
        form=FORM,
        pictures=pictures,
        intrinsics=_camera(frames, pictures.size),
        camera_to_head=np.stack([entry.matrix("transform_matrix") for entry in frames]),
        expressions=expressions,
        names=names,
        numbers=numbers,
        unit_m=1.0,
        splits=ordered.splits,
        frame_rate=FRAME_RATE_HZ if folder.name == "gt_imgs" else None,
        plate=plate if plate.is_file() else None,
        landmarks=_landmarks(source, numbers),
        notes=note,
    )


def _camera(frames: Sequence[Entry], size: tuple[int, int]) -> Intrinsics:
    """The camera of both files."""
    rows = set()
    for entry in frames:
        try:
            row = tuple(float(entry.shared[key]) for key in ("focal_len", "cx", "cy"))
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{entry.where}: its file has no numbers under 'focal_len', 'cx' and 'cy'") from None
        rows.add(row)
    if len(rows) > 1:
        raise UserError(f"{frames[0].where}: the splits have different cameras")
    focal, cx, cy = rows.pop()
    if not (np.isfinite([focal, cx, cy]).all() and focal > 0):
        raise UserError(f"{frames[0].where}: its file's focal length {focal:g} or principal point is not a camera's")
    if max(abs(2 * cx - size[0]), abs(2 * cy - size[1])) > 2:
        raise UserError(
            f"{frames[0].where}: its camera is for pictures of {2 * cx:g}x{2 * cy:g} pixels, they are "
            f"{size[0]}x{size[1]}: scale one of them"
        )
    return pixel_intrinsics((focal, focal), (cx, cy), size, edges=False)


def _expressions(
    source: Path, numbers: np.ndarray
) -> tuple[Float[np.ndarray, "frames expression"], tuple[str, ...], tuple[str, ...]]:
    """Coefficients of the tracker's face model, else OpenFace's action units; a note on what was taken."""
    if (source / PARAMETERS).is_file():
        values = _coefficients(source / PARAMETERS, len(numbers))
        return values, tuple(f"bfm_exp_{k:02d}" for k in range(values.shape[1])), ()
    if (source / UNITS).is_file():
        table = read_csv(source / UNITS)
        names = tuple(name for name in table.names if name.startswith("AU") and name.endswith("_r"))
        if not names:
            raise UserError(f"{source / UNITS} has no columns AU.._r (intensities of action units)")
        if numbers.max() >= len(table):
            raise UserError(
                f"{source / UNITS} has {len(table)} rows, the frames go to {numbers.max()}: one row a frame of the "
                "video"
            )
        values = np.stack([table.column(name)[numbers] for name in names], axis=1)
        return (
            values,
            names,
            (f"expressions are the action units of {UNITS}: {PARAMETERS} would tell more of the mouth",),
        )
    raise UserError(
        f"{source} tells nothing of expressions: {PARAMETERS} (from the tracker) or {UNITS} (from OpenFace) is needed; "
        "its audio features are no expressions"
    )


def _coefficients(file: Path, frames: int) -> Float[np.ndarray, "frames expression"]:
    content = safe_load(file)
    found = content.get("exp") if isinstance(content, dict) else None
    if not isinstance(found, torch.Tensor) or found.ndim != 2:
        raise UserError(f"{file} holds no table under 'exp'")
    values = found.double().numpy()
    if len(values) != frames or not np.isfinite(values).all():
        raise UserError(
            f"{file} has expressions of {len(values)} frames, transforms_*.json list {frames}: they belong to another "
            "run"
            if len(values) != frames
            else f"{file} holds an expression that is not finite"
        )
    return np.asarray(values)


def _landmarks(source: Path, numbers: np.ndarray) -> Float[np.ndarray, "frames 68 2"] | None:
    """The points beside the pictures, where there are any."""
    found = np.full((len(numbers), IBUG_POINTS, 2), np.nan)
    for row, number in enumerate(numbers):
        file = source / "ori_imgs" / f"{number}.lms"
        if file.is_file():
            table = read_table(file)
            if table.shape != (IBUG_POINTS, 2):
                raise UserError(f"{file} has shape {list(table.shape)}: {IBUG_POINTS} lines of u v are needed")
            found[row] = table
    return found if np.isfinite(found).any() else None
