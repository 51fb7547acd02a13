"""Sheets and curves: what stands where."""

from __future__ import annotations

import numpy as np

from nerface.evaluation.report import HEADER_PX, SHEET_WIDTH_PX, ContactSheet, Series, curves


def test_a_sheet_shows_truth_render_and_error():
    truth, render = np.full((128, 256, 3), 100, np.uint8), np.full((128, 256, 3), 120, np.uint8)
    sheet = ContactSheet()
    sheet.add(truth, render, "frame 3")
    sheet.add(truth[:64, :128], truth[:64, :128], "frame 4")
    image = sheet.image()
    assert image.shape == (HEADER_PX + 2 * 128, 3 * SHEET_WIDTH_PX, 3)
    row = image[HEADER_PX + 100]
    assert [row[x, 0] for x in (128, 128 + 256, 128 + 512)] == [100, 120, 80]
    assert (image[HEADER_PX + 228, 512:] == 0).all()
    assert ContactSheet().image().shape == (HEADER_PX, 3 * SHEET_WIDTH_PX, 3)


def test_a_falling_curve_falls():
    x = np.arange(100)
    image = curves("loss", [Series("train", x, 1.0 / (1 + x))], log_scale=True)
    blue = (image[..., 2] > 150) & (image[..., 0] < 100)
    left, right = np.nonzero(blue[:380, 60:90])[0].mean(), np.nonzero(blue[:380, 850:880])[0].mean()
    assert right > left + 200


def test_curves_without_values_or_with_gaps():
    assert curves("empty", [Series("train", [], [])]).shape == curves("none", []).shape
    gappy = curves("gaps", [Series("a", [0, 1, 2], [1.0, float("nan"), 3.0]), Series("one", [1], [2.0])])
    assert (gappy != 255).any()
