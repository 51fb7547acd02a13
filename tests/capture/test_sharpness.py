from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from nerface.capture.sharpness import blurred_frames, sharpness
from tests.capture.clips import portrait
from tests.capture.hard_footage import motion_blurred


@pytest.fixture(scope="module")
def patch():
    face = portrait()[20:212, 75:267]
    return cv2.resize(face, (256, 256), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("angle", [0.0, 0.8, 1.57])
def test_motion_in_any_direction_takes_sharpness_away(patch, angle):
    values = [sharpness(motion_blurred(patch, length, angle)) for length in (1, 4, 8, 16)]
    assert all(later < earlier for earlier, later in pairwise(values))
    assert values[-1] < 0.4 * values[0]


def test_exposure_does_not_matter(patch):
    darker = np.round(patch * 0.6).astype(np.uint8)
    assert sharpness(darker) == pytest.approx(sharpness(patch), rel=0.05)


def test_a_plain_picture_has_none():
    assert sharpness(np.full((256, 256, 3), 90, np.uint8)) == 0.0


def test_blurred_is_told_against_what_the_clip_has_around():
    values = np.concatenate([np.full(150, 0.5), np.full(150, 0.2)])  # the person steps back: less detail for good
    values[[40, 200]] = 0.1, 0.05
    values[10] = 0.0
    found = np.ones(300, bool)
    found[10] = False
    assert np.flatnonzero(blurred_frames(values, found)).tolist() == [40, 200]


def test_without_a_face_nothing_is_blurred():
    assert not blurred_frames(np.zeros(5), np.zeros(5, bool)).any()
