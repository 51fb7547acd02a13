"""Properties of camera paths: where they begin, what they reach, that they keep their distance and do not jump."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nerface.driving.conventions import PLAIN
from nerface.driving.paths import eased, orbit_angles, sweep_angles, there_and_back, turned
from nerface.driving.repose import camera_angles
from nerface.driving.waypoints import HOLD_FRAMES, LEG_FRAMES, Waypoint, path_frames, read_waypoints, waypoint_path
from nerface.errors import UserError

REST = np.eye(4, dtype=np.float32)
REST[:3, 3] = 0.03, -0.02, 0.5


@pytest.mark.parametrize("frames", [9, 41, 120, 333])
def test_a_sweep_goes_to_all_four_sides_and_comes_back(frames):
    angles = sweep_angles(frames, 30.0, 10.0)
    assert angles.shape == (frames, 2)
    np.testing.assert_allclose(angles[[0, -1]], 0, atol=1e-9)
    np.testing.assert_allclose(angles.max(axis=0), [30, 10])
    np.testing.assert_allclose(angles.min(axis=0), [-30, -10])
    assert (np.abs(angles).min(axis=1) < 1e-9).all()  # first to the sides, then up and down
    first_pitch = np.nonzero(np.abs(angles[:, 1]) > 1e-9)[0][0]
    assert np.abs(angles[first_pitch:, 0]).max() < 1e-9
    if frames >= 120:
        assert np.abs(np.diff(angles, axis=0)).max() < 1.05 * 0.5 * np.pi * 60 / (frames / 4)  # no jump


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_short_paths_stay_within_their_angles(frames):
    for angles in (sweep_angles(frames, 30.0, 10.0), orbit_angles(frames, 30.0, 10.0)):
        assert angles.shape == (frames, 2)
        assert np.isfinite(angles).all()
        np.testing.assert_array_equal(angles[0], 0)
        assert (np.abs(angles) <= [30, 10]).all()


def test_a_turned_camera_keeps_its_distance_and_stands_at_its_angles():
    facing = np.eye(4, dtype=np.float32)
    facing[2, 3] = 0.5
    angles = sweep_angles(41, 30.0, 0.0)
    poses = turned(facing, angles, PLAIN)
    np.testing.assert_allclose(np.degrees(camera_angles(poses)), angles, atol=1e-4)
    for pose in turned(REST, sweep_angles(41, 30.0, 20.0), PLAIN):
        assert np.linalg.norm(pose[:3, 3]) == pytest.approx(np.linalg.norm(REST[:3, 3]), abs=1e-6)
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-6)
        # What the camera sees of the head's origin does not move in the picture.
        np.testing.assert_allclose(pose[:3, :3].T @ pose[:3, 3], REST[:3, 3], atol=1e-6)
    np.testing.assert_array_equal(turned(REST, np.zeros((1, 2)), PLAIN)[0], REST)


def test_there_and_back_closes_its_loop():
    way = there_and_back(40)
    assert way[0] == 0
    assert way[20] == 1
    np.testing.assert_allclose(way[1:], way[1:][::-1], atol=1e-12)
    np.testing.assert_allclose(there_and_back(80, loops=2), np.tile(way, 2), atol=1e-12)


def test_eased_values_pass_their_keys():
    values = np.array([[0.0, 1], [2, -1], [3, 0]])
    line = eased([2, 6, 10], values, 14)
    np.testing.assert_allclose(line[[0, 2, 6, 10, 13]], values[[0, 0, 1, 2, 2]])
    np.testing.assert_allclose(line[4], (values[0] + values[1]) / 2, atol=1e-12)
    assert abs(line[3, 0] - 0) < abs(line[4, 0] - line[3, 0])  # starts gently


def test_waypoints_are_held_and_reached_in_turn():
    points = [Waypoint(0, 0, leg=4, hold=3), Waypoint(20, 0, leg=4, hold=2), Waypoint(0, 10, leg=5, hold=1)]
    assert path_frames(points) == 3 + 4 + 2 + 5 + 1
    angles = waypoint_path(points, 15).angles()
    np.testing.assert_allclose(angles[[0, 1, 2]], 0)
    np.testing.assert_allclose(angles[[7, 8]], [[20, 0], [20, 0]])
    np.testing.assert_allclose(angles[14], [0, 10])
    assert 0 < angles[3, 0] < angles[4, 0] < angles[5, 0] < angles[6, 0] < 20
    np.testing.assert_allclose(waypoint_path(points, 20).angles()[14:], np.tile([0, 10], (6, 1)))
    np.testing.assert_allclose(waypoint_path(points, 8).angles(), angles[:8])
    np.testing.assert_allclose(waypoint_path(points[:1], 4).angles(), np.zeros((4, 2)))


def test_waypoints_set_expression_channels_and_leave_the_others():
    points = [Waypoint(hold=2), Waypoint(expression={"jaw": 0.8, "2": -1.0}, leg=3, hold=2), Waypoint(leg=3, hold=2)]
    base = np.random.default_rng(0).random((12, 3)).astype(np.float32)
    shown = waypoint_path(points, 12).expressions(base, ("smile", "jaw", "frown"))
    np.testing.assert_array_equal(shown[:, 0], base[:, 0])
    np.testing.assert_allclose(shown[[5, 6], 1:], [[0.8, -1.0]] * 2, atol=1e-6)
    np.testing.assert_allclose(shown[[0, 1, 10, 11]], base[[0, 1, 10, 11]], atol=1e-6)
    with pytest.raises(UserError, match="did you mean 'jaw'"):
        waypoint_path([Waypoint(expression={"jaws": 1})], 2).expressions(base[:2], ("smile", "jaw", "frown"))


def test_waypoints_are_read_from_words_and_files(tmp_path):
    words = read_waypoints(" -10, 5 ; 20,0, jawOpen=0.6 , 3=-1 ;")
    assert words == (Waypoint(-10, 5), Waypoint(20, 0, {"jawOpen": 0.6, "3": -1.0}))
    assert (words[0].leg, words[0].hold) == (LEG_FRAMES, HOLD_FRAMES)
    file = tmp_path / "path.json"
    file.write_text(json.dumps([{}, {"yaw": 20, "expression": {"jawOpen": 0.6}, "leg": 7, "hold": 2}]))
    assert read_waypoints(str(file), 3, 4) == (Waypoint(0, 0, {}, 3, 4), Waypoint(20, 0, {"jawOpen": 0.6}, 7, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("10", "two angles"),
        ("10,up", "not understood"),
        ("10,5,3", "not understood"),
        ("10,5,jaw=wide", "not understood"),
        ("10,5,=1", "not understood"),
        ("10,jaw=1,5", "not understood"),
        ("nan,0", "not understood"),
        ("200,0", "not an angle"),
        ("nowhere.json", "missing"),
    ],
)
def test_waypoints_that_are_not_understood(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        read_waypoints(text)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "not a list"),
        ([], "not a list"),
        ([3], "way-point 0 is not an object"),
        ([{}, {"pan": 3}], "way-point 1 has the unknown key 'pan'"),
        ([{"yaw": "left"}], "'yaw' is not a number"),
        ([{"expression": [1]}], "'expression'"),
        ([{"expression": {"jaw": None}}], "'jaw' is not a number"),
        ([{"leg": 0}], "'leg' is not a number of frames"),
        ([{"hold": 2.5}], "'hold' is not a number of frames"),
        ([{"pitch": 181}], "not an angle"),
    ],
)
def test_way_point_files_that_are_not_understood(value, message, tmp_path):
    file = tmp_path / "path.json"
    file.write_text(json.dumps(value))
    with pytest.raises(UserError, match=message):
        read_waypoints(str(file))
