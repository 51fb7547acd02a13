"""GMSD: how unevenly the edges of two pictures differ; a perceptual distance that needs no network.

Gradient magnitude similarity deviation, Xue, Zhang, Mou and Bovik, "Gradient magnitude similarity deviation: a highly
efficient perceptual image quality index", IEEE Transactions on Image Processing 23(2), 2014, eq. 1 to 6.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import convolve1d

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
SIMILARITY_CONSTANT = 170.0  # the paper's c, for luminance from 0 to 255
SMALLEST_PX = 6  # so that at least 3x3 pixels are left after halving


def gmsd(picture: UInt8[np.ndarray, "height width 3"], truth: UInt8[np.ndarray, "height width 3"]) -> float:
    """The deviation of `picture` from `truth`: 0 for equal pictures, larger is worse (about 0.3 is very bad).

    Both are laid on the luminance scale 0 to 255 and halved (means of 2x2 pixels, an odd last row or column left out);
    beyond the edge there is black, as in the authors' filter. NaN for pictures smaller than 6 px.
    """
    if min(picture.shape[:2]) < SMALLEST_PX:
        return math.nan
    left, right = gradient_magnitude(half_luminance(picture)), gradient_magnitude(half_luminance(truth))
    similarity = (2 * left * right + SIMILARITY_CONSTANT) / (left**2 + right**2 + SIMILARITY_CONSTANT)  # eq. 4
    return float(similarity.std())  # eq. 6


def half_luminance(picture: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "half_height half_width"]:
    """The luminance in [0, 255], averaged over blocks of 2x2 pixels."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    luminance = picture[: 2 * height, : 2 * width].astype(np.float64) @ np.array(LUMA)
    blocks = luminance.reshape(height, 2, width, 2).mean(axis=(1, 3))
    return np.asarray(blocks)


def gradient_magnitude(values: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width"]:
    """The length of the Prewitt gradient (eq. 1 to 3; each filter's coefficients are thirds)."""
    squares = np.zeros_like(values)
    for axis in (0, 1):
        along = convolve1d(values, [1.0, 0.0, -1.0], axis=axis, mode="constant")
        squares += np.square(convolve1d(along, [1 / 3] * 3, axis=1 - axis, mode="constant"))
    return np.sqrt(squares)
