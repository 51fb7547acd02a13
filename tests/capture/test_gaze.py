"""Gaze of a head whose eyes are known: angles, eyeballs, closed eyes, jitter and saccades."""

from __future__ import annotations

import numpy as np
import pytest

from nerface.capture.eye_landmarks import EYES
from nerface.capture.gaze import solve_gaze
from nerface.capture.irises import IrisTrack
from tests.capture.eyes import ball, head_turns, solved_eyes, to_camera

FRAMES = 160


VERGENCE = 0.065  # rad by which either eye turns inwards to look at something as near as the camera


def _looks(seed: int = 1, camera: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Poses and gaze [frames, 4]: fixations, most of them of the camera, the others as near."""
    poses, random = head_turns(FRAMES), np.random.default_rng(seed)
    gaze, start = to_camera(poses), 0
    while start < FRAMES:
        stop = start + int(random.integers(8, 20))
        if random.random() > camera:
            yaw, pitch = random.uniform([-0.35, -0.25], [0.35, 0.3])
            gaze[start:stop] = [yaw - VERGENCE, pitch, yaw + VERGENCE, pitch]
        start = stop
    return poses, gaze


def _irises(clip, sure: float = 1.0) -> IrisTrack:
    return IrisTrack(clip.landmarks[:, [eye.iris for eye in EYES]], np.full((len(clip), 2), sure))


def _solve(clip, openness=None, segment=None, irises=None):
    openness = np.ones((len(clip), 2)) if openness is None else openness
    segment = np.zeros(len(clip), int) if segment is None else segment
    return solve_gaze(clip, _irises(clip) if irises is None else irises, openness, segment)


def test_known_angles_come_back():
    poses, gaze = _looks()
    found = _solve(solved_eyes(poses, gaze))
    assert np.degrees(np.abs(found.angles - gaze)).mean() < 1.0
    for column in range(4):
        assert np.polyfit(gaze[:, column], found.angles[:, column], 1)[0] == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(found.centres, [ball(eye) for eye in EYES], atol=0.03)


def test_signs_left_and_down_are_positive():
    poses = head_turns(40, degrees=0.0)
    still = np.zeros((40, 4))
    still[20:, 0] = still[20:, 2] = 0.3
    turned = _solve(solved_eyes(poses, still)).angles
    assert (turned[25:, [0, 2]].mean(axis=0) > turned[:15, [0, 2]].mean(axis=0) + 0.2).all()
    # Left of the subject is the right of the picture.
    clip = solved_eyes(poses, still)
    assert clip.landmarks[30, EYES[0].iris, 0] > clip.landmarks[5, EYES[0].iris, 0]
    still[20:] = [0, 0.3, 0, 0.3]
    clip = solved_eyes(poses, still)
    assert clip.landmarks[30, EYES[0].iris, 1] > clip.landmarks[5, EYES[0].iris, 1]
    lowered = _solve(clip).angles
    assert (lowered[25:, [1, 3]].mean(axis=0) > lowered[:15, [1, 3]].mean(axis=0) + 0.2).all()


def test_eyeballs_are_found_where_this_person_has_them():
    """One and a half millimetres off are nine degrees, if nobody looks for them."""
    poses, gaze = _looks(camera=0.75)
    found = _solve(solved_eyes(poses, gaze, off_cm=(0.15, -0.15)))
    away = np.degrees(np.abs((found.angles - gaze).mean(axis=0)))
    assert away.max() < 3.0


def test_a_still_gaze_stays_still_while_the_head_turns():
    poses = head_turns(FRAMES)
    gaze = np.tile([0.1 - VERGENCE, 0.1, 0.1 + VERGENCE, 0.1], (FRAMES, 1))
    found = _solve(solved_eyes(poses, gaze))
    assert np.degrees(found.angles.std(axis=0)).max() < 1.0


def test_closed_eyes_are_bridged_from_their_neighbours():
    poses, gaze = _looks()
    gaze[40:90] = [-VERGENCE, 0.1, VERGENCE, 0.1]
    clip = solved_eyes(poses, gaze)
    steady = _solve(clip).angles
    openness = np.ones((FRAMES, 2))
    openness[60:65] = 0.1
    clip.landmarks[60:65, [eye.iris for eye in EYES]] += [3.0, 25.0]  # what nets say of closed eyes
    blinked = _solve(clip, openness).angles
    assert np.degrees(np.abs(blinked - steady)).max() < 1.0


def test_bridges_do_not_cross_cuts():
    poses = head_turns(60, degrees=0.0)
    gaze = np.zeros((60, 4))
    gaze[30:, [0, 2]] = 0.4
    openness = np.ones((60, 2))
    openness[25:36] = 0.0
    segment = (np.arange(60) >= 30).astype(int)
    yaw = _solve(solved_eyes(poses, gaze), openness, segment).angles[:, 0]
    assert np.ptp(yaw[:30]) < 0.02
    assert np.ptp(yaw[30:]) < 0.02
    assert yaw[30] - yaw[29] > 0.3


def test_one_eye_serves_for_both():
    poses, gaze = _looks()
    clip = solved_eyes(poses, gaze)
    irises = _irises(clip)
    irises.places[40:80, 1] += [12.0, 9.0]  # a reflection on one glass
    irises.sure[40:80, 1] = 0.0
    found = _solve(clip, irises=irises).angles
    assert np.degrees(np.abs(found - gaze)[40:80]).mean() < 1.5


def test_jitter_is_smoothed_and_saccades_stay_sharp():
    poses = head_turns(FRAMES, degrees=3.0)
    gaze = np.zeros((FRAMES, 4))
    gaze[80:, [0, 2]] = 0.35
    clip = solved_eyes(poses, gaze, noise_px=0.25)
    raw = solved_eyes(poses, gaze)
    found, clean = _solve(clip).angles[:, 0], _solve(raw).angles[:, 0]
    one = clip.landmarks[:, EYES[0].iris, 0] - raw.landmarks[:, EYES[0].iris, 0]
    per_px = 1.0 / (0.95 * 900 / 43)
    assert np.std(found - clean) < 0.6 * np.std(one) * per_px
    assert found[80] - found[79] > 0.3


def test_nothing_seen_is_straight_ahead_and_finite():
    poses, gaze = _looks()
    clip = solved_eyes(poses, gaze)
    irises = IrisTrack(np.zeros((FRAMES, 2, 2)), np.zeros((FRAMES, 2)))
    found = _solve(clip, irises=irises)
    np.testing.assert_array_equal(found.angles, 0)
    np.testing.assert_array_equal(found.weight, 0)


def test_the_same_clip_gives_the_same_gaze():
    poses, gaze = _looks()
    clip = solved_eyes(poses, gaze, noise_px=0.3)
    np.testing.assert_array_equal(_solve(clip).angles, _solve(clip).angles)
