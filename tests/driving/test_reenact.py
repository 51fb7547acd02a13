"""Spec 6.5 on synthetic poses: neutral-relative transfer, the frontal frame, and cameras anchored at it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nerface.cameras import project
from nerface.data import load_dataset
from nerface.driving.conventions import PLAIN, Convention, in_convention
from nerface.driving.reenact import (
    anchored,
    avatar_neutral,
    frontal_frame,
    neutral_frame,
    neutral_point,
    require_same_axes,
    track_neutral,
    transferred,
)
from nerface.driving.track import read_track
from nerface.errors import UserError
from nerface.training.begin import describe
from nerface.types import Camera, Intrinsics
from tests.apps.conftest import change_json
from tests.data.make import write_tiny_dataset
from tests.toys import toy_subject

SEED = Convention((-1, 1), head_mirrored=True)
NAMES = ("_neutral", "eyeLookInLeft", "jawOpen", "mouthSmileLeft")


def _pose(yaw, pitch=0.0, roll=0.0, place=(0.0, 0.0, 0.5)):
    pose = np.eye(4, dtype=np.float32)
    pose[:3, :3] = Rotation.from_euler("yxz", [yaw, pitch, roll], degrees=True).as_matrix()
    pose[:3, 3] = pose[:3, :3] @ np.array(place)
    return pose


def test_expressions_are_the_targets_neutral_plus_the_drivers_change():
    driver = np.float32([[0.1, 0.2], [0.5, 0.2]])
    moved = transferred(driver, np.float32([0.1, 0.3]), np.float32([0.4, 0.0]))
    np.testing.assert_allclose(moved, [[0.4, -0.1], [0.8, -0.1]], atol=1e-6)


def test_the_camera_is_the_drivers_rotation_times_the_frontal_pose():
    """By hand: a quarter turn of the driver, from wherever it was filmed, puts the target's camera to its side."""
    frontal = _pose(0, place=(0.1, 0.0, 0.6))
    out = anchored(np.stack([_pose(0, place=(9, 9, 9)), _pose(90, place=(0, 1, 5))]), frontal)
    np.testing.assert_array_equal(out[0], frontal)
    np.testing.assert_allclose(out[1], [[0, 0, 1, 0.6], [0, 1, 0, 0], [-1, 0, 0, -0.1], [0, 0, 0, 1]], atol=1e-6)


@pytest.mark.parametrize("convention", [PLAIN, SEED])
def test_the_seeds_product_is_formed_as_it_is_stored(convention):
    """For the seed's own mirrored datasets too: rotation of frame k times the frontal matrix, as stored."""
    driver = np.stack([_pose(20, 5, -3, (0.1, 0.2, 0.4)), _pose(-15, -8, 2)])
    frontal = _pose(2, 1, 0, (0.02, 0.0, 0.5))
    turns = driver.copy()
    turns[:, :3, 3] = 0
    np.testing.assert_allclose(anchored(driver, frontal, convention), turns @ frontal, atol=1e-6)


def test_a_camera_flipped_dataset_turns_the_head_the_same_way():
    """fx < 0 written as a mirrored camera column: its matrices are no rotations, the turns they mean are."""
    flipped = Convention((-1, 1))
    driver, frontal = np.stack([_pose(25, 6), _pose(-40)]), _pose(3)
    said = [in_convention(poses, PLAIN, flipped) for poses in (driver, frontal)]
    np.testing.assert_allclose(
        anchored(*said, flipped), in_convention(anchored(driver, frontal), PLAIN, flipped), atol=1e-6
    )


def test_relative_anchoring_counts_from_the_drivers_own_frontal_frame():
    driver = np.stack([_pose(30, 10), _pose(40, 10), _pose(30, -5, 8)])
    frontal = _pose(-2, 3)
    out = anchored(driver, frontal, reference=driver[0])
    np.testing.assert_allclose(out[0], frontal, atol=1e-6)
    change = driver[2][:3, :3] @ driver[0][:3, :3].T
    np.testing.assert_allclose(out[2][:3, :3], change @ frontal[:3, :3], atol=1e-6)
    for pose in out:
        assert np.linalg.norm(pose[:3, 3]) == pytest.approx(0.5, abs=1e-6)


