"""NeRFace's SSIM against numbers worked out by hand: range 2, 7x7 uniform windows, sample variances."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nerface.evaluation.metrics import Comparison
from nerface.evaluation.nerface_convention import nerface_ssim

C1, C2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2  # the constants of a range of 2


def flat(value: int) -> np.ndarray:
    return np.full((20, 30, 3), value, dtype=np.uint8)


def test_nerface_ssim_of_flat_pictures_by_hand():
    """Without variance SSIM is its brightness term alone."""
    expected = (2 * 0.2 * 0.4 + C1) / (0.2**2 + 0.4**2 + C1)
    assert nerface_ssim(flat(51), flat(102)) == pytest.approx(expected, abs=1e-9)
    assert nerface_ssim(flat(51), flat(102)) > Comparison(flat(51), flat(102)).whole().ssim  # today's is stricter


def test_nerface_ssim_of_a_single_window_by_hand():
    """7x7 pixels are one window. One white pixel: mean 1/49, sample variance (1 - 1/49) / 48 = 1/49."""
    picture, truth = np.zeros((2, 7, 7, 3), dtype=np.uint8)
    picture[2, 5] = 255
    expected = C1 * C2 / ((1 / 49**2 + C1) * (1 / 49 + C2))
    assert expected == pytest.approx(0.07346, abs=1e-5)
    assert nerface_ssim(picture, truth) == pytest.approx(expected, abs=1e-9)


def test_nerface_ssim_written_out_window_by_window():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 256, (12, 15, 3)).astype(np.uint8)
    picture = np.clip(truth.astype(int) + rng.integers(-60, 61, truth.shape), 0, 255).astype(np.uint8)
    values = []
    for channel in range(3):
        for row in range(12 - 6):  # windows that lie within the picture
            for column in range(15 - 6):
                x = picture[row : row + 7, column : column + 7, channel].ravel() / 255
                y = truth[row : row + 7, column : column + 7, channel].ravel() / 255
                (vx, vxy), (_, vy) = np.cov(x, y)  # divided by 48
                mx, my = x.mean(), y.mean()
                brightness = (2 * mx * my + C1) / (mx**2 + my**2 + C1)
                values.append(brightness * (2 * vxy + C2) / (vx + vy + C2))
    assert nerface_ssim(picture, truth) == pytest.approx(np.mean(values), abs=1e-9)


def test_pictures_smaller_than_the_window_have_none():
    assert math.isnan(nerface_ssim(np.zeros((6, 30, 3), np.uint8), np.zeros((6, 30, 3), np.uint8)))
