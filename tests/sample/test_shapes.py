"""The modelled head: cuts that close, shapes that move what their names say, and to the right side."""

import numpy as np
import pytest

from nerface.sample.head import EYE_LINE_Y, EYE_X, EYE_Y, EYE_Z, EYEBALL_RADIUS, MOUTH_Y
from nerface.sample.model import Pose, build_subject, pose_subject
from nerface.sample.shapes import CHANNELS, SkinPoints, deform

SUBJECT = build_subject()
SKIN = SUBJECT.skin


def gap(points: np.ndarray, x: float, y: float, above: np.ndarray) -> float:
    """Distance in y between the two sides of a cut at the place that rests at (x, y)."""
    rest = SKIN.points
    place = np.where(SKIN.front, np.abs(rest[:, 0] - x) + np.abs(rest[:, 1] - y), np.inf)
    upper, lower = (np.argmin(np.where(side, place, np.inf)) for side in (above, ~above))
    return float(points[upper, 1] - points[lower, 1])


def mouth_gap(weights: dict[str, float]) -> float:
    return gap(deform(SKIN, weights), 0.0, MOUTH_Y, SKIN.above_mouth)


def eye_gap(weights: dict[str, float], sign: float) -> float:
    return gap(deform(SKIN, weights), sign * EYE_X, EYE_LINE_Y, SKIN.above_eye)


def test_at_rest_lips_are_shut_and_eyes_open() -> None:
    assert mouth_gap({}) == pytest.approx(0.0, abs=1e-9)
    assert eye_gap({}, 1.0) > 0.6
    assert eye_gap({}, 1.0) == pytest.approx(eye_gap({}, -1.0), rel=1e-6)


def test_jaw_opens_the_mouth_by_centimetres_and_more_for_more() -> None:
    gaps = [mouth_gap({"jawOpen": value}) for value in (0.0, 0.3, 0.6, 1.0)]
    assert np.all(np.diff(gaps) > 0.3)
    assert 2.0 < gaps[-1] < 4.5


def test_blinks_shut_their_own_eye() -> None:
    assert eye_gap({"eyeBlinkLeft": 1.0}, 1.0) == pytest.approx(0.0, abs=1e-9)
    assert eye_gap({"eyeBlinkLeft": 1.0}, -1.0) > 0.6


def test_lids_stay_in_front_of_the_eyeballs() -> None:
    for blink in (0.0, 0.5, 1.0):
        points = deform(SKIN, {"eyeBlinkLeft": blink, "eyeBlinkRight": blink})
        near = SKIN.front & (np.hypot(np.abs(points[:, 0]) - EYE_X, points[:, 1] - EYE_Y) < 1.3)
        distance = np.linalg.norm(
            np.stack([np.abs(points[near, 0]) - EYE_X, points[near, 1] - EYE_Y, points[near, 2] - EYE_Z]), axis=0
        )
        assert distance.min() > EYEBALL_RADIUS


def test_left_smile_lifts_the_corner_on_the_right_of_the_picture() -> None:
    moved = deform(SKIN, {"mouthSmileLeft": 1.0}) - deform(SKIN, {})
    x, y = SKIN.points[:, 0], np.where(SKIN.front, SKIN.points[:, 1], np.inf)
    corner, other = (np.argmin(np.abs(x - place) + np.abs(y - MOUTH_Y)) for place in (2.4, -2.4))
    assert moved[corner, 1] > 0.4
    assert moved[corner, 0] > 0.4
    assert abs(moved[other, 1]) < 0.05


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_channel_moves_skin_smoothly_and_leaves_the_hair(channel: str) -> None:
    moved = np.linalg.norm(deform(SKIN, {channel: 1.0}) - deform(SKIN, {}), axis=1)
    assert moved.max() > 0.3
    assert moved[SKIN.hair > 0.99].max() < 0.4
    half = np.linalg.norm(deform(SKIN, {channel: 0.5}) - deform(SKIN, {}), axis=1)
    assert np.abs(half - moved / 2).max() < 0.25 * moved.max()


def test_the_mesh_is_sound() -> None:
    pose = np.eye(4)
    pose[2, 3] = -50.0
    mesh = pose_subject(SUBJECT, {"jawOpen": 0.5}, Pose(pose, pose))
    assert mesh.triangles.min() == 0
    assert mesh.triangles.max() == len(mesh.vertices) - 1
    assert len(mesh.vertices) == len(mesh.normals) == len(mesh.texels)
    assert np.isfinite(mesh.vertices).all()
    assert np.isfinite(mesh.normals).all()
    # From the front the middle of the face looks at the camera.
    tip = np.argmax(np.where(SUBJECT.skin.front, mesh.vertices[: len(SKIN.points), 2], -np.inf))
    assert mesh.normals[tip, 2] > 0.5


def test_skin_outside_the_cuts_is_closed() -> None:
    together = SUBJECT.welded != np.arange(len(SUBJECT.welded))
    points = deform(SKIN, {"jawOpen": 1.0, "mouthSmileLeft": 1.0})
    same = np.abs(points - points[SUBJECT.welded])[together & SKIN.front]
    assert same.max() < 1e-9


def test_skin_points_are_plain_arrays() -> None:
    assert isinstance(SKIN, SkinPoints)
    assert SKIN.jaw.min() >= 0.0
    assert SKIN.jaw.max() <= 1.0
