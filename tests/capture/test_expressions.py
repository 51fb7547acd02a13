"""The channels of a capture: 52 scores whose eyes can be trusted, and four eye angles."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from nerface.capture.expressions import expressions
from nerface.capture.eye_landmarks import EYES
from nerface.capture.irises import IrisTrack
from nerface.capture.landmarker import SCORE_NAMES
from nerface.driving.gaze_channels import GAZE_NAMES, LOOK_NAMES, look_follows
from tests.capture.eyes import head_turns, solved_eyes, to_camera

FRAMES = 120


def _clip():
    poses = head_turns(FRAMES)
    shut = np.zeros((FRAMES, 2))
    shut[30:34], shut[70:74] = 1.0, 1.0
    gaze = to_camera(poses)
    gaze[40:60, [0, 2]] += 0.3
    clip = solved_eyes(poses, gaze, shut)
    irises = IrisTrack(clip.landmarks[:, [eye.iris for eye in EYES]], np.ones((FRAMES, 2)))
    return clip, irises, gaze, shut


def _track(count: int = FRAMES, segment=None):
    return SimpleNamespace(segment=np.zeros(count, int) if segment is None else segment)


def test_channels_are_the_scores_and_the_eye_angles():
    clip, irises, gaze, shut = _clip()
    found = expressions(_track(), clip, irises)
    assert found.names == (*SCORE_NAMES, *GAZE_NAMES)
    assert found.values.shape == (FRAMES, 56)
    assert found.values.dtype == np.float32
    values = dict(zip(found.names, found.values.T))
    assert np.degrees(np.abs(values["leftEyeYaw"] - gaze[:, 0])[shut[:, 0] == 0]).mean() < 2
    assert values["eyeBlinkLeft"][30:34].min() > 0.95
    assert values["eyeBlinkRight"][shut[:, 1] == 0].max() < 0.1
    np.testing.assert_allclose(values["jawOpen"], 0.1)  # as the network has it
    assert values["eyeLookOutLeft"][45:55].min() > 0.2
    np.testing.assert_allclose(look_follows(found.values, found.names), found.values)


def test_scores_stay_scores():
    clip, irises, *_ = _clip()
    found = expressions(_track(), clip, irises)
    scores = found.values[:, : len(SCORE_NAMES)]
    assert scores.min() >= 0.0
    assert scores.max() <= 1.0
    touched = {*LOOK_NAMES, "eyeBlinkLeft", "eyeBlinkRight"}
    kept = [k for k, name in enumerate(SCORE_NAMES) if name not in touched]
    np.testing.assert_array_equal(scores[:, kept], clip.scores[:, kept])


def test_bad_measurements_give_finite_channels():
    clip, irises, *_ = _clip()
    clip.landmarks[5] = np.nan
    clip.landmarks[6] = 0.0
    clip.scores[7, 3] = np.nan
    irises.places[8] = np.nan
    for measured in (irises, None):
        assert np.isfinite(expressions(_track(), clip, measured).values).all()


def test_dropped_frames_keep_their_segments():
    """Frame numbers of the video pick the segments, not places among the used frames."""
    clip, irises, *_ = _clip()
    late = replace(clip, numbers=np.arange(FRAMES) + 50)
    segment = np.r_[np.full(50, 7), np.zeros(60, int), np.ones(60, int)]
    cut = expressions(_track(170, segment), late, irises).values
    whole = expressions(_track(), clip, irises).values
    np.testing.assert_allclose(cut[:50], whole[:50], atol=0.05)


def test_without_pictures_gaze_comes_from_the_landmarks():
    clip, _, gaze, shut = _clip()
    found = expressions(_track(), clip)
    yaw = found.values[:, found.names.index("rightEyeYaw")]
    assert np.corrcoef(yaw[shut[:, 0] == 0], gaze[shut[:, 0] == 0, 2])[0, 1] > 0.98
