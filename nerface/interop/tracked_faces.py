"""Landmarks of a few pictures by our own network, for clips whose tracker left none: only to doubt its poses by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from nerface.capture.landmarker import FaceLandmarker, region_from
from nerface.data.images import over
from nerface.errors import UserError
from nerface.interop.tracked_pictures import Pictures, alpha_mask
from nerface.progress import Progress
from nerface.weights import find_weights

LOOKED_AT = 32  # pictures, evenly spread
LEAST_PRESENCE = 0.5
LEAST_FOUND = 0.5  # share of them: a face that is found less often is none, or too hard to doubt others by
IBUG_POINTS = 68
# Which of the network's 478 points stands at which iBUG point: chin, nose, corners of eyes and mouth.
_POINTS = "8:152 27:168 28:6 29:197 30:4 31:98 33:2 35:327 36:33 39:133 42:362 45:263 48:61 54:291"
SAME_POINT = {int(ours): int(theirs) for ours, theirs in (pair.split(":") for pair in _POINTS.split())}
GREY = 200


def measured_landmarks(
    pictures: Pictures, frames: int, weights: Path | None, progress: Progress
) -> Float[np.ndarray, "frames 68 2"] | None:
    """Some of the iBUG points (px) in some of the `frames`, NaN elsewhere; None without the networks (looked for in
    `weights` first) or a face."""
    try:
        file = find_weights(weights).face_landmarker
    except UserError:
        return None
    landmarker = FaceLandmarker(file)
    chosen = np.unique(np.linspace(0, frames - 1, min(frames, LOOKED_AT)).round().astype(int))
    points = np.full((frames, IBUG_POINTS, 2), np.nan)
    progress.start("looking at faces", len(chosen))
    found = 0
    for picture in pictures.each([int(row) for row in chosen]):
        image = picture.rgb()
        if picture.transparent:
            image = over(image, alpha_mask(picture.row, picture.pixels), np.full_like(image, GREY))
        seen = _points(landmarker, image)
        if seen is not None:
            points[picture.row, list(SAME_POINT)] = seen[list(SAME_POINT.values())]
            found += 1
        progress.advance()
    return points if found >= max(1, LEAST_FOUND * len(chosen)) else None


def _points(
    landmarker: FaceLandmarker, image: UInt8[np.ndarray, "height width 3"]
) -> Float[np.ndarray, "478 2"] | None:
    """The surest face of a picture, measured twice so that the second look is well placed."""
    regions = landmarker.detect(image, thorough=False)
    if not regions:
        return None
    face = landmarker.measure(image, regions[0])
    if face.presence >= LEAST_PRESENCE:
        face = landmarker.measure(image, region_from(face))
    return face.landmarks[:, :2] if face.presence >= LEAST_PRESENCE else None
