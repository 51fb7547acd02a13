"""From a picture to a face: MediaPipe's FaceLandmarker networks, driven without the MediaPipe package.

    image -> detect (BlazeFace, short range) -> Region -> measure -> Face (478 landmarks, presence, 52 scores)
          -> region_from(face) -> the region to measure in the next frame

The geometry (letterbox, anchors, region rules, scales) follows the published graphs of MediaPipe's face_landmarker
task; against the package, an implementation of this kind agrees within 0.25 px and 0.015 of a score.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from nerface.capture.detection import Detection, FaceDetector
from nerface.capture.network import open_network
from nerface.errors import UserError

LANDMARKS = 478
FRAMES_ON_GPU = 16  # with their crops: enough to keep it busy (batches of 1 take 3 ms, of 128 take 11)
INPUT_PX = 256
REGION_SCALE = 1.5  # the region's side over the longer side of the face's box (the task's graph)
EYE_CORNERS = (33, 263)  # outer corners, subject's right then left: the line that levels the region

# What face_blendshapes.tflite reads: 146 of the 478 landmarks (face_blendshapes_graph.cc of MediaPipe lists them).
_SCORE_LANDMARKS = """
    0 1 4 5 6 7 8 10 13 14 17 21 33 37 39 40 46 52 53 54 55 58 61 63 65 66 67 70 78 80 81 82 84 87 88 91 93 95 103 105
    107 109 127 132 133 136 144 145 146 148 149 150 152 153 154 155 157 158 159 160 161 162 163 168 172 173 176 178 181
    185 191 195 197 234 246 249 251 263 267 269 270 276 282 283 284 285 288 291 293 295 296 297 300 308 310 311 312 314
    317 318 321 323 324 332 334 336 338 356 361 362 365 373 374 375 377 378 379 380 381 382 384 385 386 387 388 389 390
    397 398 400 402 405 409 415 454 466 468 469 470 471 472 473 474 475 476 477
"""
SCORE_LANDMARKS = np.array([int(word) for word in _SCORE_LANDMARKS.split()])

# The network's outputs in order: a rest score and 51 of the 52 ARKit shapes (there is no tongueOut).
_SCORE_NAMES = """
    _neutral browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft
    cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight eyeLookInLeft eyeLookInRight
    eyeLookOutLeft eyeLookOutRight eyeLookUpLeft eyeLookUpRight eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight
    jawForward jawLeft jawOpen jawRight mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight
    mouthFunnel mouthLeft mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight
    mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight mouthStretchLeft
    mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft noseSneerRight
"""
SCORE_NAMES = tuple(_SCORE_NAMES.split())


@dataclass(frozen=True)
class Region:
    """A turned square of the image that a face is measured in.

    Centre `x`, `y` and side `size` in pixels, `angle` in radians (positive turns the square clockwise on the screen),
    `score` the detector's or the landmark network's belief in [0, 1].
    """

    x: float
    y: float
    size: float
    angle: float
    score: float


@dataclass(frozen=True)
class Face:
    """One measured face.

    `landmarks` [478, 3]: x right and y down in image pixels, z in the same scale, growing away from the camera, with an
    arbitrary origin; `presence` in [0, 1]; `scores` [52], about [0, 1], in the order of `SCORE_NAMES`.
    """

    landmarks: Float[np.ndarray, "478 3"]
    presence: float
    scores: Float[np.ndarray, " 52"]


class FaceLandmarker:
    """The three networks of a `face_landmarker.task` bundle. Raises `UserError` where the bundle is not one.

    `device` runs them: LiteRT with `threads` on the CPU, PyTorch elsewhere; `frames_at_once` tells callers with many
    frames at hand how many to give to `measure_batch`.
    """

    names = SCORE_NAMES

    def __init__(self, task_file: Path, threads: int = 2, device: str = "cpu") -> None:
        self.frames_at_once = 1 if str(device) == "cpu" else FRAMES_ON_GPU
        try:
            with zipfile.ZipFile(task_file) as bundle:
                self._detector = FaceDetector(bundle.read("face_detector.tflite"), threads, device)
                self._landmarks = open_network(bundle.read("face_landmarks_detector.tflite"), threads, device)
                self._scores = open_network(bundle.read("face_blendshapes.tflite"), threads, device)
        except (OSError, zipfile.BadZipFile, KeyError) as error:
            raise UserError(f"{task_file} is not a face_landmarker.task bundle ({error})") from None

    def detect(self, image: UInt8[np.ndarray, "height width 3"], thorough: bool = True) -> list[Region]:
        """Faces of an RGB image, the surest first; small ones are sought in overlapping parts of the image.

        `thorough` also looks through the smallest parts (a face of a thirtieth of the image), at 36 more network calls.
        """
        return [_region_from_detection(detection) for detection in self._detector.detect(image, thorough)]

    def measure(self, image: UInt8[np.ndarray, "height width 3"], region: Region) -> Face:
        """Landmarks, presence and scores of what `region` holds (meaningless where `presence` is low)."""
        return self.measure_batch([image], [[region]])[0][0]

    def measure_batch(
        self, images: Sequence[UInt8[np.ndarray, "height width 3"]], regions: Sequence[Sequence[Region]]
    ) -> list[list[Face]]:
        """The faces in several regions of each of several images, in one call of each network."""
        patches = np.concatenate([_cut(image, own) for image, own in zip(images, regions, strict=True)])
        values, flags = self._landmarks(patches.astype(np.float32) / np.float32(255.0))[:2]
        everywhere = [region for own in regions for region in own]
        landmarks = np.stack(
            [_placed(local, region) for local, region in zip(values.reshape(-1, LANDMARKS, 3) / INPUT_PX, everywhere)]
        )
        scores = self._scores(np.ascontiguousarray(landmarks[:, SCORE_LANDMARKS, :2]))[0]
        scores = scores.reshape(len(landmarks), -1).astype(np.float32)
        presence = 1.0 / (1.0 + np.exp(-np.clip(flags.reshape(len(landmarks)).astype(np.float64), -60.0, 60.0)))
        faces = (Face(*row) for row in zip(landmarks, presence.tolist(), scores))
        return [[next(faces) for _ in own] for own in regions]


def _placed(local: Float[np.ndarray, "478 3"], region: Region) -> Float[np.ndarray, "478 3"]:
    """Landmarks from shares of the region's side to image pixels."""
    cosine, sine = math.cos(region.angle), math.sin(region.angle)
    right, down = ((local[:, :2] - 0.5) * region.size).T
    x, y = region.x + cosine * right - sine * down, region.y + sine * right + cosine * down
    return np.stack([x, y, local[:, 2] * region.size], axis=1).astype(np.float32)


