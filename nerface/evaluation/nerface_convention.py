"""The figures as NeRFace's authors measured theirs (spec 5.5), for comparison with the numbers of the paper.

L1 and PSNR are today's. SSIM comes out higher and LPIPS lower than with today's conventions:
    SSIM   scikit-image before 0.18 took the range of float pictures to be 2 (from -1 to 1) although theirs is 1, so
           both stabilising constants are four times as large; 7x7 uniform window, sample (co)variances, each channel by
           itself, the outer 3 px left out, then the mean.
    LPIPS  AlexNet, fed colours from 0 to 1 where the network expects -1 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from skimage.metrics import structural_similarity

SSIM_WINDOW_PX = 7
SSIM_DATA_RANGE = 2.0


@dataclass(frozen=True)
class NerfaceScores:
    """`ssim` and `lpips_alex` in NeRFace's convention; NaN where they could not be measured."""

    ssim: float
    lpips_alex: float


def nerface_ssim(picture: UInt8[np.ndarray, "height width 3"], truth: UInt8[np.ndarray, "height width 3"]) -> float:
    """SSIM in NeRFace's convention; NaN for pictures smaller than the window."""
    if min(picture.shape[:2]) < SSIM_WINDOW_PX:
        return math.nan
    value = structural_similarity(
        picture.astype(np.float64) / 255,
        truth.astype(np.float64) / 255,
        win_size=SSIM_WINDOW_PX,
        data_range=SSIM_DATA_RANGE,
        channel_axis=-1,
        gaussian_weights=False,
        use_sample_covariance=True,
    )
    return float(value)
