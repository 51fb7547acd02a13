from __future__ import annotations

import math

import numpy as np
import pytest

from nerface.capture.landmarker import Face, Region
from nerface.capture.tracking_crops import crops_of, mean_face

REGION = Region(100.0, 80.0, 200.0, 0.3, 1.0)


@pytest.mark.parametrize("count", [3, 5, 7, 9])
def test_crops_lie_evenly_around_the_region(count):
    crops = crops_of(REGION, count)
    assert len(crops) == count
    assert crops[0] == REGION
    values = np.array([(crop.x, crop.y, crop.size, crop.angle) for crop in crops])
    np.testing.assert_allclose(values.mean(axis=0), (100, 80, 200, 0.3), atol=1e-9)
    shifts = np.hypot(values[1:, 0] - 100, values[1:, 1] - 80)
    assert (shifts > 0.02 * REGION.size).all()
    assert (np.abs(values[:, 2] / 200 - 1) <= 0.08).all()


def test_one_crop_is_the_region():
    assert crops_of(REGION, 1) == [REGION]


def test_the_mean_and_the_scatter_of_several_measurements():
    random = np.random.default_rng(0)
    truth = random.normal(size=(478, 3)) * 50
    faces = [
        Face((truth + random.normal(size=truth.shape) * 2.0).astype(np.float32), 0.9, np.full(52, float(number)))
        for number in range(400)
    ]
    face = mean_face(faces)
    assert np.abs(face.landmarks - truth).max() < 2.0 * 5 / math.sqrt(400)
    assert face.spread.mean() == pytest.approx(2.0, rel=0.02)
    assert face.presence == pytest.approx(0.9)
    np.testing.assert_allclose(face.scores, 199.5)


def test_one_measurement_has_no_scatter():
    face = mean_face([Face(np.ones((478, 3), np.float32), 0.8, np.zeros(52, np.float32))])
    assert not face.spread.any()
    assert (face.landmarks == 1).all()