def region_from(face: Face) -> Region:
    """The region that holds a measured face: its landmarks' box, levelled by the eye corners, 1.5 times as large."""
    points = face.landmarks[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    centre = (low + high) / 2
    size = float((high - low).max()) * REGION_SCALE
    start, end = points[EYE_CORNERS[0]], points[EYE_CORNERS[1]]
    angle = math.atan2(float(end[1] - start[1]), float(end[0] - start[0]))
    return Region(float(centre[0]), float(centre[1]), size, angle, face.presence)


def _region_from_detection(detection: Detection) -> Region:
    """A detector's box, turned so that its two eye points are level."""
    first, second = detection.eyes
    angle = math.atan2(second[1] - first[1], second[0] - first[0])
    size = max(detection.width, detection.height) * REGION_SCALE
    return Region(detection.x, detection.y, size, angle, detection.score)


def face_patch(image: UInt8[np.ndarray, "height width 3"], region: Region) -> UInt8[np.ndarray, "256 256 3"]:
    """The region as the landmark network sees it: edges are repeated beyond the image."""
    return np.asarray(_cut(image, [region])[0])


def _cut(
    image: UInt8[np.ndarray, "height width 3"], regions: Sequence[Region]
) -> UInt8[np.ndarray, "regions 256 256 3"]:
    """Regions of one face (sizes within some tenths of each other), 256x256 each."""
    # Plain bilinear sampling skips pixels when it shrinks by more than two: large faces would flicker with their pores.
    shrink = max(1, int(regions[0].size / INPUT_PX))
    left, top = 0, 0
    if shrink > 1:
        left, top, right, bottom = _window(image, regions, shrink)
        image = cv2.resize(
            image[top:bottom, left:right],
            ((right - left) // shrink, (bottom - top) // shrink),
            interpolation=cv2.INTER_AREA,
        )
    offset = (shrink - 1) / 2  # the centre of the first small pixel, in pixels of the image
    # Half-pixel centres: read this way, a face and its mirror image get mirrored landmarks (measured: within 0.1 px of
    # 256); with whole-number centres, as the graph's own CPU path samples, all come out half a pixel to the right.
    half = (INPUT_PX - 1) / 2
    patches = np.empty((len(regions), INPUT_PX, INPUT_PX, 3), np.uint8)
    for patch, region in zip(patches, regions):
        scale = region.size / INPUT_PX / shrink
        cosine, sine = math.cos(region.angle) * scale, math.sin(region.angle) * scale
        x, y = (region.x - left - offset) / shrink, (region.y - top - offset) / shrink
        inverse = np.array(
            [[cosine, -sine, x - half * (cosine - sine)], [sine, cosine, y - half * (sine + cosine)]], np.float64
        )
        patch[:] = cv2.warpAffine(
            image,
            inverse,
            (INPUT_PX, INPUT_PX),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return patches


def _window(
    image: UInt8[np.ndarray, "height width 3"], regions: Sequence[Region], shrink: int
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the part of the image that the regions reach, in whole blocks of `shrink` pixels.

    Blocks are those of the whole image, so that a large frame is shrunk in part exactly as it would be in whole.
    """
    height, width = (side - side % shrink for side in image.shape[:2])
    reach = [region.size * (abs(math.cos(region.angle)) + abs(math.sin(region.angle))) / 2 for region in regions]
    margin = 2 * shrink  # what bilinear sampling looks at beyond the edge

    def outwards(low: float, high: float, limit: int) -> tuple[int, int]:
        start = int(np.clip((low - margin) // shrink * shrink, 0, limit - shrink))
        return start, int(np.clip(-(-(high + margin) // shrink) * shrink, start + shrink, limit))

    left, right = outwards(
        min(r.x - half for r, half in zip(regions, reach)), max(r.x + half for r, half in zip(regions, reach)), width
    )
    top, bottom = outwards(
        min(r.y - half for r, half in zip(regions, reach)), max(r.y + half for r, half in zip(regions, reach)), height
    )
    return left, top, right, bottom
