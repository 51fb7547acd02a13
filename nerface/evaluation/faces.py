"""Is the drawn face a face, in place, doing the right thing? The landmark net judges render and truth alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from nerface.capture.landmarker import EYE_CORNERS, Face, Region, region_from

PRESENCE_NEEDED = 0.5  # the graph's own threshold
SMALLEST_SIDE_PX = 256  # smaller pictures are enlarged first: the net was made for faces of that order
SCORES_COMPARED = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthSmileRight", "mouthPucker")
SMALLEST_SPREAD = 0.01  # a score that hardly moves in the truth has no correlation worth telling


class Landmarker(Protocol):
    """What is needed of `nerface.capture.landmarker.FaceLandmarker`."""

    @property
    def names(self) -> Sequence[str]: ...

    def detect(self, image: UInt8[np.ndarray, "height width 3"]) -> list[Region]: ...

    def measure(self, image: UInt8[np.ndarray, "height width 3"], region: Region) -> Face: ...


@dataclass(frozen=True)
class FaceCheck:
    """What the landmark net says of renders, against the same net on the true frames.

    `found_share` of the frames whose truth shows a face (`truth_found_share` of all) show one in the render too.
    `landmark_error_*`: the distance of a landmark from its true place, in the picture's plane, mean over the 478, as a
    share of the distance of the truth's outer eye corners; mean and 95th percentile over frames. `correlations`
    (Pearson, over frames) name the scores that move in the truth; NaN where the render's does not move at all.
    """

    frames: int
    found_share: float
    truth_found_share: float
    landmark_error_mean: float
    landmark_error_p95: float
    correlations: dict[str, float]


def check_faces(
    renders: Iterable[UInt8[np.ndarray, "height width 3"]],
    truths: Iterable[UInt8[np.ndarray, "height width 3"]],
    landmarker: Landmarker,
    names: Sequence[str] = SCORES_COMPARED,
) -> FaceCheck:
    """Compare renders with the true frames of the same poses and expressions, a pair at a time.

    The render is searched from scratch: nothing of the truth tells the net where to look. Figures that nothing could
    be measured for are NaN.
    """
    frames, truth_found = 0, 0
    errors: list[float] = []
    scores: list[Float[np.ndarray, "2 52"]] = []
    for render, truth in zip(renders, truths, strict=True):
        frames += 1
        expected = find_face(truth, landmarker)
        if expected is None:
            continue
        truth_found += 1
        face = find_face(render, landmarker)
        if face is None:
            continue
        errors.append(landmark_error(face, expected))
        scores.append(np.stack([face.scores, expected.scores]))
    series = np.array(scores).reshape(len(scores), 2, len(landmarker.names))
    return FaceCheck(
        frames=frames,
        found_share=len(errors) / truth_found if truth_found else math.nan,
        truth_found_share=truth_found / frames if frames else math.nan,
        landmark_error_mean=float(np.mean(errors)) if errors else math.nan,
        landmark_error_p95=float(np.percentile(errors, 95)) if errors else math.nan,
        correlations=_correlations(series, landmarker.names, names),
    )


def find_face(image: UInt8[np.ndarray, "height width 3"], landmarker: Landmarker) -> Face | None:
    """The surest face of a picture, measured twice (the second time in the region the first gave), or None."""
    scale = SMALLEST_SIDE_PX / min(image.shape[:2])
    if scale > 1:
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    regions = landmarker.detect(image)
    if not regions:
        return None
    face = landmarker.measure(image, regions[0])
    if face.presence < PRESENCE_NEEDED:
        return None
    refined = landmarker.measure(image, region_from(face))
    return refined if refined.presence >= PRESENCE_NEEDED else None


def landmark_error(face: Face, truth: Face) -> float:
    """Mean distance of corresponding landmarks in the picture's plane, over the truth's eye distance."""
    offsets = face.landmarks[:, :2] - truth.landmarks[:, :2]
    start, end = truth.landmarks[EYE_CORNERS[0], :2], truth.landmarks[EYE_CORNERS[1], :2]
    return float(np.linalg.norm(offsets, axis=1).mean() / np.linalg.norm(end - start))


def _correlations(
    series: Float[np.ndarray, "frames 2 52"], all_names: Sequence[str], names: Sequence[str]
) -> dict[str, float]:
    found = {}
    for name in names:
        if name not in all_names or len(series) < 2:
            continue
        render, truth = series[:, :, list(all_names).index(name)].T.astype(np.float64)
        if truth.std() < SMALLEST_SPREAD:
            continue
        found[name] = float(np.corrcoef(render, truth)[0, 1]) if render.std() > 0 else math.nan
    return found
