"""Metrics against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from nerface.data.still import best_still_image
from nerface.evaluation.metrics import Comparison, psnr_from


def flat(value: int, height: int = 20, width: int = 30) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def test_flat_pictures_by_hand():
    scores = Comparison(flat(51), flat(102)).whole()
    assert scores.l1 == pytest.approx(0.2, abs=1e-6)
    assert scores.psnr == pytest.approx(-10 * math.log10(0.04), abs=1e-4)  # 13.979
    # Without variance SSIM is its brightness term alone.
    brightness = (2 * 0.2 * 0.4 + 0.01**2) / (0.2**2 + 0.4**2 + 0.01**2)
    assert scores.ssim == pytest.approx(brightness, abs=1e-5)


def test_equal_pictures():
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    scores = Comparison(picture, picture).whole()
    assert (scores.l1, scores.psnr) == (0.0, 100.0)
    assert scores.ssim == pytest.approx(1.0)


def test_one_wrong_pixel_in_and_out_of_the_box():
    picture, truth = flat(0, 10, 10), flat(0, 10, 10)
    picture[2, 3] = 255
    comparison = Comparison(picture, truth)
    box = np.array([0.0, 0.5, 0.0, 0.5])
    assert comparison.whole().l1 == pytest.approx(1 / 100)
    assert comparison.whole().psnr == pytest.approx(20.0)
    assert comparison.inside(box).l1 == pytest.approx(1 / 25)
    assert comparison.inside(box).psnr == pytest.approx(10 * math.log10(25))
    assert comparison.inside(box + 0.5).psnr == 100.0
    chosen = np.zeros((10, 10), dtype=bool)
    chosen[2] = True
    assert comparison.where(chosen).l1 == pytest.approx(1 / 10)
    assert math.isnan(comparison.where(np.zeros((10, 10), dtype=bool)).l1)
    assert math.isnan(comparison.whole().ssim)  # smaller than the window


def test_ssim_of_one_channel_written_out():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 256, (24, 32, 1)).astype(np.uint8).repeat(3, axis=2)
    noisy = np.clip(truth + rng.integers(-40, 41, (24, 32, 1)), 0, 255).astype(np.uint8)
    x, y = noisy[..., 0] / 255, truth[..., 0] / 255

    def window(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 1.5, truncate=3.5)  # 11 taps

    mx, my = window(x), window(y)
    vx, vy, vxy = window(x * x) - mx**2, window(y * y) - my**2, window(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    expected = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    comparison = Comparison(noisy, truth)
    assert comparison.whole().ssim == pytest.approx(expected[5:-5, 5:-5].mean(), abs=1e-4)
    box = np.array([0.25, 0.75, 0.25, 0.5])
    assert comparison.inside(box).ssim == pytest.approx(expected[6:18, 8:16].mean(), abs=1e-4)


def test_sizes_and_types_must_agree():
    with pytest.raises(ValueError):
        Comparison(flat(0), flat(0, 21))
    with pytest.raises(ValueError):
        Comparison(flat(0).astype(np.float32), flat(0))
    assert psnr_from(0.01) == pytest.approx(20)
    assert math.isnan(psnr_from(math.nan))


def test_the_best_still_image_is_the_mean(tiny_split):
    expected = tiny_split.images.astype(np.float64).mean(axis=0)
    still = best_still_image(tiny_split)
    assert np.abs(still - expected).max() <= 0.5

    def error(picture: np.ndarray) -> float:
        return float(np.square(tiny_split.images.astype(np.float64) - picture).mean())

    assert error(still) <= min(error(image) for image in tiny_split.images)
