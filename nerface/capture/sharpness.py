"""How sharp the face is in a frame, and which frames are blurred beyond use."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import median_filter

FINE, COARSE = 1.0, 2.0  # px: standard deviations between which detail counts (below lies noise)
FACE_HALF_AXES = (72, 80)  # px of the 256 px patch: the face within it
LEAST_CONTRAST = 1.0  # grey levels
# Motion over a twelfth of the eye distance leaves about this share of the sharpness around it (measured on four clips:
# 0.35 to 0.6 at 8 %, 0.25 to 0.47 at 12 %); frames of the same clips as they are never fell below 0.65.
BLURRED_SHARE = 0.4
AROUND_FRAMES = 101  # frames whose median is what a clip has at this place


def sharpness(patch: UInt8[np.ndarray, "256 256 3"]) -> float:
    """Fine detail of the face in a patch (`landmarker.face_patch`), over its contrast: exposure does not matter.

    It is the detail across the direction that has least of it, because motion blurs along one direction only: the root
    of the smaller eigenvalue of the structure tensor of a difference of Gaussians. About 0.4 to 0.5 where the face
    fills the patch with true detail.
    """
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = cv2.GaussianBlur(grey, (0, 0), FINE) - cv2.GaussianBlur(grey, (0, 0), COARSE)
    inside = _face_mask(patch.shape[0])
    across = cv2.Sobel(detail, cv2.CV_32F, 1, 0, ksize=3)[inside]
    down = cv2.Sobel(detail, cv2.CV_32F, 0, 1, ksize=3)[inside]
    xx, yy, xy = (float(np.mean(product)) for product in (across**2, down**2, across * down))
    least = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
    return float(np.sqrt(max(least, 0.0)) / (np.std(grey[inside]) + LEAST_CONTRAST))


def blurred_frames(values: Float[np.ndarray, " frames"], found: Bool[np.ndarray, " frames"]) -> np.ndarray:
    """Which frames [N] have lost most of the sharpness that the clip has around them; never one that is not `found`."""
    blurred = np.zeros(len(values), bool)
    if found.any():
        own = values[found]
        around = median_filter(own, size=AROUND_FRAMES, mode="nearest")
        blurred[found] = own < BLURRED_SHARE * around
    return blurred


@cache
def _face_mask(side: int) -> Bool[np.ndarray, "side side"]:
    rows, columns = np.mgrid[0:side, 0:side] - (side - 1) / 2
    return np.asarray((columns / FACE_HALF_AXES[0]) ** 2 + (rows / FACE_HALF_AXES[1]) ** 2 < 1)