def test_the_most_frontal_frame_is_the_one_of_the_specs_measure():
    angles = [(8.0, 0.0, 0.0), (0.0, 5.0, 0.0), (0.0, 0.0, 5.0), (3.0, 3.0, 3.0)]  # of the inverse: x, y, z
    poses = np.stack([np.eye(4, dtype=np.float32)] * 4)
    poses[:, :3, :3] = Rotation.from_euler("xyz", angles, degrees=True).inv().as_matrix()
    norms = [4.0, 5.0, 5.0, np.sqrt(1.5**2 + 9 + 9)]
    assert frontal_frame(poses) == int(np.argmin(norms)) == 0  # pitch counts half
    assert frontal_frame(poses[1:]) == int(np.argmin(norms[1:])) == 2
    for convention in (SEED, Convention((-1, 1))):
        assert frontal_frame(in_convention(poses, PLAIN, convention), convention) == 0


def test_neutral_is_no_activity_within_reach():
    mean, spread = np.array([0.3, 0.1, -0.5, 0.0]), np.array([0.1, 0.2, 0.2, 1.0])
    np.testing.assert_allclose(neutral_point(mean, spread), [0.2, 0.0, -0.3, 0.0], atol=1e-6)


def test_the_neutral_frame_has_the_least_activity_wherever_it_looks():
    rows = np.float32(
        [[0, 0.0, 0.8, 0.1], [0, 0.9, 0.02, 0.03], [0, 0.0, 0.3, 0.6], [1, 0.1, 0.5, 0.5], [0, 0, 0.1, 0.3]]
    )
    assert neutral_frame(rows, NAMES) == 1  # a glance aside and the name `_neutral` count for nothing
    assert neutral_frame(rows, ("a", "b", "c", "d")) != 1
    signed = np.float32([[-0.5, 0.4], [0.05, -0.02], [0.6, 0.1], [-0.2, -0.5]])
    assert neutral_frame(signed, ("channel_0", "channel_1")) == 1


def test_an_avatar_alone_knows_its_rest_pose_and_neutral_expression():
    subject = toy_subject()
    known = avatar_neutral(subject)
    np.testing.assert_allclose(known.camera_to_head, subject.rest_pose)
    np.testing.assert_allclose(
        known.expression, neutral_point(np.array(subject.expression_mean), np.array(subject.expression_std))
    )


def test_frames_named_by_hand_are_taken(tmp_path):
    track = read_track(write_tiny_dataset(tmp_path / "person"))
    frame = track.find("test:0", "train")
    named = track_neutral(track, "test:0")
    np.testing.assert_array_equal(named.expression, track.expressions[frame])
    assert "neutral frame test:0" in named.source
    np.testing.assert_array_equal(track_neutral(track, "2").expression, track.expressions[track.find("train:2", "val")])
    front = frontal_frame(track.camera_to_head)
    assert f"frontal frame {track.name(front)}" in named.source
    np.testing.assert_array_equal(named.camera_to_head, track.camera_to_head[front])
    for word in ("test:9", "attic:0", "x", "-1"):
        with pytest.raises(UserError, match="frame"):
            track_neutral(track, word)


