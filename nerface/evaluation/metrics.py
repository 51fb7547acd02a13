"""How far a picture is from the truth: L1, PSNR and SSIM, over the frame, a box, or chosen pixels.

Pictures are uint8 RGB, compared in [0, 1]: what is measured is what the saved PNG holds.
    L1    mean absolute difference over pixels and channels.
    PSNR  -10 log10(mean squared difference), the mean over pixels and channels. Averages over frames are averages of
          dB, as the seed's evaluator does.
    SSIM  Wang, Bovik, Sheikh and Simoncelli 2004: Gaussian window of sigma 1.5 (11x11 px), K1 0.01, K2 0.03, biased
          variances, each colour channel by itself, then the mean. Over the whole frame the outer 5 px are left out
          (their windows reach over the edge); over a box or chosen pixels it is the mean of the map there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from skimage.metrics import structural_similarity

from nerface.data.boxes import box_slices

SSIM_SIGMA_PX = 1.5
SSIM_WINDOW_PX = 11
SSIM_BORDER_PX = (SSIM_WINDOW_PX - 1) // 2
PSNR_CEILING_DB = 100.0  # of two equal pictures: infinity has no mean and no place in JSON


@dataclass(frozen=True)
class Scores:
    """`l1` in [0, 1], `psnr` in dB (at most 100), `ssim` at most 1; NaN where there is nothing to measure."""

    l1: float
    psnr: float
    ssim: float


class Comparison:
    """One picture against its truth, both uint8 [H, W, 3] of one size (else `ValueError`).

    The SSIM map is made once and serves every region; it is NaN for pictures smaller than its window.
    """

    def __init__(
        self, picture: UInt8[np.ndarray, "height width 3"], truth: UInt8[np.ndarray, "height width 3"]
    ) -> None:
        if picture.shape != truth.shape or picture.dtype != np.uint8 or truth.dtype != np.uint8:
            raise ValueError(f"cannot compare {picture.dtype} {picture.shape} with {truth.dtype} {truth.shape}")
        left, right = picture.astype(np.float32) / 255, truth.astype(np.float32) / 255
        self._difference = left - right  # [H, W, 3]
        self._ssim = ssim_map(left, right)  # [H, W]

    def whole(self) -> Scores:
        """Over all pixels (SSIM without its border)."""
        inner = slice(SSIM_BORDER_PX, -SSIM_BORDER_PX)
        return _scores(self._difference, self._ssim[inner, inner])

    def inside(self, box: Float[np.ndarray, " 4"]) -> Scores:
        """Over a box of fractions [row_min, row_max, col_min, col_max]."""
        region = box_slices(box, *self._ssim.shape)
        return _scores(self._difference[region], self._ssim[region])

    def where(self, chosen: Bool[np.ndarray, "height width"]) -> Scores:
        """Over the chosen pixels."""
        return _scores(self._difference[chosen], self._ssim[chosen])


def ssim_map(
    left: Float[np.ndarray, "height width 3"], right: Float[np.ndarray, "height width 3"]
) -> Float[np.ndarray, "height width"]:
    """SSIM at every pixel, the mean of the channels; NaN where the picture is smaller than the window."""
    if min(left.shape[:2]) < SSIM_WINDOW_PX:
        return np.full(left.shape[:2], np.nan, dtype=np.float32)
    _, values = structural_similarity(
        left,
        right,
        data_range=1.0,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=SSIM_SIGMA_PX,
        use_sample_covariance=False,
        full=True,
    )
    return values.mean(axis=-1)


def psnr_from(mean_squared_error: float) -> float:
    """dB for a mean squared error of values in [0, 1]; 100 at most."""
    if math.isnan(mean_squared_error):
        return math.nan
    return min(PSNR_CEILING_DB, -10.0 * math.log10(max(mean_squared_error, 1e-30)))


def _scores(difference: Float[np.ndarray, "*pixels 3"], ssim: Float[np.ndarray, "*pixels"]) -> Scores:
    if difference.size == 0:
        return Scores(math.nan, math.nan, math.nan)
    return Scores(
        l1=float(np.mean(np.abs(difference), dtype=np.float64)),
        psnr=psnr_from(float(np.mean(np.square(difference), dtype=np.float64))),
        ssim=float(np.mean(ssim, dtype=np.float64)) if ssim.size else math.nan,
    )
