"""Writes a tracked clip as a dataset: the one way by which every importer does it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from nerface.capture.overlay import OverlayData, write_overlay
from nerface.capture.splits import SPLITS, Place, rows_of
from nerface.capture.writer import PLATE_FILE, UNSEEN_FILE, WHOLE_IMAGE, expression_stats, mask_name, write_image
from nerface.data.images import over, read_image
from nerface.data.seed_layout import ESTIMATED
from nerface.errors import UserError
from nerface.files import refuse_existing, whole_folder, write_json
from nerface.interop.tracked import MEAN_DISTANCE, TrackedClip
from nerface.interop.tracked_boxes import boxes_of_ibug
from nerface.interop.tracked_doubts import refuse_doubtful
from nerface.interop.tracked_faces import measured_landmarks
from nerface.interop.tracked_pictures import alpha_mask
from nerface.interop.tracked_plate import GivenPlate, PlateMaker, SeenPlate
from nerface.interop.tracker_boxes import (
    TrackedBoxes,
    boxes_of_heads,
    boxes_of_landmarks,
    boxes_of_mesh,
    read_landmarks,
)
from nerface.interop.tracker_mesh import FaceMesh, mesh_over, read_face_mesh
from nerface.interop.tracker_splits import SplitOptions, index_map, kept_splits, split_tracked
from nerface.progress import SILENT, Progress
from nerface.types import Intrinsics
from nerface.video import DEFAULT_FRAME_RATE_HZ

MOST_OVERLAY_FRAMES = 600  # longer clips show every k-th frame
AXIS_LENGTH_M = 0.1
UNITS_M = ((10.0, 1.0, "metres"), (200.0, 0.01, "centimetres"), (math.inf, 0.001, "millimetres"))


@dataclass(frozen=True)
class ImportOptions:
    """What the user may say of a tracked clip.

    `split` divides it where the source does not, or with `resplit`; `mesh` (with `mesh_scale`, its unit in the
    tracker's) or `landmarks` give the boxes; `background` is the picture of the empty scene; `names` names the
    expression channels, one a line or word; `frame_rate` in Hz; `unit_m` is the tracker's unit of length in metres
    (None: as the format has it, or judged by the camera's distance); `cropped_from` is the (W, H) that the intrinsics
    of NeRFace's tracker belong to where the pictures are the middle of larger ones. `doubts` False writes the dataset
    although axes or lengths look wrong; where the tracker left no landmarks, they are told from faces that the
    capture's network finds (`weights` is where to look for it first).
    """

    split: SplitOptions = field(default_factory=SplitOptions)
    resplit: bool = False
    mesh: Path | None = None
    mesh_scale: float = 1e-6
    landmarks: Path | None = None
    background: Path | None = None
    names: Path | None = None
    frame_rate: float | None = None
    unit_m: float | None = None
    cropped_from: tuple[int, int] | None = None
    overlay: bool = True
    doubts: bool = True
    weights: Path | None = None


@dataclass(frozen=True)
class ImportReport:
    """What an import found: the `form` of the source, `counts` of frames by split, `scale` (head units in the tracker's
    unit of length), the camera, and `notes`, the lines a user should read."""

    form: str
    counts: dict[str, int]
    unused: int
    scale: float
    intrinsics: Intrinsics
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Converted:
    """All numbers of a dataset to be, frames in temporal order, and what is drawn on the overlay."""

    clip: TrackedClip
    poses: Float[np.ndarray, "frames 4 4"]
    units_per_m: float
    boxes: TrackedBoxes
    places: list[Place]
    names: tuple[str, ...]
    frame_rate: float | None
    mesh: FaceMesh | None
    landmarks: Float[np.ndarray, "frames landmarks 2"] | None

    def count(self, split: str) -> int:
        return len(rows_of(self.places, split))


def write_tracked(
    clip: TrackedClip, output: Path, options: ImportOptions | None = None, progress: Progress = SILENT
) -> ImportReport:
    """Write the dataset `output` from a tracked clip; it appears whole or not at all.

    Raises `UserError`, one line, for pictures that are missing or broken, options that do not fit, and where the poses
    cannot be right (`nerface.interop.tracked_doubts`).
    """
    options = options or ImportOptions()
    refuse_existing(output)
    if len(clip) == 0:
        raise UserError(f"{clip.root} holds no tracked frame")
    maker_of_plate = _plate_maker(clip, options)
    converted, notes = _convert(clip, options, progress)
    if options.doubts:
        refuse_doubtful(_looked_at(clip, options, progress), converted.units_per_m)
    maker = maker_of_plate or SeenPlate(clip.pictures.size, converted.count("train"))
    with whole_folder(output) as folder:
        (folder / "bg").mkdir()
        _write_pictures(folder, converted, maker, progress)
        notes += [note for note in (maker.write(folder),) if note]
        _write_tables(folder, converted)
        if options.overlay:
            _write_overlay(folder, converted, progress)
    counts = {split: converted.count(split) for split in SPLITS}
    unused = len(clip) - len(converted.places)
    return ImportReport(clip.form, counts, unused, clip.head_units(), clip.intrinsics, (*clip.notes, *notes))


def _looked_at(clip: TrackedClip, options: ImportOptions, progress: Progress) -> TrackedClip:
    """The clip with landmarks to doubt it by: its own, or of some pictures where the networks are there.

    NeRFace's tracker is left alone: its head space is a mirror image where fx < 0, which landmarks would call wrong.
    """
    if clip.landmarks is not None or clip.intrinsics.fx < 0:
        return clip
    return replace(clip, landmarks=measured_landmarks(clip.pictures, len(clip), options.weights, progress))


def _plate_maker(clip: TrackedClip, options: ImportOptions) -> PlateMaker | None:
    """A given background, or None where it has to be made."""
    file = options.background or clip.plate
    return None if file is None else GivenPlate(read_image(file, clip.pictures.size, white=True))


def _convert(clip: TrackedClip, options: ImportOptions, progress: Progress) -> tuple[_Converted, list[str]]:
    """The numbers, and notes for the user."""
    scale, size, notes = clip.head_units(), clip.pictures.size, []
    unit_m = options.unit_m or clip.unit_m
    if unit_m is None:
        unit_m, note = _judged_unit(scale)
        notes += [note] if note else []
    mesh = None if options.mesh is None else read_face_mesh(options.mesh, options.mesh_scale * scale)
    landmarks = None if options.landmarks is None else read_landmarks(options.landmarks, len(clip))
    names = _names(options.names, clip)
    kept = None if options.resplit else kept_splits(clip.splits, options.split)
    places = kept or split_tracked(len(clip), options.split)
    if clip.splits is not None and not options.resplit and kept is None:
        notes.append("the source's splits leave nothing to train on or to test: the clip is divided anew")
    poses = clip.poses()
    if mesh is not None:
        boxes = boxes_of_mesh(mesh, poses, clip.intrinsics, progress)
    elif landmarks is not None:
        boxes = boxes_of_landmarks(landmarks, size)
    elif clip.landmarks is not None:
        boxes = boxes_of_ibug(clip.landmarks, size)
    else:
        boxes = boxes_of_heads(poses, clip.intrinsics, scale / unit_m)
        notes.append("boxes are those of a head of usual size at the poses: --mesh or --landmarks gives better ones")
    whole = int(np.isclose(boxes.sampling, WHOLE_IMAGE).all(axis=1).sum())
    if whole:
        notes.append(
            f"in {whole} of {len(poses)} frames the box is the whole picture: is the head where the poses say?"
        )
    shown = clip.landmarks if landmarks is None else landmarks
    rate = options.frame_rate or clip.frame_rate
    return _Converted(clip, poses, scale / unit_m, boxes, places, names, rate, mesh, shown), notes


def _judged_unit(scale: float) -> tuple[float, str]:
    """The tracker's unit in metres by the camera's distance, with a note where that is not plainly metres."""
    distance = MEAN_DISTANCE / scale
    unit_m, name = next((unit, name) for most, unit, name in UNITS_M if distance < most)
    return (
        unit_m,
        "" if unit_m == 1.0 else f"the poses are taken to be in {name} (mean distance {distance:.0f}): --unit",
    )


def _names(file: Path | None, clip: TrackedClip) -> tuple[str, ...]:
    if file is None:
        return clip.names
    try:
        names = tuple(file.read_text(encoding="utf-8").replace(",", " ").split())
    except FileNotFoundError:
        raise UserError(f"{file} is missing") from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is not a text file: is it damaged?") from None
    channels = clip.expressions.shape[1]
    if len(names) != channels or len(set(names)) != len(names):
        raise UserError(
            f"{file} holds {len(names)} names ({len(set(names))} different) for {channels} expression channels: "
            "one of its own for each is needed"
        )
    return names


def _write_pictures(folder: Path, converted: _Converted, maker: PlateMaker, progress: Progress) -> None:
    """The used pictures to their splits (files byte for byte), their masks, and the training ones to the plate."""
    pictures = converted.clip.pictures
    for split in SPLITS:
        (folder / split).mkdir()
        if pictures.masked:
            (folder / "masks" / split).mkdir(parents=True)
    places = {place.temporal: place for place in converted.places}
    progress.start("copying pictures", len(places))
    for picture in pictures.each(sorted(places)):
        place = places[picture.row]
        if picture.file is not None:
            shutil.copyfile(picture.file, folder / (place.name + picture.file.suffix.lower()))
        else:
            write_image(folder / f"{place.name}.png", picture.rgb())
        mask = pictures.mask(picture) if pictures.masked else None
        if mask is not None:
            write_image(folder / mask_name(place), mask)
        if place.split == "train":
            maker.add(picture, mask, converted.boxes.sampling[picture.row])
        progress.advance()


def _write_tables(folder: Path, converted: _Converted) -> None:
    """The three JSON files and the index map."""
    clip = converted.clip
    inner = clip.intrinsics
    np.save(folder / "index_map.npy", index_map(converted.places, clip.numbers), allow_pickle=False)
    shared: dict[str, Any] = {
        "camera_angle_x": 2 * math.atan(inner.width / (2 * inner.fx)),
        "intrinsics": [inner.fx, inner.fy, inner.cx, inner.cy],
        "image_size": [inner.width, inner.height],
        "units": {"head_units_per_cm": converted.units_per_m / 100},
        "source": {"file": clip.root.resolve().name, "form": clip.form},
        "expression_stats": expression_stats(clip.expressions[rows_of(converted.places, "train")]),
    }
    if clip.estimated:
        shared["poses"] = ESTIMATED
    if converted.names:
        shared["expression_names"] = list(converted.names)
    if converted.frame_rate is not None:
        shared["frame_rate"] = converted.frame_rate
    if (folder / UNSEEN_FILE).exists():
        shared["background_unseen"] = UNSEEN_FILE
    for split in SPLITS:
        # By row, not in time: a shuffled split has its frames in the order of their rows.
        members = sorted((place for place in converted.places if place.split == split), key=lambda place: place.row)
        rows = [_frame_keys(converted, place) for place in members]
        write_json(folder / f"transforms_{split}.json", {**shared, "frames": rows}, indent=1)


def _frame_keys(converted: _Converted, place: Place) -> dict[str, Any]:
    clip, row = converted.clip, place.temporal
    keys: dict[str, Any] = {
        "file_path": place.name,
        "transform_matrix": converted.poses[row].tolist(),
        "expression": clip.expressions[row].tolist(),
        # The seed draws rays by `bbox` in training and writes the whole picture for test frames.
        "bbox": WHOLE_IMAGE if place.split == "test" else converted.boxes.sampling[row].tolist(),
        "head_box": converted.boxes.head[row].tolist(),
        "source_frame": int(clip.numbers[row]),
    }
    if clip.times is not None:
        keys["timestamp"] = float(clip.times[row])
    elif converted.frame_rate is not None:
        keys["timestamp"] = int(clip.numbers[row]) / converted.frame_rate
    if clip.pictures.masked:
        keys["mask_path"] = mask_name(place)
    return keys


def _write_overlay(folder: Path, converted: _Converted, progress: Progress) -> None:
    """overlay.mp4: mesh, landmarks, head axes and head box over the pictures, at most 600 of them."""
    clip, mesh = converted.clip, converted.mesh
    chosen = np.arange(0, len(clip), -(-len(clip) // MOST_OVERLAY_FRAMES))
    seen = np.zeros((len(clip), 0, 2)) if converted.landmarks is None else converted.landmarks
    faces = OverlayData(
        landmarks=seen[chosen],
        projected=None,
        camera_to_head=converted.poses[chosen],
        intrinsics=clip.intrinsics,
        head_boxes=converted.boxes.head[chosen],
        axis_length=AXIS_LENGTH_M * converted.units_per_m,
    )
    plate = read_image(folder / PLATE_FILE)

    def pictures() -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        progress.start("drawing overlay.mp4", len(chosen))
        for picture in clip.pictures.each([int(row) for row in chosen]):
            image = picture.rgb()
            if picture.transparent:
                image = over(image, alpha_mask(picture.row, picture.pixels), plate)
            yield image if mesh is None else mesh_over(image, mesh, converted.poses[picture.row], clip.intrinsics)
            progress.advance()

    write_overlay(folder / "overlay.mp4", pictures(), faces, converted.frame_rate or DEFAULT_FRAME_RATE_HZ)
