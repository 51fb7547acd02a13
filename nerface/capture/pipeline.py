"""A video of one person becomes a dataset: tracking, camera and pose, crop, masks, plate, files, evidence.

decode -> landmarks and scores (two passes) -> bundle adjustment -> crop -> eyes, first look at the scene
       -> masks, exposures, pictures, plate -> tables -> overlay, figures, report
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from nerface.capture.boxes import sampling_boxes
from nerface.capture.camera_motion import steadied_poses
from nerface.capture.clip import Clip, Source
from nerface.capture.crop import plan_crop
from nerface.capture.expressions import expressions
from nerface.capture.face_track import FaceTrack
from nerface.capture.figures import capture_figures
from nerface.capture.landmarker import FaceLandmarker
from nerface.capture.matte import PersonMatte
from nerface.capture.options import CaptureOptions
from nerface.capture.overlay import OverlayData, write_overlay
from nerface.capture.page import write_report
from nerface.capture.pictures import Pictures, look, write_pictures
from nerface.capture.plate_photo import check_plate_photo, read_plate_photo
from nerface.capture.report import CaptureReport, Clock, eye_distance
from nerface.capture.solving import solve_clip
from nerface.capture.splits import SPLITS, split_frames
from nerface.capture.track_store import TrackStore, load_track, save_track, track_key
from nerface.capture.tracking import track_face
from nerface.capture.video import WORKING_PX, VideoInfo, VideoReader
from nerface.capture.writer import CapturedFrames, CapturedScene, DatasetWriter
from nerface.data.images import read_image
from nerface.errors import UserError
from nerface.files import refuse_irreplaceable, whole_folder, write_json
from nerface.progress import SILENT, Progress
from nerface.weights import WeightPaths, find_weights, sha256_of

DEFAULTS = CaptureOptions()
SANE_FOCAL = (0.4, 8.0)  # over the longer side: 100 to 7 degrees of view
AXIS_CM = 10.0  # length of the head axes drawn in the overlay


def capture(
    video: Path | str,
    folder: Path | str,
    options: CaptureOptions = DEFAULTS,
    progress: Progress = SILENT,
) -> CaptureReport:
    """Capture `video` into the dataset `folder`, which appears complete or not at all.

    An interrupted capture keeps what it measured beside `folder` (`.capture-<name>`) and takes it up when run again.
    No network connection is opened once the weights are there. Raises `UserError`: options that make no sense, no such
    file, not a video, no face or two, too short, a plate that is missing, broken or of another place, weights not to be
    had, `folder` not empty, disk full.
    """
    video, folder = Path(video), Path(folder)
    options.check()
    refuse_irreplaceable(folder)
    reader = VideoReader(video, max(WORKING_PX, options.size))
    _check_focal(options.focal_px, reader.info)
    if options.plate is not None:
        check_plate_photo(options.plate, (reader.info.width, reader.info.height))
    weights = find_weights(options.weights)
    source, clock = Source(reader, sha256_of(video)), Clock()
    try:
        with clock.stage("landmarks"):
            track = _track(source, folder, weights, options, progress)
        with clock.stage("camera and pose"):
            clip = _solve(source, track, weights, options, progress)
        matte = PersonMatte(weights.selfie_segmentation, options.threads, options.device)
        with clock.stage("eyes and scene"):
            photo = None if options.plate is None else read_plate_photo(options.plate, track.size, clip.crop)
            irises, known = look(clip, matte, photo, progress)
            spoken = expressions(track, clip.solved, irises)
            clip = replace(clip, solved=replace(clip.solved, names=spoken.names, scores=spoken.values))
        with whole_folder(folder) as partial:
            with clock.stage("masks, plate, pictures"):
                writer = DatasetWriter(partial, options.image_format)
                pictures = write_pictures(writer, clip, known, matte, options.steady, progress)
                clip = _steadied(clip, pictures)
                writer.finish(_frames(clip, pictures), _scene(clip))
            with clock.stage("overlay"):
                _write_overlay(partial, options.image_format, clip, pictures, progress)
            report = _report(folder, clip, pictures, clock)
            write_json(partial / "capture.json", capture_figures(report, clip, pictures.scene, options))
            write_report(partial)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from None
    shutil.rmtree(_kept_folder(folder), ignore_errors=True)
    return report


def _check_focal(focal_px: float | None, info: VideoInfo) -> None:
    longer = max(info.original_size)
    if focal_px is not None and not SANE_FOCAL[0] <= focal_px / longer <= SANE_FOCAL[1]:
        raise UserError(
            f"focal length {focal_px:g}: a video of {longer} px on its longer side has {SANE_FOCAL[0] * longer:.0f} to "
            f"{SANE_FOCAL[1] * longer:.0f} px; it is counted in pixels of the video, not in millimetres"
        )


def _kept_folder(folder: Path) -> Path:
    return folder.with_name(f".capture-{folder.name}")


def _track(
    source: Source, folder: Path, weights: WeightPaths, options: CaptureOptions, progress: Progress
) -> FaceTrack:
    """The track of the clip, from an interrupted run where there is one, or from as far as that came."""
    kept = _kept_folder(folder)
    info = source.reader.info
    key = track_key(
        source.sha256, sha256_of(weights.face_landmarker), (info.width, info.height), options.min_face_share
    )
    track = load_track(kept / "track.npz", key)
    if track is not None:
        progress.say(f"landmarks taken up from {kept}")
        return track
    landmarker = FaceLandmarker(weights.face_landmarker, options.threads, options.device)
    try:
        track = track_face(
            lambda: source.reader,
            landmarker,
            info.frames,
            options.min_face_share,
            progress,
            store=TrackStore(kept, key),
        )
    except UserError:  # about the video: another try would end the same
        shutil.rmtree(kept, ignore_errors=True)
        raise
    save_track(kept / "track.npz", track, key)
    return track


def _solve(source: Source, track: FaceTrack, weights: WeightPaths, options: CaptureOptions, progress: Progress) -> Clip:
    """Camera and poses, and from them how the used frames become pictures."""
    info = source.reader.info
    focal = None if options.focal_px is None else options.focal_px * info.scale
    solved = solve_clip(track, weights.face_landmarker, focal, info.frame_rate, progress, info.focal_px)
    places = split_frames(len(solved), options.test_share, options.seed)
    crop = plan_crop(solved.landmarks, track.size, options.size, options.square)
    return Clip(source, track, solved, places, crop)


def _steadied(clip: Clip, pictures: Pictures) -> Clip:
    """The clip with the poses of its pictures: the camera put back where they were."""
    if not pictures.scene.steadied:
        return clip
    poses = steadied_poses(clip.solved.camera_to_head, pictures.scene.applied)
    return replace(clip, solved=replace(clip.solved, camera_to_head=poses))


def _write_overlay(partial: Path, ending: str, clip: Clip, pictures: Pictures, progress: Progress) -> None:
    """The evidence video, from the pictures as stored."""
    progress.start("overlay video", len(clip))

    def images() -> Iterator[np.ndarray]:
        for place in clip.places:
            yield read_image(partial / f"{place.name}.{ending}")
            progress.advance()

    faces = OverlayData(
        landmarks=pictures.landmarks,
        projected=pictures.projected,
        camera_to_head=clip.solved.camera_to_head,
        intrinsics=clip.camera,
        head_boxes=pictures.head_boxes,
        axis_length=AXIS_CM * clip.solved.units_per_cm,
    )
    write_overlay(partial / "overlay.mp4", images(), faces, clip.solved.frame_rate)


def _frames(clip: Clip, pictures: Pictures) -> CapturedFrames:
    solved = clip.solved
    return CapturedFrames(
        places=clip.places,
        camera_to_head=solved.camera_to_head,
        expressions=solved.scores,
        names=solved.names,
        head_boxes=pictures.head_boxes,
        sampling_boxes=sampling_boxes(pictures.head_boxes),
        source_frames=solved.numbers,
        timestamps=solved.timestamps,
        exposures=pictures.scene.exposure.gains,
    )


def _scene(clip: Clip) -> CapturedScene:
    crop, info = clip.crop, clip.source.reader.info
    return CapturedScene(
        intrinsics=clip.camera,
        frame_rate=clip.solved.frame_rate,
        units_per_cm=clip.solved.units_per_cm,
        source={
            "file": clip.source.path.name,
            "sha256": clip.source.sha256,
            "crop": [crop.left, crop.top, crop.width, crop.height],
            "rotation": info.rotation,
            "scale": info.scale,
        },
    )


def _report(folder: Path, clip: Clip, pictures: Pictures, clock: Clock) -> CaptureReport:
    solved = clip.solved
    eyes = max(eye_distance(solved.landmarks), 1e-6)
    return CaptureReport(
        folder=folder,
        frames_decoded=len(clip.track),
        frames_used=len(solved),
        dropped=solved.dropped.counts(),
        splits={split: len(clip.rows(split)) for split in SPLITS},
        rms_px=solved.rms_px,
        rms_share=solved.rms_px / eyes,
        held_out_share=solved.held_out_rms_px / eyes,
        focal_px=solved.focal / clip.source.reader.info.scale,
        focal_assumed=solved.focal_assumed,
        crop=clip.crop,
        plate_seen=pictures.scene.plate.seen_share,
        seconds=clock.seconds,
        notes=clip.source.reader.notes,
    )
