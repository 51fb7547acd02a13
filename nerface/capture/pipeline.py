"""A video of one person becomes a dataset: tracking, camera and pose, crop, masks, plate, files, evidence.

decode -> landmarks and scores (two passes) -> bundle adjustment -> crop -> masks and plate -> dataset
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from nerface import __version__
from nerface.capture.boxes import head_boxes, sampling_boxes
from nerface.capture.crop import Crop, plan_crop
from nerface.capture.landmarker import FaceLandmarker
from nerface.capture.matte import PersonMatte, steadied
from nerface.capture.options import CaptureOptions
from nerface.capture.overlay import OverlayData, write_overlay
from nerface.capture.plate import Plate, PlateBuilder
from nerface.capture.report import CaptureReport, Clock, eye_distance, pose_ranges, score_ranges, span
from nerface.capture.solving import SolvedClip, solve_clip
from nerface.capture.splits import SPLITS, Place, rows_of, split_frames
from nerface.capture.track_store import load_track, save_track, track_key
from nerface.capture.tracking import FaceTrack, track_face
from nerface.capture.video import VideoInfo, iterate, probe
from nerface.capture.writer import CapturedFrames, CapturedScene, DatasetWriter
from nerface.errors import UserError
from nerface.files import refuse_existing, whole_folder, write_json
from nerface.progress import SILENT, Progress
from nerface.weights import WeightPaths, find_weights, sha256_of

DEFAULTS = CaptureOptions()
AXIS_CM = 10.0  # length of the head axes drawn in the overlay


@dataclass(frozen=True)
class _Source:
    """The video: where it is, what it says of itself, its checksum."""

    path: Path
    info: VideoInfo
    sha256: str


@dataclass(frozen=True)
class _Layout:
    """How the used frames become pictures: where each goes, and the crop of all."""

    places: list[Place]
    crop: Crop


@dataclass(frozen=True)
class _Pictures:
    """What writing the pictures gave besides files."""

    plate: Plate
    head_boxes: Float[np.ndarray, "frames 4"]


def capture(
    video: Path | str,
    folder: Path | str,
    options: CaptureOptions = DEFAULTS,
    progress: Progress = SILENT,
) -> CaptureReport:
    """Capture `video` into the dataset `folder`, which appears complete or not at all.

    An interrupted capture keeps its landmarks beside `folder` (`.capture-<name>`) and takes them up when run again.
    Raises `UserError`: options that make no sense, no such file, not a video, no face or two, too short, weights not to
    be had, `folder` not empty, disk full.
    """
    video, folder = Path(video), Path(folder)
    options.check()
    refuse_existing(folder)
    info = probe(video)
    weights = find_weights(options.weights)
    source = _Source(video, info, sha256_of(video))
    clock = Clock()
    try:
        with clock.stage("landmarks"):
            track = _track(source, folder, weights, options, progress)
        with clock.stage("camera and pose"):
            solved = solve_clip(track, weights.face_landmarker, options.focal_px, info.frame_rate, progress)
        layout = _Layout(
            split_frames(len(solved), options.test_share, options.seed),
            plan_crop(solved.landmarks, track.size, options.size, options.square),
        )
        with whole_folder(folder) as partial:
            with clock.stage("masks, plate, pictures"):
                matte = PersonMatte(weights.selfie_segmentation, options.threads)
                writer = DatasetWriter(partial, options.image_format)
                pictures = _write_pictures(writer, source, solved, layout, matte, progress)
                writer.finish(_frames(solved, layout, pictures), _scene(source, solved, layout.crop))
            with clock.stage("overlay"):
                _write_overlay(partial / "overlay.mp4", source, solved, layout, pictures, progress)
            report = _report(folder, track, solved, layout, pictures, clock)
            write_json(partial / "capture.json", _figures(report, source, solved, options))
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from None
    shutil.rmtree(_kept_folder(folder), ignore_errors=True)
    return report


def _kept_folder(folder: Path) -> Path:
    return folder.with_name(f".capture-{folder.name}")


def _track(
    source: _Source, folder: Path, weights: WeightPaths, options: CaptureOptions, progress: Progress
) -> FaceTrack:
    """The track of the clip, from an interrupted run where there is one."""
    file = _kept_folder(folder) / "track.npz"
    key = track_key(source.sha256, sha256_of(weights.face_landmarker), options.min_face_share)
    track = load_track(file, key)
    if track is not None:
        progress.say(f"landmarks taken up from {file}")
        return track
    landmarker = FaceLandmarker(weights.face_landmarker, options.threads)
    track = track_face(lambda: iterate(source.path), landmarker, source.info.frames, options.min_face_share, progress)
    save_track(file, track, key)
    return track


def _images(source: _Source, solved: SolvedClip, crop: Crop) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The used frames, decoded once more, as they are stored."""
    used = set(solved.numbers.tolist())
    for frame in iterate(source.path):
        if frame.index in used:
            yield crop.apply(frame.image)


