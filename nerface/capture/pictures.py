"""From the used frames to pictures on disk: a first look at the eyes and the scene, then masks, exposures and plate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from nerface.capture.backdrop import Scene
from nerface.capture.boxes import head_boxes
from nerface.capture.camera_motion import steadied_points
from nerface.capture.clip import Clip
from nerface.capture.irises import IrisReader, IrisTrack
from nerface.capture.matte import PersonMatte
from nerface.capture.plate_photo import PlatePhoto
from nerface.capture.scene import ScenePass
from nerface.capture.scene_look import KnownScene, SceneFrame, SceneLook
from nerface.capture.writer import DatasetWriter
from nerface.progress import SILENT, Progress


@dataclass(frozen=True)
class Pictures:
    """What writing the pictures gave besides files: the `scene`, and where in them is what.

    `head_boxes` fractions; `landmarks` as seen and the solved face's vertices as `projected`, px.
    """

    scene: Scene
    head_boxes: Float[np.ndarray, "frames 4"]
    landmarks: Float[np.ndarray, "frames 478 2"]
    projected: Float[np.ndarray, "frames 468 2"]


def look(
    clip: Clip, matte: PersonMatte, photo: PlatePhoto | None, progress: Progress = SILENT
) -> tuple[IrisTrack, KnownScene]:
    """Irises of all used frames, and the empty scene from some of them; `photo` is the user's own plate."""
    irises = IrisReader()
    scene = SceneLook(len(clip), clip.rows("train"), clip.camera, matte)
    progress.start("eyes and scene", len(clip))
    for row, frame in clip.used():
        irises.add(frame.image, clip.solved.landmarks[row])
        if scene.wants(row):
            scene.add(clip.picture(row, frame))
        progress.advance()
    return irises.finish(), scene.finish(photo)


def write_pictures(
    writer: DatasetWriter, clip: Clip, known: KnownScene, matte: PersonMatte, steady: bool, progress: Progress = SILENT
) -> Pictures:
    """Frames, masks and plate to disk as they stream by; `steady` puts the frames of a moving camera back in place."""
    scene = ScenePass(known, matte, steady)

    def frames() -> Iterator[SceneFrame]:
        for row, frame in clip.used():
            yield clip.picture(row, frame)

    def masks() -> Iterator[np.ndarray]:
        for picture in scene.pictures(frames()):
            stored = writer.add(clip.places[picture.number], picture.image, picture.mask)
            progress.advance()  # not after the yield: the last frame's is never asked to go on
            yield stored

    progress.start("masks and pictures", len(clip))
    landmarks = clip.landmarks
    if scene.steadies:
        # Boxes are sought in the pictures as stored, before every frame's motion is known: a first idea of it will do.
        landmarks = steadied_points(landmarks, known.motion.rotation, clip.camera)
    # The boxes read one mask at a time, so pulling them is what makes the frames stream by.
    boxes = head_boxes(landmarks, masks(), (clip.crop.out_width, clip.crop.out_height))
    found = scene.finish()
    writer.add_plate(found.plate)
    projected = clip.crop.map_points(clip.solved.projected)
    if found.steadied:
        landmarks = steadied_points(clip.landmarks, found.applied, clip.camera)
        projected = steadied_points(projected, found.applied, clip.camera)
    return Pictures(found, boxes, landmarks, projected)
