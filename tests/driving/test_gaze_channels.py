"""Gaze told as eye angles and as eyeLook scores: the formula, and drivers and edits that know only one of the two."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerface.driving.conventions import PLAIN
from nerface.driving.edits import read_edit
from nerface.driving.gaze_channels import (
    GAZE_NAMES,
    LOOK_NAMES,
    gaze_from_look,
    look_follows,
    look_from_gaze,
    with_gaze_of,
)
from nerface.driving.reenact import avatar_neutral, track_neutral, transferred
from nerface.driving.track import Track
from nerface.driving.waypoints import read_waypoints, waypoint_path
from nerface.errors import UserError
from tests.toys import toy_subject

BOTH = ("jawOpen", *LOOK_NAMES, *GAZE_NAMES)
LOOK, GAZE = slice(1, 9), slice(9, 13)


def _rows(frames: int = 6, seed: int = 0) -> np.ndarray:
    """Expressions of the channels `BOTH` in which angles and scores agree."""
    random = np.random.default_rng(seed)
    gaze = random.uniform(-0.4, 0.4, (frames, 4)).astype(np.float32)
    jaw = random.uniform(0, 1, (frames, 1)).astype(np.float32)
    return np.concatenate([jaw, look_from_gaze(gaze), gaze], axis=1)


def _subject(names=BOTH):
    count = len(names)
    return dataclasses.replace(
        toy_subject(channels=count),
        expression_names=tuple(names),
        expression_mean=tuple(0.01 * k for k in range(count)),
        expression_std=(0.5,) * count,
    )


def _track(values: np.ndarray, names) -> Track:
    count = len(values)
    pose = np.eye(4, dtype=np.float32)
    pose[2, 3] = 0.5
    return Track(
        folder=Path("driver"),
        splits=("train",) * count,
        rows=np.arange(count),
        order=np.arange(count),
        times=np.arange(count) / 25,
        camera_to_head=np.repeat(pose[None], count, axis=0),
        expressions=values,
        expression_names=tuple(names),
        convention=PLAIN,
        frame_rate=25.0,
    )


# The eye that looks in, or out, with its scores and its angles, of two public recordings by Live Link Face (13:13:04:31
# of one, 12:27:50:13 of the other; the sides are those of the eyeLook columns). The file's angles turn about x first.
RECORDED = [
    ({"eyeLookDownRight": 0.2802539, "eyeLookInRight": 0.0519393}, 0.1712819, -0.0312640, 1),
    ({"eyeLookDownLeft": 0.2802173, "eyeLookInLeft": 0.0557254}, 0.1712723, 0.0335431, 0),
    ({"eyeLookUpRight": 0.3915250, "eyeLookInRight": 0.2247137}, -0.1724255, -0.1352592, 1),
    ({"eyeLookUpLeft": 0.3941238, "eyeLookOutLeft": 0.1191871}, -0.1724168, -0.0717315, 0),
]


@pytest.mark.parametrize(("scores", "about_x", "about_y", "eye"), RECORDED)
def test_the_formula_is_arkits(scores, about_x, about_y, eye):
    look = np.zeros((1, 8), np.float32)
    for name, value in scores.items():
        look[0, LOOK_NAMES.index(name)] = value
    yaw, pitch = gaze_from_look(look)[0, 2 * eye : 2 * eye + 2]
    sight = Rotation.from_euler("XY", [about_x, about_y]).as_matrix()[:, 2]
    assert pitch == pytest.approx(np.arcsin(-sight[1]), abs=0.002)
    assert abs(yaw) == pytest.approx(abs(np.arctan2(sight[0], sight[2])), abs=0.002)


def test_signs_are_those_of_the_head():
    """Left is the subject's; the left eye goes outwards to get there, the right one inwards; down is positive."""
    look = look_from_gaze(np.float32([[0.3, 0.2, 0.3, 0.2]]))[0]
    on = {name for name, value in zip(LOOK_NAMES, look) if value > 0}
    assert on == {"eyeLookOutLeft", "eyeLookInRight", "eyeLookDownLeft", "eyeLookDownRight"}
    on = {name for name, value in zip(LOOK_NAMES, look_from_gaze(np.float32([[-0.3, -0.2, 0.3, -0.2]]))[0]) if value}
    assert on == {"eyeLookInLeft", "eyeLookUpLeft", "eyeLookInRight", "eyeLookUpRight"}


def test_angles_and_scores_are_told_back_and_forth():
    gaze = np.random.default_rng(1).uniform(-0.43, 0.43, (50, 4)).astype(np.float32)
    np.testing.assert_allclose(gaze_from_look(look_from_gaze(gaze)), gaze, atol=1e-6)
    assert look_from_gaze(np.full((1, 4), 3.0, np.float32)).max() == 1.0


def test_a_driver_with_scores_alone_moves_an_avatar_that_knows_angles():
    """An ARKit CSV without eye angles, a capture of before gaze was measured."""
    rows = _rows()
    driver = _track(rows[:, :9], BOTH[:9])
    np.testing.assert_allclose(
        driver.adapted(_subject(), "same", np.zeros(13, np.float32)).expressions, rows, atol=1e-6
    )