def test_a_mirrored_driver_turns_a_plain_avatar_the_same_way(tmp_path):
    """The same person, written once with fx > 0 and once as the seed writes it (fx < 0, proper rotations)."""
    folder = write_tiny_dataset(tmp_path / "plain")
    mirrored = write_tiny_dataset(tmp_path / "mirrored")

    def as_the_seed(value):
        value["intrinsics"][0] *= -1
        for frame in value["frames"]:
            frame["transform_matrix"] = in_convention(np.float32(frame["transform_matrix"]), PLAIN, SEED).tolist()

    for split in ("train", "val", "test"):
        change_json(mirrored / f"transforms_{split}.json", as_the_seed)
    subject = describe(load_dataset(folder))
    fill = np.array(subject.expression_mean)
    plain, seeds = (read_track(path).adapted(subject, "same", fill) for path in (folder, mirrored))
    assert read_track(mirrored).convention == SEED
    np.testing.assert_allclose(plain.camera_to_head, seeds.camera_to_head, atol=1e-7)
    # And the other way round: a mirrored avatar, driven by the plain dataset, shows the same points in the same places.
    theirs = describe(load_dataset(mirrored))
    back = read_track(folder).adapted(theirs, "same", fill)
    nose = torch.tensor([[0.01, 0.02, 0.1]])
    for ours, other in zip(plain.camera_to_head, back.camera_to_head):
        here = project(Camera(subject.intrinsics, torch.from_numpy(ours)), nose)
        there = project(Camera(theirs.intrinsics, torch.from_numpy(other)), nose * torch.tensor([-1.0, 1, 1]))
        torch.testing.assert_close(here, there, atol=1e-4, rtol=1e-5)


def test_a_driver_with_other_head_axes_is_refused():
    target = avatar_neutral(dataclasses.replace(toy_subject(), intrinsics=Intrinsics(20, 20, 0.5, 0.5, 12, 10)))
    behind = dataclasses.replace(target, camera_to_head=_pose(180))
    with pytest.raises(UserError, match=r"180 degrees away.*other axes"):
        require_same_axes(behind, target, PLAIN, "person")
    require_same_axes(dataclasses.replace(target, camera_to_head=_pose(50, 20)), target, PLAIN, "person")


def test_a_drivers_frames_come_in_the_order_of_the_video(tmp_path):
    """The seed's train split is shuffled; `source_frame` or the index map tells the order."""
    folder = write_tiny_dataset(tmp_path / "person", frames=10)
    table = json.loads((folder / "transforms_train.json").read_text())
    order = np.random.default_rng(1).permutation(len(table["frames"]))
    table["frames"] = [table["frames"][k] for k in order]
    (folder / "transforms_train.json").write_text(json.dumps(table))
    track = read_track(folder)
    assert (np.diff(track.order[track.members("train")]) > 0).all()
    whole = track.members("all")
    np.testing.assert_array_equal(track.order[whole], np.arange(10))
    assert track.rate(whole) == pytest.approx(25)
    assert {track.splits[k] for k in whole} == {"train", "val", "test"}
    frames = [frame["source_frame"] for frame in table["frames"]]
    for frame in table["frames"]:
        del frame["source_frame"]
    (folder / "transforms_train.json").write_text(json.dumps(table))
    np.save(folder / "index_map.npy", np.array([[frame, row] for row, frame in enumerate(frames)], float))
    again = read_track(folder)
    np.testing.assert_array_equal(again.expressions[again.members("train")], track.expressions[track.members("train")])
    (folder / "index_map.npy").unlink()
    unordered = read_track(folder)
    np.testing.assert_array_equal(unordered.rows[unordered.members("train")], np.arange(len(frames)))
    with pytest.raises(UserError, match="choose --split"):
        unordered.members("all")


def test_datasets_that_cannot_drive(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        read_track(tmp_path / "none")
    folder = write_tiny_dataset(tmp_path / "person")
    (folder / "transforms_val.json").unlink()
    read_track(folder, "test")
    with pytest.raises(UserError, match=r"transforms_val\.json is missing"):
        read_track(folder, "val")
    change_json(folder / "transforms_test.json", lambda value: value["frames"].clear())
    with pytest.raises(UserError, match=r"transforms_test\.json lists no frames"):
        read_track(folder, "test")
    change_json(
        folder / "transforms_train.json", lambda value: value["frames"][0]["transform_matrix"][0].__setitem__(0, -9)
    )
    with pytest.raises(UserError, match="person: poses that are rotations and poses that are mirror images"):
        read_track(folder)
