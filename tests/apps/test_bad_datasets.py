"""A dataset that is damaged: the line names the file, and no run begins."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.apps.calls import check_refused, content, nerface, program
from tests.apps.conftest import change_json

QUICK = ["--preset", "tiny", "--device", "cpu", "--set", "training.steps=2"]


def _missing_image(folder):
    (folder / "train" / "f_0001.png").unlink()


def _broken_json(folder):
    file = folder / "transforms_train.json"
    file.write_text(file.read_text()[:300])


def _binary_json(folder):
    (folder / "transforms_train.json").write_bytes(b"\xff\xfe\x00\x01" * 50)


def _nan_pose(folder):
    change_json(
        folder / "transforms_train.json",
        lambda value: value["frames"][2]["transform_matrix"][0].__setitem__(3, float("nan")),
    )


def _short_expression(folder):
    change_json(folder / "transforms_train.json", lambda value: value["frames"][2]["expression"].pop())


def _image_of_another_size(folder):
    assert cv2.imwrite(str(folder / "train" / "f_0002.png"), np.zeros((8, 8, 3), np.uint8))


def _split_of_another_size(folder):
    assert cv2.imwrite(str(folder / "test" / "f_0000.png"), np.zeros((8, 8, 3), np.uint8))


def _background_of_another_size(folder):
    assert cv2.imwrite(str(folder / "bg" / "00050.png"), np.zeros((8, 8, 3), np.uint8))


def _no_background(folder):
    (folder / "bg" / "00050.png").unlink()


def _damaged_image(folder):
    file = folder / "train" / "f_0001.png"
    file.write_bytes(file.read_bytes()[:40])


def _no_frames(folder):
    change_json(folder / "transforms_train.json", lambda value: value["frames"].clear())


def _pickled_index(folder):
    np.save(folder / "index_map.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


SPOILT = [
    (_missing_image, ["f_0001", "missing"]),
    (_broken_json, ["transforms_train.json", "line"]),
    (_binary_json, ["transforms_train.json", "not a text file"]),
    (_nan_pose, ["transforms_train.json", "frame 2", "NaN"]),
    (_short_expression, ["frame 2", "4 expression values"]),
    (_image_of_another_size, ["f_0002.png", "8x8"]),
    (_split_of_another_size, ["8x8"]),
    (_background_of_another_size, ["00050.png", "8x8"]),
    (_no_background, ["00050.png is missing"]),
    (_damaged_image, ["f_0001.png", "does not decode"]),
    (_no_frames, ["transforms_train.json", "no frames"]),
    (_pickled_index, ["index_map.npy"]),
]


@pytest.mark.parametrize(("spoil", "words"), SPOILT, ids=[spoil.__name__[1:] for spoil, _ in SPOILT])
def test_a_spoilt_dataset(person, tmp_path, toy, spoil, words):
    spoil(person)
    check_refused(nerface("train", person, "-o", tmp_path / "run", *QUICK), *words, alone=False)
    check_refused(nerface("eval", toy / "run", person, "-o", tmp_path / "figures"), *words, alone=False)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "figures").exists()


def test_no_dataset_at_all(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, said in (("none", "none is not a folder"), ("empty", "transforms_train.json is missing")):
        check_refused(nerface("train", tmp_path / name, "-o", tmp_path / "run", *QUICK), said)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "training.stpes=3"], "did you mean 'steps'"),
        (["--set", "training.steps=many"], "'training.steps' must be int"),
        (["--set", "training.steps=1.5"], "'training.steps' must be int"),
        (["--set", "training.steps=0"], "steps must be at least 1"),
        (["--set", "training.learning_rate=NaN"], "finite"),
        (["--set", "training.steps"], "name=value"),
        (["--set", "trainnig.steps=3"], "there is no group 'trainnig'"),
        (["--set", "avatar.kind=planes"], "field 'planes'"),
        (["--preset", "huge"], "no preset 'huge'"),
        (["--device", "gpu"], "no device 'gpu'"),
        (["--device", "meta"], "not supported"),
        (["--device", "cuda:99"], "device"),
        (["--max-minutes", "-1"], "--max-minutes"),
        (["--max-minutes", "soon"], "--max-minutes"),
    ],
)
def test_settings_that_make_no_sense(person, tmp_path, options, words):
    check_refused(nerface("train", person, "-o", tmp_path / "run", *QUICK, *options), words, alone=False)
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_left_as_it_is(toy, tmp_path):
    before = content(toy / "run")
    check_refused(nerface("train", toy / "person", "-o", toy / "run", *QUICK), "already holds something")
    answer = nerface("train", toy / "person", "-o", toy / "run", *QUICK, "--resume")
    check_refused(answer, "begun with other settings", alone=False)
    assert content(toy / "run") == before
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_text("mine")
    answer = nerface("train", toy / "person", "-o", tmp_path / "photos", *QUICK, "--resume")
    check_refused(answer, "already holds something", alone=False)


def test_as_a_program(person, tmp_path):
    _nan_pose(person)
    check_refused(program("train", person, "-o", tmp_path / "run", *QUICK), "frame 2", "NaN")
    assert not (tmp_path / "run").exists()
