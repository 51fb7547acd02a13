"""From a tracker's folder to a dataset: what the seed's converter does for training and test frames, in one go."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from nerface.capture.overlay import OverlayData, write_overlay
from nerface.capture.splits import SPLITS, Place, rows_of
from nerface.capture.writer import PLATE_FILE, UNSEEN_FILE, WHOLE_IMAGE, expression_stats, write_image
from nerface.data.images import read_image
from nerface.errors import UserError
from nerface.files import refuse_existing, whole_folder, write_json
from nerface.interop.tracker_boxes import (
    TrackedBoxes,
    boxes_of_heads,
    boxes_of_landmarks,
    boxes_of_mesh,
    read_landmarks,
)
from nerface.interop.tracker_cameras import MEAN_DISTANCE, pose_scale, to_intrinsics, to_poses
from nerface.interop.tracker_folder import INTRINSICS, RIGID, TrackerFolder, read_tracker_folder
from nerface.interop.tracker_mesh import FaceMesh, mesh_over, read_face_mesh
from nerface.interop.tracker_pictures import MedianPlate, copy_pictures, picture_size
from nerface.interop.tracker_splits import SplitOptions, index_map, split_tracked
from nerface.progress import SILENT, Progress
from nerface.types import Intrinsics
from nerface.video import DEFAULT_FRAME_RATE_HZ

MOST_OVERLAY_FRAMES = 600  # longer clips show every k-th frame
AXIS_LENGTH_M = 0.1
UNITS_M = ((10.0, 1.0, "metres"), (200.0, 0.01, "centimetres"), (math.inf, 0.001, "millimetres"))


@dataclass(frozen=True)
class ImportOptions:
    """What the user may say of a tracker's folder.

    `mesh` (with `mesh_scale`, its unit in the tracker's) or `landmarks` give the boxes; `background` is the picture of
    the empty scene; `names` names the expression channels, one a line or word; `frame_rate` in Hz; `unit_m` is the
    tracker's unit of length in metres (None: judged by the camera's distance); `cropped_from` is the (W, H) that
    intrinsics.txt belongs to where the pictures are the middle of larger ones.
    """

    split: SplitOptions = field(default_factory=SplitOptions)
    mesh: Path | None = None
    mesh_scale: float = 1e-6
    landmarks: Path | None = None
    background: Path | None = None
    names: Path | None = None
    frame_rate: float | None = None
    unit_m: float | None = None
    cropped_from: tuple[int, int] | None = None
    overlay: bool = True


@dataclass(frozen=True)
class ImportReport:
    """What an import found: `counts` of frames by split, `scale` (head units in the tracker's unit of length), the
    camera, and `notes`, the lines a user should read."""

    counts: dict[str, int]
    unused: int
    scale: float
    intrinsics: Intrinsics
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Converted:
    """All numbers of a dataset to be, frames in temporal order, and what is drawn on the overlay."""

    tracked: TrackerFolder
    scale: float
    units_per_m: float
    intrinsics: Intrinsics
    poses: Float[np.ndarray, "frames 4 4"]
    boxes: TrackedBoxes
    places: list[Place]
    names: tuple[str, ...]
    mesh: FaceMesh | None
    landmarks: Float[np.ndarray, "frames landmarks 2"] | None

    def count(self, split: str) -> int:
        return len(rows_of(self.places, split))


def import_tracker_folder(
    source: Path, output: Path, options: ImportOptions | None = None, progress: Progress = SILENT
) -> ImportReport:
    """Write the dataset `output` from the tracker's folder `source` (`nerface.interop.tracker_folder` says what is in
    it); it appears whole or not at all.

    Raises `UserError`, one line naming file and row, for anything missing, broken or not in agreement.
    """
    options = options or ImportOptions()
    refuse_existing(output)
    tracked = read_tracker_folder(source)
    size = picture_size(tracked.images[0])
    plate = None if options.background is None else read_image(options.background, size, white=True)
    converted, notes = _convert(tracked, size, options, progress)
    with whole_folder(output) as folder:
        median = MedianPlate(size, converted.count("train")) if plate is None else None
        copy_pictures(folder, tracked.images, converted.places, size, converted.boxes.sampling, median, progress)
        (folder / "bg").mkdir()
        if plate is not None:
            write_image(folder / PLATE_FILE, plate)
        if median is not None:
            notes.append(median.write(folder))
        _write_tables(folder, converted, options.frame_rate)
        if options.overlay:
            _write_overlay(folder, converted, options.frame_rate, progress)
    counts = {split: converted.count(split) for split in SPLITS}
    unused = len(tracked) - len(converted.places)
    return ImportReport(counts, unused, converted.scale, converted.intrinsics, tuple(notes))


def _convert(
    tracked: TrackerFolder, size: tuple[int, int], options: ImportOptions, progress: Progress
) -> tuple[_Converted, list[str]]:
    """The numbers, and notes for the user."""
    try:
        scale = pose_scale(tracked.rigid)
    except UserError as error:
        raise UserError(f"{tracked.root / RIGID}: {error}") from None
    units_per_m, notes = _unit(options.unit_m, scale)
    fx, fy = tracked.intrinsics[:2]
    if fx < 0 or fy > 0:
        notes.append(
            f"{tracked.root / INTRINSICS} has fx {fx:g} and fy {fy:g}: such trackers write fx > 0 and fy < 0; look at "
            "overlay.mp4 for a mirrored or upside-down face"
        )
    mesh = None if options.mesh is None else read_face_mesh(options.mesh, options.mesh_scale * scale)
    landmarks = None if options.landmarks is None else read_landmarks(options.landmarks, len(tracked))
    names = _names(options.names, tracked.expressions.shape[1])
    places = split_tracked(len(tracked), options.split)
    poses = to_poses(tracked.rigid, scale)
    intrinsics = to_intrinsics(tracked.intrinsics, size, options.cropped_from)
    if mesh is not None:
        boxes = boxes_of_mesh(mesh, poses, intrinsics, progress)
    elif landmarks is not None:
        boxes = boxes_of_landmarks(landmarks, size)
    else:
        boxes = boxes_of_heads(poses, intrinsics, units_per_m)
        notes.append("boxes are those of a head of usual size at the poses: --mesh or --landmarks gives better ones")
    whole = int(np.isclose(boxes.sampling, WHOLE_IMAGE).all(axis=1).sum())
    if whole:
        notes.append(
            f"in {whole} of {len(poses)} frames the box is the whole picture: is the head where the poses say?"
        )
    return _Converted(tracked, scale, units_per_m, intrinsics, poses, boxes, places, names, mesh, landmarks), notes


def _unit(stated_m: float | None, scale: float) -> tuple[float, list[str]]:
    """Head units in a metre; with a note where the tracker's unit had to be judged by the camera's distance."""
    if stated_m is not None:
        return scale / stated_m, []
    distance = MEAN_DISTANCE / scale
    unit_m, name = next((unit, name) for most, unit, name in UNITS_M if distance < most)
    notes = [] if unit_m == 1.0 else [f"the poses are taken to be in {name} (mean distance {distance:.0f}): --unit"]
    return scale / unit_m, notes


def _names(file: Path | None, channels: int) -> tuple[str, ...]:
    if file is None:
        return ()
    try:
        names = tuple(file.read_text(encoding="utf-8").replace(",", " ").split())
    except FileNotFoundError:
        raise UserError(f"{file} is missing") from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is not a text file: is it damaged?") from None
    if len(names) != channels or len(set(names)) != len(names):
        raise UserError(
            f"{file} holds {len(names)} names ({len(set(names))} different) for {channels} expression channels: "
            "one of its own for each is needed"
        )
    return names


def _write_tables(folder: Path, converted: _Converted, frame_rate: float | None) -> None:
    """The three JSON files and the index map."""
    inner, tracked = converted.intrinsics, converted.tracked
    np.save(folder / "index_map.npy", index_map(converted.places, len(tracked)), allow_pickle=False)
    shared: dict[str, Any] = {
        "camera_angle_x": 2 * math.atan(inner.width / (2 * inner.fx)),
        "intrinsics": [inner.fx, inner.fy, inner.cx, inner.cy],
        "image_size": [inner.width, inner.height],
        "units": {"head_units_per_cm": converted.units_per_m / 100},
        "source": {"file": tracked.root.resolve().name, "form": "tracker folder"},
        "expression_stats": expression_stats(tracked.expressions[rows_of(converted.places, "train")]),
    }
    if converted.names:
        shared["expression_names"] = list(converted.names)
    if frame_rate is not None:
        shared["frame_rate"] = frame_rate
    if (folder / UNSEEN_FILE).exists():
        shared["background_unseen"] = UNSEEN_FILE
    for split in SPLITS:
        # By row, not in time: a shuffled split has its frames in the order of their rows.
        members = sorted((place for place in converted.places if place.split == split), key=lambda place: place.row)
        rows = [_frame_keys(converted, place, frame_rate) for place in members]
        write_json(folder / f"transforms_{split}.json", {**shared, "frames": rows}, indent=1)


def _frame_keys(converted: _Converted, place: Place, frame_rate: float | None) -> dict[str, Any]:
    row = place.temporal
    keys: dict[str, Any] = {
        "file_path": place.name,
        "transform_matrix": converted.poses[row].tolist(),
        "expression": converted.tracked.expressions[row].tolist(),
        # The seed draws rays by `bbox` in training and writes the whole picture for test frames.
        "bbox": WHOLE_IMAGE if place.split == "test" else converted.boxes.sampling[row].tolist(),
        "head_box": converted.boxes.head[row].tolist(),
        "source_frame": row,
    }
    if frame_rate is not None:
        keys["timestamp"] = row / frame_rate
    return keys


def _write_overlay(folder: Path, converted: _Converted, frame_rate: float | None, progress: Progress) -> None:
    """overlay.mp4: mesh, landmarks, head axes and head box over the pictures, at most 600 of them."""
    count = len(converted.tracked)
    chosen = np.arange(0, count, -(-count // MOST_OVERLAY_FRAMES))
    seen = np.zeros((count, 0, 2)) if converted.landmarks is None else converted.landmarks
    mesh = converted.mesh
    faces = OverlayData(
        landmarks=seen[chosen],
        projected=None,
        camera_to_head=converted.poses[chosen],
        intrinsics=converted.intrinsics,
        head_boxes=converted.boxes.head[chosen],
        axis_length=AXIS_LENGTH_M * converted.units_per_m,
    )
    plate = read_image(folder / PLATE_FILE)

    def pictures() -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        progress.start("drawing overlay.mp4", len(chosen))
        for row in chosen:
            image = read_image(converted.tracked.images[row], plate=plate)
            yield image if mesh is None else mesh_over(image, mesh, converted.poses[row], converted.intrinsics)
            progress.advance()

    write_overlay(folder / "overlay.mp4", pictures(), faces, frame_rate or DEFAULT_FRAME_RATE_HZ)
