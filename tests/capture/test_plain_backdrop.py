from __future__ import annotations

import cv2
import numpy as np

from nerface.capture.plain_backdrop import find_plain, keyed
from tests.capture.scenes import room

GREEN = (40, 190, 60)


def _wall(colour, shade=0.15, noise=1.5):
    random = np.random.default_rng(0)
    light = 1 + shade * np.linspace(-0.5, 0.5, 128)[None, :, None]
    return (np.array(colour) * light + random.normal(0, noise, (96, 128, 3))).round().clip(0, 255).astype(np.uint8)


def _seen():
    return cv2.circle(np.ones((96, 128), np.uint8), (64, 60), 30, 0, -1) > 0


def test_a_shaded_wall_is_plain_and_continued_behind_the_person():
    wall = _wall((180, 170, 160))
    hidden = wall.copy()
    hidden[~_seen()] = 0
    plain = find_plain(hidden, _seen())
    assert plain is not None
    assert not plain.strong
    assert np.abs(plain.image.astype(float) - _wall((180, 170, 160), noise=0))[~_seen()].max() < 3
    np.testing.assert_array_equal(plain.image[_seen()], wall[_seen()])


def test_a_screen_is_strong_and_a_room_is_not_plain():
    plain = find_plain(_wall(GREEN), _seen())
    assert plain is not None
    assert plain.strong
    assert find_plain(room(96, 128), _seen()) is None
    assert find_plain(_wall(GREEN), np.zeros((96, 128), bool)) is None


def test_the_screen_puts_the_network_right():
    screen = _wall(GREEN)
    image = screen.copy()
    image[30:90, 40:80] = (200, 150, 130)  # the person
    image[50:60, 80:110] = (200, 150, 130)  # an arm that the network missed
    image[40:44, 50:54] = GREEN  # a reflection inside
    image[5:15, 5:15] = (20, 20, 20)  # a lamp stand
    mask = np.zeros((96, 128), np.float32)
    mask[30:96, 40:80] = 1.0  # and what it takes for the person below them
    key = keyed(mask, image, screen)
    assert key[50:60, 85:108].min() == 1
    assert key[92:, 45:75].max() < 0.1
    assert key[40:44, 50:54].min() == 1
    assert key[5:15, 5:15].max() == 0
    assert key[35:85, 45:75].min() == 1