def _write_pictures(
    writer: DatasetWriter,
    source: _Source,
    solved: SolvedClip,
    layout: _Layout,
    matte: PersonMatte,
    progress: Progress,
) -> _Pictures:
    """Frames and masks to disk as they stream by; the plate from the training frames alone."""
    crop = layout.crop
    builder = PlateBuilder(crop.out_height, crop.out_width, len(rows_of(layout.places, "train")))
    waiting: deque[np.ndarray] = deque()

    def masks() -> Iterator[np.ndarray]:
        for image in _images(source, solved, crop):
            waiting.append(image)  # masks come one frame late, mixed with their neighbours
            yield matte(image)

    def written() -> Iterator[np.ndarray]:
        for place, mask in zip(layout.places, steadied(masks())):
            image = waiting.popleft()
            if place.split == "train":
                builder.add(image, mask)
            stored = writer.add(place, image, mask)
            progress.advance()  # not after the yield: the last frame's is never asked to go on
            yield stored

    progress.start("masks and pictures", len(solved))
    # The boxes read one mask at a time, so pulling them is what makes the frames stream by.
    boxes = head_boxes(crop.map_points(solved.landmarks), written(), (crop.out_width, crop.out_height))
    plate = builder.finish()
    writer.add_plate(plate)
    return _Pictures(plate, boxes)


def _write_overlay(
    path: Path, source: _Source, solved: SolvedClip, layout: _Layout, pictures: _Pictures, progress: Progress
) -> None:
    crop = layout.crop
    progress.start("overlay video", len(solved))

    def images() -> Iterator[np.ndarray]:
        for image in _images(source, solved, crop):
            yield image
            progress.advance()

    faces = OverlayData(
        landmarks=crop.map_points(solved.landmarks),
        projected=crop.map_points(solved.projected),
        camera_to_head=solved.camera_to_head,
        intrinsics=crop.intrinsics(solved.focal, solved.centre),
        head_boxes=pictures.head_boxes,
        axis_length=AXIS_CM * solved.units_per_cm,
    )
    write_overlay(path, images(), faces, solved.frame_rate)


def _frames(solved: SolvedClip, layout: _Layout, pictures: _Pictures) -> CapturedFrames:
    return CapturedFrames(
        places=layout.places,
        camera_to_head=solved.camera_to_head,
        expressions=solved.scores,
        names=solved.names,
        head_boxes=pictures.head_boxes,
        sampling_boxes=sampling_boxes(pictures.head_boxes),
        source_frames=solved.numbers,
        timestamps=solved.timestamps,
    )


def _scene(source: _Source, solved: SolvedClip, crop: Crop) -> CapturedScene:
    return CapturedScene(
        intrinsics=crop.intrinsics(solved.focal, solved.centre),
        frame_rate=solved.frame_rate,
        units_per_cm=solved.units_per_cm,
        source={
            "file": source.path.name,
            "sha256": source.sha256,
            "crop": [crop.left, crop.top, crop.width, crop.height],
            "rotation": source.info.rotation,
        },
    )


def _report(
    folder: Path, track: FaceTrack, solved: SolvedClip, layout: _Layout, pictures: _Pictures, clock: Clock
) -> CaptureReport:
    return CaptureReport(
        folder=folder,
        frames_decoded=len(track),
        frames_used=len(solved),
        dropped=solved.dropped.counts(),
        splits={split: len(rows_of(layout.places, split)) for split in SPLITS},
        rms_px=solved.rms_px,
        rms_share=solved.rms_px / max(eye_distance(solved.landmarks), 1e-6),
        focal_px=solved.focal,
        focal_assumed=solved.focal_assumed,
        crop=layout.crop,
        plate_seen=pictures.plate.seen_share,
        seconds=clock.seconds,
    )


def _figures(report: CaptureReport, source: _Source, solved: SolvedClip, options: CaptureOptions) -> dict[str, Any]:
    """The content of `capture.json`."""
    info, crop = source.info, report.crop
    choices = asdict(options)
    choices.pop("weights")  # a path of this machine says nothing about the dataset
    return {
        "nerface_version": __version__,
        "source": {"file": source.path.name, "sha256": source.sha256, **asdict(info)},
        "options": choices,
        "frames": {
            "decoded": report.frames_decoded,
            "used": report.frames_used,
            "dropped": solved.dropped.as_json(),
            "splits": report.splits,
            "frame_rate": solved.frame_rate,
        },
        "reprojection_error": {
            "rms_px": report.rms_px,
            "share_of_eye_distance": report.rms_share,
            "eye_distance_px": eye_distance(solved.landmarks),
            "frame_rms_px": span(solved.frame_rms_px),
            "measured_in": "px of the upright source frame",
        },
        "camera": {
            "focal_px": solved.focal,
            "focal_over_longer_side": solved.focal / max(info.width, info.height),
            "focal_assumed": solved.focal_assumed,
            "head_units_per_cm": solved.units_per_cm,
        },
        "crop": {**asdict(crop), "scale": crop.scale, "size_wanted": options.size},
        "pose": pose_ranges(solved.camera_to_head),
        "plate": {"seen_share": report.plate_seen},
        "scores": score_ranges(solved.names, solved.scores),
        "seconds": report.seconds,
    }
