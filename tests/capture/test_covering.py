from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from nerface.capture.covering import (
    HIDDEN_SHARE,
    HIDDEN_SPREAD,
    POINTS,
    covered_frames,
    covered_share,
    face_colours,
    head_turn,
    unusual_scatter,
)
from nerface.capture.landmarker import Region

COUNT = 80


def _head(yaw: float, pitch: float = 0.0, centre=(128.0, 128.0)) -> np.ndarray:
    """Landmarks on the front of a ball, turned; z grows away from the camera."""
    random = np.random.default_rng(3)
    across, up = random.uniform(-1, 1, 478), random.uniform(-1, 1, 478)
    local = np.stack([np.sin(across) * np.cos(up), np.sin(up), np.cos(across) * np.cos(up)], axis=1)
    for row, place in ((234, (-1, 0, 0)), (454, (1, 0, 0)), (10, (0, 1, 0)), (152, (0, -1, 0)), (1, (0, 0, 1))):
        local[row] = place
    cosine, sine = math.cos(yaw), math.sin(yaw)
    turned = local @ np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
    cosine, sine = math.cos(pitch), math.sin(pitch)
    turned = turned @ np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]).T
    return np.stack([centre[0] + 80 * turned[:, 0], centre[1] - 80 * turned[:, 1], -80 * turned[:, 2]], axis=1)


def _clip(yaw: np.ndarray):
    """Colours that depend on the place, on the turn (a lamp at one side), on the exposure, and a little on chance."""
    random = np.random.default_rng(0)
    landmarks = np.stack([_head(float(angle)) for angle in yaw]).astype(np.float32)
    own = random.uniform(60, 180, (len(POINTS), 3))
    shade = random.uniform(-40, 40, (len(POINTS), 1)) * [1, 0.3, 0.3]
    exposure = random.normal(size=(len(yaw), 1, 1)) * 6
    colours = own + yaw[:, None, None] * shade + exposure + random.normal(size=(len(yaw), len(POINTS), 3))
    return colours, landmarks


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (0.6, 0.0), (-1.2, 0.0), (0.0, 0.4), (0.0, -0.5)])
def test_the_turn_of_a_head(yaw, pitch):
    assert head_turn(_head(yaw, pitch)) == pytest.approx((yaw, pitch), abs=1e-6)


def test_turning_and_exposure_cover_nothing():
    yaw = 0.8 * np.sin(np.arange(COUNT) * 0.2)
    colours, landmarks = _clip(yaw)
    assert covered_share(colours.astype(np.uint8), landmarks).max() < 0.03


def test_what_is_before_the_face_for_a_while_is_told():
    colours, landmarks = _clip(0.5 * np.sin(np.arange(COUNT) * 0.2))
    left = landmarks[0, POINTS, 0] < 110
    colours[30:40, left] = (30, 128, 128)
    covered = covered_frames(colours.astype(np.uint8), landmarks, np.full(COUNT, 0.005))
    assert np.flatnonzero(covered).tolist() == list(range(30, 40))


def test_a_hand_of_the_same_colour_is_told_by_the_scatter_of_the_landmarks():
    colours, landmarks = _clip(np.zeros(COUNT))
    few = np.argsort(landmarks[0, POINTS, 0])[: round(0.07 * len(POINTS))]
    colours[30:40, few] += (60, 0, 0)
    spread = np.full(COUNT, 0.005)
    assert not covered_frames(colours.astype(np.uint8), landmarks, spread).any()
    spread[30:40] = 0.012
    assert np.flatnonzero(covered_frames(colours.astype(np.uint8), landmarks, spread)).tolist() == list(range(30, 40))


def _far_turn(times: float):
    """A clip that looks to the side; there landmarks scatter `times` as much, and once a few colours are off."""
    frame = np.arange(COUNT)
    yaw = 0.5 * sum(np.exp(-(((frame - middle) / 6.0) ** 2)) for middle in (15, 40, 65))
    colours, landmarks = _clip(yaw)
    off = np.argsort(landmarks[40, POINTS, 0])[: round(0.07 * len(POINTS))]
    colours[36:45, off] += (60, 0, 0)
    spread = 0.005 * (1 + (times - 1) * (yaw / 0.5) ** 2)
    return colours.astype(np.uint8), landmarks, spread


def test_landmarks_that_scatter_at_a_far_turn_cover_nothing():
    colours, landmarks, spread = _far_turn(2.2)
    assert covered_share(colours, landmarks)[38:43].min() > HIDDEN_SHARE
    assert spread[38:43].min() > HIDDEN_SPREAD * np.median(spread)
    assert not covered_frames(colours, landmarks, spread).any()


def test_a_hand_at_a_far_turn_is_told_from_the_turn():
    colours, landmarks, spread = _far_turn(2.2)
    spread[38:43] *= 2
    covered = np.flatnonzero(covered_frames(colours, landmarks, spread))
    assert set(range(38, 43)) <= set(covered.tolist()) <= set(range(36, 45))


def test_covered_frames_do_not_tell_how_much_landmarks_usually_scatter():
    """Where a hand is before the face the turn is a guess too: all frames of that guess may show the hand."""
    yaw = np.where((np.arange(COUNT) >= 30) & (np.arange(COUNT) < 45), 0.4, 0.05 * np.sin(np.arange(COUNT)))
    _, landmarks = _clip(yaw)
    spread = np.where(yaw > 0.2, 0.015, 0.005)
    share = np.where(yaw > 0.2, 0.1, 0.0)
    assert unusual_scatter(spread, landmarks, share)[30:45].min() > 2.5
    assert unusual_scatter(spread, landmarks, np.zeros(COUNT))[30:45].max() < 1.5  # the same, seen uncovered


def test_no_frames_no_answer():
    empty = np.zeros((0, len(POINTS), 3), np.uint8), np.zeros((0, 478, 3), np.float32)
    assert covered_frames(*empty, np.zeros(0)).shape == (0,)


def test_a_clip_that_is_all_covered_tells_nothing_of_its_scatter():
    assert unusual_scatter(np.full(3, 0.01), np.stack([_head(0.1)] * 3), np.full(3, 0.5)).tolist() == [1, 1, 1]


def test_colours_are_read_at_the_landmarks_of_a_turned_region():
    columns = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    patch = np.stack([columns, columns, columns], axis=-1)  # brightness grows to the right of the patch
    region = Region(300.0, 200.0, 128.0, math.pi / 2, 1.0)  # the patch's right is the picture's down
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[:, 0] = 300
    landmarks[:, 1] = 200 + np.linspace(-50, 50, 478)
    lightness = face_colours(patch, landmarks, region)[:, 0]
    expected = cv2.cvtColor(np.full((1, 1, 3), 128, np.uint8), cv2.COLOR_RGB2LAB)[0, 0, 0]
    assert (np.diff(lightness.astype(int)) >= 0).all()
    assert abs(int(lightness[len(POINTS) // 2]) - int(expected)) <= 2
