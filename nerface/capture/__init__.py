"""From a video of one person to a dataset. The way of a frame, stage by stage (`pipeline` calls them in this order):

video, video_*              decoding: any file to upright 8-bit RGB with true time stamps
network, tflite_file, torch_*, detection, landmarker
                            the networks, on CPU or GPU: image -> faces, 478 landmarks, 52 scores
tracking, tracking_*        pass 1 follows the face, pass 2 measures it; likeness, covering and sharpness tell
                            which frames not to use
skin, skin_region           spots on the skin, followed from frame to frame
face_track, track_store     what tracking hands on, and keeps of an interrupted run
solving, bundle, bundle_*   camera, poses, face shape, expression basis
clip, crop, splits, boxes   which frame goes where, and cut how
irises, eye_*, gaze, blinks, expressions
                            eyes measured on the pictures; all channels of a frame
scene_look, scene, backdrop, backdrop_change, camera_motion, exposure, matte, matte_edge, plate, plate_photo,
plain_backdrop              the scene behind the person: masks, plate, exposure, a moving camera
pictures, writer, overlay, figures, report
                            files and evidence
advice, advice_*, page, page_*
                            report.html: what was found, and what to film differently
refit                       what training learned of the poses, told to frames it never saw
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nerface.capture.options import CaptureOptions
    from nerface.capture.pipeline import capture
    from nerface.capture.report import CaptureReport

__all__ = ["CaptureOptions", "CaptureReport", "capture"]

# Loaded when asked for: evaluation measures faces with `nerface.capture.landmarker` and needs none of the rest.
_HOMES = {"CaptureOptions": "options", "CaptureReport": "report", "capture": "pipeline"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
