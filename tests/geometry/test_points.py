"""Point clouds of known solids."""

from __future__ import annotations

import numpy as np
import pytest

from nerface.errors import UserError
from nerface.geometry import PointOptions, extract_points
from tests.geometry.solids import NOTHING, Solid, sphere


def test_points_lie_on_the_sphere_with_its_normals_and_colours():
    points = extract_points(sphere(), NOTHING, PointOptions(pixels=60))
    radius = np.linalg.norm(points.positions, axis=1)
    assert len(radius) > 1000
    assert np.abs(radius - 0.1).max() < 0.006  # half the skin
    assert abs(radius.mean() - 0.1) < 0.001
    assert ((points.normals * points.positions).sum(1) / radius).min() > 0.99
    assert np.abs(points.colours / 255 - (0.5 + 2 * points.positions)).max() < 0.03


def test_turned_views_add_what_the_front_does_not_show():
    front = extract_points(sphere(), NOTHING, PointOptions(turns=((0, 0),), pixels=60))
    both = extract_points(sphere(), NOTHING, PointOptions(turns=((0, 0), (90, 0)), pixels=60))
    assert front.positions[:, 2].min() > 0
    assert both.positions[:, 2].min() < -0.06  # seen from the left of the head
    assert both.positions[both.positions[:, 2] < -0.05, 0].min() > 0
    assert np.array_equal(both.positions[: len(front.positions)], front.positions)


def test_points_beyond_the_extent_are_left_out():
    far = Solid((((0, 0, 0), (0.1, 0.1, 0.1)), ((0.15, 0.1, 0), (0.05, 0.05, 0.05))))
    points = extract_points(far, NOTHING, PointOptions(pixels=40, extent=0.12))
    assert np.abs(points.positions).max() <= 0.12


def test_an_empty_scene_is_told():
    with pytest.raises(UserError, match="no view shows anything"):
        extract_points(Solid((((0, 0, 9.0), (0.1, 0.1, 0.1)),)), NOTHING, PointOptions(pixels=16))


@pytest.mark.parametrize("wrong", [{"pixels": 3}, {"pixels": 9000}, {"extent": 0.0}, {"extent": float("nan")}])
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UserError, match="makes no sense: give"):
        PointOptions(**wrong)
