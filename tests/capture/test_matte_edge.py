from __future__ import annotations

import cv2
import numpy as np

from nerface.capture.matte_edge import refined
from tests.capture.scenes import room


def _hairy(size=256):
    """A disc with strands: its true alpha, a picture of it before a room, and the room."""
    random = np.random.default_rng(3)
    alpha = cv2.circle(np.zeros((size, size), np.float32), (size // 2, size // 2), 60, 1.0, -1, cv2.LINE_AA)
    for angle in random.uniform(0, 2 * np.pi, 160):
        out = np.array([np.cos(angle), np.sin(angle)])
        start, end = (np.rint((size / 2 + out * length) * 16).astype(int) for length in (55, 60 + random.gamma(2, 1.5)))
        cv2.line(alpha, tuple(start.tolist()), tuple(end.tolist()), 0.8, 1, cv2.LINE_AA, 4)
    scene = room(size, size)
    image = alpha[..., None] * np.array([35, 25, 20]) + (1 - alpha[..., None]) * scene
    return alpha, image.round().astype(np.uint8), scene


def test_hair_is_found_against_the_known_backdrop():
    alpha, image, scene = _hairy()
    rough = cv2.GaussianBlur((cv2.blur(alpha, (9, 9)) > 0.5).astype(np.float32), (0, 0), 2)
    better = refined(rough, image, scene, np.ones(alpha.shape, bool))
    edge = cv2.dilate(((alpha > 0.02) & (alpha < 0.98)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert np.abs(better - alpha)[edge].mean() < 0.4 * np.abs(rough - alpha)[edge].mean()
    assert better.min() >= 0
    assert better.max() <= 1


def test_inside_and_far_outside_stay():
    alpha, image, scene = _hairy()
    better = refined(alpha, image, scene, np.ones(alpha.shape, bool))
    assert (better[100:156, 100:156] == alpha[100:156, 100:156]).all()
    assert (better[:40] == alpha[:40]).all()


def test_where_nobody_saw_the_backdrop_a_certain_mask_stays():
    alpha, image, scene = _hairy()
    rough = (cv2.blur(alpha, (9, 9)) > 0.5).astype(np.float32)
    np.testing.assert_array_equal(refined(rough, image, np.zeros_like(scene), np.zeros(alpha.shape, bool)), rough)


def test_a_backdrop_of_the_persons_colour_leaves_the_network_its_say():
    mask = cv2.GaussianBlur(cv2.circle(np.zeros((256, 256), np.float32), (128, 128), 60, 1.0, -1), (0, 0), 2)
    same = np.full((256, 256, 3), 90, np.uint8)
    better = refined(mask, same, same, np.ones((256, 256), bool))
    assert np.abs(better - mask).max() < 0.06


def test_an_empty_mask_stays_empty():
    scene = room()
    empty = np.zeros(scene.shape[:2], np.float32)
    assert refined(empty, scene, scene, np.ones(empty.shape, bool)).max() == 0
