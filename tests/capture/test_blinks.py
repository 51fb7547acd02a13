"""Blinks from lids that are known: 0 for the usual open eye, 1 for the closed one, wherever it looks."""

from __future__ import annotations

import numpy as np
import pytest

from nerface.capture.blinks import blinks, lid_gaps, rough_openness
from tests.capture.eyes import head_turns, solved_eyes

FRAMES = 200
STARTS = (15, 60, 100, 150, 180)
SHAPE = (0.5, 1.0, 0.95, 0.4)


def _shut() -> np.ndarray:
    """Five fast blinks of both eyes."""
    shut = np.zeros(FRAMES)
    for start in STARTS:
        shut[start : start + len(SHAPE)] = SHAPE
    return np.stack([shut, shut], axis=1)


def _blinks(gaps, pitch=None, yaw=None):
    none = np.zeros(len(gaps))
    return blinks(gaps, none if pitch is None else pitch, none if yaw is None else yaw)


@pytest.mark.parametrize("left_open", [0.0, 0.1, 0.3])
def test_closed_eyes_are_one_whatever_landmarks_leave_of_them(left_open):
    """The network's lids stay apart by up to a third of the open gap."""
    shut = _shut()
    gaps = 3.7 * (1 - shut * (1 - left_open))
    found = _blinks(gaps)
    assert found[np.array(STARTS) + 1].min() >= 0.95
    assert found[shut == 0].max() < 0.02
    assert found.min() >= 0.0
    assert found.max() <= 1.0


def test_a_blink_of_one_frame_is_not_flattened():
    gaps = np.ones((FRAMES, 2))
    gaps[50] = 0.15
    found = _blinks(gaps)
    assert found[50].min() > 0.95
    assert found[[49, 51]].max() == 0.0


def test_half_closed_eyes_alone_are_not_taken_for_closed():
    gaps = np.ones((FRAMES, 2))
    gaps[40:45] = 0.6
    assert _blinks(gaps).max() == pytest.approx(0.5, abs=0.1)


def test_looking_down_is_no_blink():
    """Lids follow the eye down; a blink down there still is one."""
    pitch = np.zeros(FRAMES)
    pitch[80:140] = np.radians(25)
    gaps = np.ones((FRAMES, 2)) * (1 - 0.012 * np.degrees(pitch))[:, None]
    gaps[110:113] = 0.1
    found = _blinks(gaps, pitch)
    assert found[110:113].min() > 0.95
    down = np.r_[80:110, 113:140]
    assert found[down].max() < 0.1
    assert _blinks(gaps)[down].max() > 0.2  # which gaze alone tells apart


def test_a_wink_is_of_one_eye():
    gaps = np.ones((FRAMES, 2))
    gaps[50:54, 0] = 0.05
    found = _blinks(gaps)
    assert found[50:54, 0].min() > 0.95
    assert found[:, 1].max() == 0.0


def test_an_eye_behind_the_nose_does_what_the_near_one_does():
    gaps = np.ones((FRAMES, 2))
    gaps[50:54] = 0.05
    gaps[:, 1] = np.random.default_rng(0).uniform(0.0, 1.0, FRAMES)  # the right eye of a head turned to its left
    found = _blinks(gaps, yaw=np.full(FRAMES, np.radians(60)))
    np.testing.assert_array_equal(found[:, 1], found[:, 0])


def test_gaps_do_not_change_when_the_head_turns_or_comes_near():
    still, turned = (solved_eyes(head_turns(80, degrees=degrees), np.zeros((80, 4))) for degrees in (0.0, 20.0))
    level = lid_gaps(still)
    np.testing.assert_allclose(lid_gaps(turned) / level.mean(axis=0), 1.0, atol=0.1)
    near = head_turns(80, degrees=0.0)
    near[:, :3, 3] *= np.linspace(0.8, 1.2, 80)[:, None]
    np.testing.assert_allclose(lid_gaps(solved_eyes(near, np.zeros((80, 4)))) / level.mean(axis=0), 1.0, atol=0.06)


def test_gaps_follow_the_lids():
    shut = _shut()
    gaps = rough_openness(lid_gaps(solved_eyes(head_turns(FRAMES), np.zeros((FRAMES, 4)), shut)))
    assert np.corrcoef(gaps[:, 0], 1 - shut[:, 0])[0, 1] > 0.97
    assert gaps[np.array(STARTS) + 1].max() < 0.05


def test_a_clip_without_measured_lids_is_open():
    np.testing.assert_array_equal(_blinks(np.zeros((20, 2))), 0)