def test_a_driver_with_angles_alone_moves_an_avatar_that_knows_scores():
    rows, names = _rows(), ("jawOpen", *GAZE_NAMES)
    driver = _track(rows[:, [0, 9, 10, 11, 12]], names)
    np.testing.assert_allclose(
        driver.adapted(_subject(), "same", np.zeros(13, np.float32)).expressions, rows, atol=1e-6
    )
    old = _subject(BOTH[:9])
    np.testing.assert_allclose(driver.adapted(old, "same", np.zeros(9, np.float32)).expressions, rows[:, :9], atol=1e-6)


def test_an_avatar_without_gaze_ignores_it():
    rows = _rows()
    shown = _track(rows, BOTH).adapted(_subject(("jawOpen",)), "shared", np.zeros(1, np.float32))
    np.testing.assert_array_equal(shown.expressions, rows[:, :1])
    shown = _track(rows, BOTH).adapted(_subject(BOTH[:9]), "same", np.zeros(9, np.float32))
    np.testing.assert_array_equal(shown.expressions, rows[:, :9])


def test_a_driver_without_any_gaze_leaves_the_eyes_at_rest():
    rest = np.arange(13, dtype=np.float32)
    shown = _track(np.float32([[0.3], [0.7]]), ("jawOpen",)).adapted(_subject(), "shared", rest)
    np.testing.assert_array_equal(shown.expressions[:, 1:], np.repeat(rest[None, 1:], 2, axis=0))
    with pytest.raises(UserError, match="it lacks"):
        _track(np.float32([[0.3], [0.7]]), ("jawOpen",)).adapted(_subject(), "same", rest)


def test_what_a_driver_has_itself_is_not_computed():
    rows = _rows()
    rows[:, 1:9] = 0.123
    values, names = with_gaze_of(rows, BOTH, BOTH)
    np.testing.assert_array_equal(values, rows)
    assert names == BOTH


def test_edited_angles_take_the_scores_along_and_the_other_way_round():
    rows = _rows()
    shown = read_edit("leftEyeYaw=0.2", BOTH).apply(rows)
    np.testing.assert_allclose(shown[:, BOTH.index("eyeLookOutLeft")], 0.2 / np.radians(35), atol=1e-6)
    np.testing.assert_allclose(shown[:, BOTH.index("eyeLookInLeft")], 0)
    np.testing.assert_array_equal(shown[:, 11:], rows[:, 11:])  # the other eye stays
    shown = read_edit("eyeLookUpLeft=0.5", BOTH).apply(np.where(np.arange(13) < 9, 0, rows).astype(np.float32))
    np.testing.assert_allclose(shown[:, BOTH.index("leftEyePitch")], -0.5 * np.radians(25), atol=1e-6)
    np.testing.assert_array_equal(read_edit("jawOpen=0.5", BOTH).apply(rows)[:, 1:], rows[:, 1:])


def test_both_eyes_are_turned_at_once_and_keep_their_vergence():
    rows = _rows()
    shown = read_edit("gazeYaw=-0.1", BOTH).apply(rows)
    np.testing.assert_allclose(shown[:, [9, 11]].mean(axis=1), -0.1, atol=1e-6)
    np.testing.assert_allclose(shown[:, 9] - shown[:, 11], rows[:, 9] - rows[:, 11], atol=1e-6)
    np.testing.assert_allclose(look_follows(shown, BOTH), shown)
    shown = read_edit("gazePitch+=0.05", BOTH).apply(rows)
    np.testing.assert_allclose(shown[:, [10, 12]], rows[:, [10, 12]] + 0.05, atol=1e-6)
    with pytest.raises(UserError, match="no expression channel 'gazeYaw'"):
        read_edit("gazeYaw=0.1", ("jawOpen", "mouthClose"))


def test_way_points_turn_the_eyes():
    path = waypoint_path(read_waypoints("0,0; 10,0,gazeYaw=0.2", leg=4, hold=2), 8)
    shown = path.expressions(np.zeros((8, 13), np.float32), BOTH)
    np.testing.assert_allclose(shown[-1, [9, 11]], 0.2, atol=1e-6)
    np.testing.assert_allclose(shown[0, 9:], 0)
    assert shown[-1, BOTH.index("eyeLookOutLeft")] == pytest.approx(0.2 / np.radians(35), abs=1e-5)


def test_transferred_gaze_counts_from_where_each_person_usually_looks():
    """The most neutral face of the driver happens to look aside: that is not its rest."""
    rows = _rows(9)
    rows[:, GAZE] = 0.1
    rows[:, 0] = 0.8
    rows[4:8, 0], rows[4, GAZE] = 0.0, 0.4
    rows = look_follows(rows, BOTH)
    driver, target = track_neutral(_track(rows, BOTH)), avatar_neutral(_subject())
    assert driver.expression[0] == 0.0
    np.testing.assert_allclose(driver.expression[GAZE], 0.1)
    np.testing.assert_allclose(target.expression[GAZE], _subject().expression_mean[GAZE], atol=1e-6)
    shown = transferred(rows, driver.expression, target.expression, BOTH)
    np.testing.assert_allclose(shown[0, GAZE], target.expression[GAZE], atol=1e-6)
    np.testing.assert_allclose(look_follows(shown, BOTH), shown)
    asked = track_neutral(_track(rows, BOTH), "train:4")
    np.testing.assert_allclose(asked.expression[GAZE], 0.4)
