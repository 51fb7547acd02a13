"""GMSD against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nerface.evaluation.gmsd import gmsd


def spot(colour: tuple[int, int, int]) -> np.ndarray:
    """Black, 10x10, with one block of 2x2 pixels in the middle: one pixel of 5x5 after halving."""
    picture = np.zeros((10, 10, 3), dtype=np.uint8)
    picture[4:6, 4:6] = colour
    return picture


def deviation_of_a_spot(luminance: float) -> float:
    """One bright pixel v on black, 5x5. Prewitt's filters, in thirds, give its eight neighbours a gradient: v/3 beside,
    above and below it, v/3 along both axes at the corners, and none at the pixel itself. The truth has none anywhere,
    so the similarity is c / (m^2 + c)."""
    c, square = 170.0, (luminance / 3) ** 2
    values = np.array([1.0] * 17 + [c / (square + c)] * 4 + [c / (2 * square + c)] * 4)
    return math.sqrt(np.mean(values**2) - np.mean(values) ** 2)


def test_gmsd_of_a_spot_by_hand():
    # 39 / 3 squared is 169: nearly c, so the similarities are close to 1/2 and 1/3, and the deviation to
    # sqrt(1/9 - (14/75)^2) = 0.2762.
    found = gmsd(spot((39, 39, 39)), spot((0, 0, 0)))
    assert found == pytest.approx(deviation_of_a_spot(39.0), abs=1e-9)
    assert found == pytest.approx(0.2762, abs=1e-3)


def test_gmsd_sees_luminance():
    found = gmsd(spot((10, 200, 100)), spot((0, 0, 0)))
    assert found == pytest.approx(deviation_of_a_spot(0.299 * 10 + 0.587 * 200 + 0.114 * 100), abs=1e-9)


def test_gmsd_of_equal_pictures_is_zero_and_order_does_not_matter():
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 256, (2, 21, 33, 3)).astype(np.uint8)
    assert gmsd(left, left) == 0
    assert gmsd(left, right) == gmsd(right, left) > 0.1


def test_gmsd_grows_with_blur_and_ignores_an_odd_edge():
    import cv2

    truth = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    blurred = [cv2.GaussianBlur(truth, (0, 0), sigma) for sigma in (0.5, 1.0, 2.0)]
    values = [gmsd(picture, truth) for picture in blurred]
    assert values == sorted(values)
    odd = truth[:63, :63]
    assert gmsd(blurred[1][:63, :63], odd) == gmsd(blurred[1][:62, :62], truth[:62, :62])


def test_tiny_pictures_have_no_gmsd():
    assert math.isnan(gmsd(np.zeros((5, 40, 3), np.uint8), np.zeros((5, 40, 3), np.uint8)))
