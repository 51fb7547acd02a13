from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from gt_mesh import refine
from gt_motion import FLIP, make_motion
from gt_raster import rasterise


def test_weights_are_right_in_perspective():
    # A steep triangle: the sample's ray meets it where plane and ray say, not where the screen's weights say.
    corners = np.array([[-1.0, -1.0, 4.0], [2.0, -0.5, 9.0], [0.0, 2.0, 5.0]])
    focal, middle = 40.0, 31.5
    screen = np.concatenate([focal * corners[:, :2] / corners[:, 2:] + middle, corners[:, 2:]], axis=1)
    hits = rasterise(screen, np.array([[0, 1, 2]]), np.zeros(1), (64, 64))
    places = hits.weights @ corners
    seen = focal * places[:, :2] / places[:, 2:] + middle
    np.testing.assert_allclose(seen, np.stack([hits.sample % 64, hits.sample // 64], axis=1), atol=1e-9)
    assert len(hits.sample) > 50


def test_the_nearer_triangle_hides_the_farther_one_unless_pushed_back():
    near = np.array([[-9.0, -9, 5], [40, -9, 5], [-9, 40, 5]])
    small_far = np.array([[2.0, 2, 6], [6, 2, 6], [2, 6, 6]])  # another size: another group
    points, triangles = np.concatenate([near, small_far]), np.array([[0, 1, 2], [3, 4, 5]])
    assert set(rasterise(points, triangles, np.zeros(2), (16, 16)).triangle) == {0}
    assert set(rasterise(points, triangles, np.array([2.0, 0.0]), (16, 16)).triangle) == {0, 1}


def test_edges_that_are_shared_leave_no_hole_and_cover_pixel_centres():
    points = np.array([[1.5, 1.5, 3], [9.5, 1.5, 3], [1.5, 9.5, 3], [9.5, 9.5, 3]])
    hits = rasterise(points, np.array([[0, 1, 2], [1, 3, 2]]), np.zeros(2), (12, 12))
    expected = [row * 12 + column for row in range(2, 10) for column in range(2, 10)]
    assert hits.sample.tolist() == expected


def test_refined_surface_passes_through_its_vertices_and_keeps_planes():
    side = np.arange(5)
    x, y = (values.ravel() for values in np.meshgrid(side, side))
    first = np.array([r * 5 + c for r in range(4) for c in range(4)])
    triangles = np.concatenate(
        [np.stack([first, first + 1, first + 5], 1), np.stack([first + 1, first + 6, first + 5], 1)]
    )
    refined = refine(triangles, 25)
    random = np.random.default_rng(0)
    bumpy = random.standard_normal((25, 3))
    np.testing.assert_allclose((refined.matrix @ bumpy)[:25], bumpy, atol=1e-9)
    plane = np.stack([x, y, 2.0 * x - y], axis=1)
    fine = refined.matrix @ plane
    np.testing.assert_allclose(fine[:, 2], 2 * fine[:, 0] - fine[:, 1], atol=1e-9)
    assert len(refined.triangles) == 16 * len(triangles)


PAIRED = """browDown browInnerUp browOuterUp cheekPuff cheekSquint eyeBlink eyeLookDown eyeLookIn eyeLookOut eyeLookUp
    eyeWide mouthFrown mouthLowerDown mouthPress mouthSmile mouthStretch noseSneer"""
SINGLE = "jawOpen mouthPucker mouthFunnel mouthLeft mouthRollLower mouthShrugLower"
NAMES = (*(name + side for name in PAIRED.split() for side in ("_L", "_R")), *SINGLE.split())


@pytest.mark.parametrize("seed", [3, 8])
def test_motion_is_within_its_ranges_and_gaze_agrees_with_the_weights(seed):
    motion = make_motion(150, NAMES, np.random.default_rng(seed))
    turns = FLIP @ motion.rotation @ FLIP
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (150, 1, 1)), atol=1e-12)
    nose = turns[:, :, 2]  # where the face points: x right, y up, z to the camera
    yaw = np.degrees(np.arctan2(nose[:, 0], nose[:, 2]))
    assert yaw.max() == pytest.approx(25, abs=0.5)
    assert yaw.min() == pytest.approx(-25, abs=0.5)
    assert motion.weights.min() >= 0
    assert motion.weights.max() <= 1
    assert motion.weights[:, NAMES.index("eyeBlink_L")].max() > 0.99
    # Looking to the right of the picture is outwards for the subject's left eye.
    right = motion.gaze[:, 0, 0] > 0.05
    assert (motion.weights[right, NAMES.index("eyeLookOut_L")] > 0).all()
    assert (motion.weights[right, NAMES.index("eyeLookIn_R")] > 0).all()
    assert (motion.weights[right, NAMES.index("eyeLookIn_L")] == 0).all()
