"""`nerface check` finds what is spoilt, names it, and says nothing against a dataset that is right."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from nerface.checking.check import check_dataset, write_report
from nerface.checking.poses import stands_alone
from nerface.errors import UserError
from tests.checking.spoil import SPLITS, TRAIN, each_frame, edit, in_frame, picture, save_plate, wrong
from tests.data.make import write_tiny_dataset


def pose(change):
    def whole(frame):
        matrix = np.array(frame["transform_matrix"])
        frame["transform_matrix"] = change(matrix).tolist()

    return each_frame(whole)


def columns(*signs):
    return lambda matrix: matrix * np.array([*signs, 1.0])


def moved(factor):
    def change(matrix):
        matrix[:3, 3] *= factor
        return matrix

    return change


def intrinsics(change):
    return lambda meta: meta.update(intrinsics=[float(v) for v in change(np.array(meta["intrinsics"]))])


def copied(source, target, *keys):
    def change(meta):
        for key in keys:
            meta["frames"][target][key] = meta["frames"][source][key]

    return change


def slipped(matrix):
    """A step aside and a turn, as of a tracker that lost the face."""
    turn = np.array([[0.8, 0, 0.6, 0], [0, 1, 0, 0], [-0.6, 0, 0.8, 0], [0, 0, 0, 1.0]])
    return turn @ matrix


def wild(meta):
    meta["frames"][7]["expression"][2] = 400.0


def still(meta):
    for frame in meta["frames"]:
        frame["expression"] = [0.25] * 7


def stuck(meta):
    for k in range(10, 16):
        meta["frames"][k]["transform_matrix"] = meta["frames"][10]["transform_matrix"]


def jump(meta):
    meta["frames"][20]["transform_matrix"] = slipped(np.array(meta["frames"][20]["transform_matrix"])).tolist()


def half_mirrored(meta):
    for frame in meta["frames"][::2]:
        frame["transform_matrix"] = columns(-1, 1, 1)(np.array(frame["transform_matrix"])).tolist()


JSON_FAULTS = {
    "fx repaired alone": (intrinsics(lambda v: v * [-1, 1, 1, 1]), "error", "signs", "fx .*wrong sign|fx turned"),
    "fy turned": (intrinsics(lambda v: v * [1, -1, 1, 1]), "error", "signs", "fy .*wrong sign|fy turned"),
    "focal length of another size": (intrinsics(lambda v: v * [8, 8, 1, 1]), "warning", "camera", "widths of"),
    "stretched": (intrinsics(lambda v: v * [1, 1.6, 1, 1]), "warning", "camera", "differ by a factor"),
    "principal point in pixels": (intrinsics(lambda v: v * [1, 1, 80, 64]), "error", "camera", "as a fraction of 80"),
    "principal point far off": (intrinsics(lambda v: [*v[:3], 0.9]), "warning", "camera", "cy = 0.9 is far"),
    "angle of another camera": (lambda m: m.update(camera_angle_x=0.3), "warning", "camera", "'camera_angle_x' 0.3"),
    "scaled pictures": (lambda m: m.update(image_size=[160, 128]), "warning", "camera", "of the pictures, 80x64"),
    "y and z of another convention": (pose(columns(1, -1, -1)), "error", "origin", "behind the camera"),
    "inverted": (pose(np.linalg.inv), "error", "origin", "behind the camera|outside the picture"),
    "scaled rotations": (pose(lambda p: p * np.array([1.3, 1.3, 1.3, 1])), "error", "axes", "are not rotations"),
    "some mirrored": (half_mirrored, "error", "axes", r"poses mirror \(det R = -1\), the others"),
    "all mirrored": (pose(columns(-1, 1, 1)), "warning", "axes", "all poses mirror"),
    "face along x": (pose(lambda p: np.eye(4)[[2, 1, 0, 3]] @ p @ np.diag([-1, 1, 1, 1])), "warning", "axes", "not .z"),
    "upside down": (pose(lambda p: np.diag([-1.0, -1, 1, 1]) @ p), "warning", "axes", "not .y"),
    "too far": (pose(moved(3)), "error", "scale", "not within near 0.2 and far 0.8"),
    "a little far": (pose(moved(1.25)), "warning", "scale", "mean distance of the camera is 0.6"),
    "head elsewhere": (intrinsics(lambda v: [*v[:2], 0.02, v[3]]), "warning", "origin", "outside"),
    "tracker stuck": (stuck, "warning", "motion", "the very pose of the frame before"),
    "tracker slipped": (jump, "warning", "motion", r"jump from .*train frame 20"),
    "nothing moves": (still, "error", "expression", "no expression channel ever moves"),
    "a wild value": (wild, "warning", "expression", r"out of proportion .*train frame 7"),
    "boxes in pixels": (
        each_frame(lambda f: f.update(bbox=[2, 60, 10, 70])), "error", "boxes", "as pixels would",
    ),
    "boxes beyond the picture": (in_frame(3, bbox=[-0.2, 0.9, 0.1, 0.9]), "warning", "boxes", "outside .0, 1."),
    "an empty box": (in_frame(3, head_box=[0.5, 0.5, 0.1, 0.9]), "error", "boxes", "'head_box' .* is empty"),
    "no boxes": (each_frame(lambda f: f.pop("bbox")), "warning", "boxes", "missing or the whole picture"),
    "a frame twice": (copied(4, 5, "source_frame"), "error", "sequence", "frames of the video twice: 4|twice: 5"),
    "a picture twice": (copied(4, 30, "file_path"), "error", "sequence", "lists pictures twice"),
    "times run back": (in_frame(9, timestamp=0.01), "error", "sequence", "times do not grow"),
    "another frame rate": (lambda m: m.update(frame_rate=60.0), "warning", "sequence", "'frame_rate' says 60"),
}  # fmt: skip


# What is spoilt in training frames alone.
IN_TRAIN = {wild, still, stuck, jump} | {
    JSON_FAULTS[name][0]
    for name in (
        "a frame twice",
        "a picture twice",
        "an empty box",
        "boxes beyond the picture",
        "no boxes",
        "times run back",
    )
}


@pytest.mark.parametrize("name", JSON_FAULTS)
def test_a_fault_of_the_tables_is_found(clean, name):
    change, level, check, message = JSON_FAULTS[name]
    edit(clean, change, TRAIN if change in IN_TRAIN else SPLITS)
    found = wrong(clean)
    assert (level, check) in found, found
    assert re.search(message, found[level, check]), found


def test_a_dataset_that_is_right_gives_no_finding(clean):
    report = check_dataset(clean)
    assert not wrong(clean)
    assert {one.check for one in report.findings} >= {"layout", "camera", "axes", "scale", "origin", "signs", "leaks"}
    signs = [one.what for one in report.findings if one.check == "signs"]
    assert any("boxes follow" in what for what in signs)
    assert any("pictures follow" in what for what in signs)


@pytest.mark.parametrize("fx_sign", [1, -1])
def test_poses_in_any_order_are_only_jumpy(tmp_path, fx_sign):
    """Every key of the format, both signs of fx; the made poses jump, and those with fx < 0 mirror."""
    folder = write_tiny_dataset(tmp_path / "person", frames=60, size=(64, 48), fx_sign=fx_sign)
    assert set(wrong(folder)) == {("warning", "motion")} | ({("warning", "axes")} if fx_sign < 0 else set())


def test_signs_are_told_by_the_pictures_where_boxes_follow_the_poses(clean):
    """Boxes drawn from the same wrong camera agree with it; the pictures do not."""
    edit(clean, intrinsics(lambda v: v * [-1, 1, 1, 1]))
    edit(clean, each_frame(lambda f: [f.pop("head_box"), f.pop("bbox")]))
    found = wrong(clean)
    assert "the pictures move sideways against the poses" in found["error", "signs"]


def test_held_out_expressions_that_no_training_frame_has(clean):
    edit(clean, each_frame(lambda f: f.update(expression=[5.0, *f["expression"][1:]])), ("test",))
    assert "go far beyond the expressions of training: channel_0" in wrong(clean)["warning", "expression"]


MAPS = {
    "too short": (lambda t: t[:20], "error", "has 20 rows and does not name 29"),
    "outside": (lambda t: np.vstack([t, [99, 48]]), "error", "names training rows 48, there are 48"),
    "below -1": (lambda t: np.vstack([t, [99, -2]]), "error", "names training rows -2"),
    "a row twice": (lambda t: np.vstack([t, [99, 3]]), "error", "lists training rows twice: 3"),
    "a frame twice": (lambda t: np.vstack([t, [7, -1]]), "error", "lists frames of the video twice: 7"),
    "not in time": (lambda t: t[::-1], "warning", "not in temporal order"),
    "of other names": (
        lambda t: np.stack([t[:, 0], np.where(t[:, 1] >= 0, 47 - t[:, 1], -1)], 1), "error", "another order",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MAPS)
def test_a_fault_of_the_index_map_is_found(clean, name):
    change, level, message = MAPS[name]
    np.save(clean / "index_map.npy", change(np.load(clean / "index_map.npy")))
    found = wrong(clean)
    assert message in found[level, "index map"]


def test_no_index_map(clean):
    (clean / "index_map.npy").unlink()
    assert set(wrong(clean)) == {("warning", "index map")}


LAYOUTS = {
    "a file": (lambda f: (f / "transforms_val.json").unlink(), "transforms_val.json is missing"),
    "pictures": (
        lambda f: [picture(f, "train", 2).unlink(), picture(f, "train", 9).unlink()],
        "frame 2 .* is missing .*2 of 48 pictures",
    ),
    "numbers": (lambda f: edit(f, in_frame(1, expression=[float("nan")] * 7), TRAIN), "frame 1 .*not finite"),
    "poses of nothing": (lambda f: edit(f, in_frame(1, transform_matrix=[[0.0] * 4] * 4)), "frame 1 .*no inverse"),
    "a damaged picture": (lambda f: picture(f, "val", 0).write_bytes(b"x"), "f_0000.png does not decode"),
    "a plate of another size": (lambda f: save_plate(f, np.zeros((9, 9, 3))), "the background must have their size"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_dataset_that_does_not_open(clean, tmp_path, name):
    spoil, message = LAYOUTS[name]
    spoil(clean)
    report = check_dataset(clean)
    assert report.case is None
    assert [one.check for one in report.findings] == ["layout"] * report.errors
    assert re.search(message, report.findings[0].what), report.findings
    write_report(report, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["check.json"]


def test_faults_of_several_files_are_told_together(clean):
    edit(clean, lambda meta: meta["frames"][2].pop("expression"))
    assert check_dataset(clean).errors == 3


def test_the_page_and_the_list(clean, tmp_path):
    edit(clean, wild, TRAIN)
    report = check_dataset(clean)
    write_report(report, tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "check.json").read_text())
    assert stored["warnings"] == 1
    assert stored["findings"][0]["check"] == "expression"  # the worst comes first
    page = cv2.imread(str(tmp_path / "out" / "check.png"))
    assert page.shape[1] == 1200
    assert page.shape[0] > 1000
    assert len(np.unique(page.reshape(-1, 3), axis=0)) > 500
    with pytest.raises(UserError, match="is not a folder"):
        check_dataset(clean / "nowhere")


def test_a_pose_that_stands_away_from_both_neighbours():
    """Two poses were swapped: steps below any fixed limit, but far for this clip, in and out of a frame."""
    angle, way = np.full(100, 0.5), np.full(100, 0.002)
    neighbours = np.ones(100, dtype=bool)
    angle[40:42] = 11.0
    angle[70] = 11.0  # a step that is not undone: a quick turn
    found = stands_alone(angle, way, neighbours)
    assert np.flatnonzero(found).tolist() == [40]
    way[60:62] = 0.02
    assert np.flatnonzero(stands_alone(angle, way, neighbours)).tolist() == [40, 60]
    assert not stands_alone(3 * np.abs(np.sin(np.arange(100.0))), way * 0, neighbours).any()


def test_frames_left_out_before_the_held_out_tail_are_no_fault(clean):
    def first_part(meta):
        meta["frames"] = meta["frames"][:20]

    def early(meta):
        meta["frames"] = [frame for frame in meta["frames"] if frame["source_frame"] < 20]

    edit(clean, first_part, TRAIN)
    edit(clean, early, ("val",))
    np.save(clean / "index_map.npy", np.stack([np.arange(20), np.arange(20)], 1))
    assert ("warning", "sequence") not in wrong(clean)
