from __future__ import annotations

import numpy as np
import pytest

from nerface.capture.crop import Crop, plan_crop


def _faces(*boxes):
    """Landmarks of frames whose faces fill the boxes (left, top, right, bottom)."""
    return np.array([[(left, top), (right, bottom)] for left, top, right, bottom in boxes], dtype=np.float64)


def test_points_and_camera_follow_the_crop():
    crop = Crop(left=100, top=40, width=400, height=300, out_width=200, out_height=150)
    # The outer edge of the first pixel cut stays the outer edge: pixel centres are at whole numbers.
    np.testing.assert_allclose(crop.map_points(np.array([99.5, 39.5])), [-0.5, -0.5])
    np.testing.assert_allclose(crop.map_points(np.array([499.5, 339.5])), [199.5, 149.5])
    focal, centre, point = 900.0, (319.5, 239.5), np.array([0.2, -0.1, -3.0])
    seen = np.array([centre[0] + focal * point[0] / 3, centre[1] - focal * point[1] / 3])
    camera = crop.intrinsics(focal, centre)
    u = camera.fx * point[0] / 3 + camera.width * camera.cx
    v = -camera.fy * point[1] / 3 + camera.height * camera.cy
    np.testing.assert_allclose(crop.map_points(seen), [u, v])


def test_a_bright_spot_lands_where_points_say():
    image = np.zeros((120, 160, 3), np.uint8)
    image[60:64, 80:84] = 255
    crop = Crop(left=20, top=10, width=96, height=96, out_width=48, out_height=48)
    small = crop.apply(image)[..., 0].astype(float)
    rows, columns = np.indices(small.shape)
    spot = [(columns * small).sum() / small.sum(), (rows * small).sum() / small.sum()]
    np.testing.assert_allclose(crop.map_points(np.array([81.5, 61.5])), spot, atol=1e-6)


def test_head_and_shoulders_clip_keeps_the_whole_frame():
    crop = plan_crop(_faces((140, 90, 330, 330)), (450, 450), 512)
    assert (crop.left, crop.top, crop.width, crop.height) == (0, 0, 450, 450)
    assert (crop.out_width, crop.out_height) == (512, 512)


def test_a_small_face_gets_a_square_that_holds_it_everywhere():
    faces = _faces((600, 300, 700, 430), (700, 320, 800, 450))
    crop = plan_crop(faces, (1920, 1080), 512)
    assert crop.width == crop.height < 600
    mapped = crop.map_points(faces)
    assert mapped.min() > 0
    assert mapped.max() < crop.out_width


def test_nothing_is_enlarged_beyond_use():
    crop = plan_crop(_faces((60, 40, 190, 200)), (256, 256), 512)
    assert (crop.out_width, crop.out_height) == (320, 320)


@pytest.mark.parametrize("square", [True, False])
def test_portrait_phone_clip(square):
    crop = plan_crop(_faces((200, 350, 520, 780)), (720, 1280), 512, square)
    assert crop.left >= 0
    assert crop.top >= 0
    assert crop.left + crop.width <= 720
    assert crop.top + crop.height <= 1280
    assert (crop.width == crop.height) is square
    assert max(crop.out_width, crop.out_height) == 512
    assert crop.out_width % 2 == crop.out_height % 2 == 0
    head_top = crop.map_points(np.array([360, 350 - 0.4 * 430]))[1]
    assert head_top > 0


def test_a_head_that_wanders_farther_than_the_frame_is_high_gets_a_rectangle():
    crop = plan_crop(_faces((100, 100, 250, 300), (1000, 100, 1150, 300)), (1280, 400), 512)
    assert crop.width > crop.height
    assert crop.out_width == 512
