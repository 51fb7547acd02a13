"""Metrics of two folders of pictures: `nerface metrics`."""

from __future__ import annotations

import csv
import json
import math

import cv2
import numpy as np
import pytest
import torch

from nerface.evaluation import LpipsFiles, open_judge
from nerface.evaluation.folders import compare_folders, pair_up
from tests.apps.calls import check_refused, content, nerface


def write(folder, name, value, size=(36, 40)):
    folder.mkdir(exist_ok=True)
    pixels = np.broadcast_to(np.asarray(value, dtype=np.uint8), (*size, 3))
    assert cv2.imwrite(str(folder / name), np.ascontiguousarray(pixels[:, :, ::-1]))


@pytest.fixture
def folders(tmp_path):
    """Two renders and three truths, flat: 51 for 102, and 20 for 20."""
    for name, value in (("f_2.png", 51), ("f_10.png", 20)):
        write(tmp_path / "renders", name, value)
    for name, value in (("0001.png", 102), ("0005.png", 20), ("0009.png", 0)):
        write(tmp_path / "truth", name, value)
    return tmp_path / "renders", tmp_path / "truth"


def test_metrics_of_known_pairs_in_both_conventions(folders, tmp_path, alex_file):
    renders, truth = folders
    before = content(renders), content(truth)
    answer = nerface("metrics", renders, truth, "-o", tmp_path / "out", "--lpips-alex", alex_file, "--device", "cpu")
    assert answer.status == 0, answer.err
    with open(tmp_path / "out" / "frames.csv", newline="") as stream:
        first, second = csv.DictReader(stream)
    assert (first["render"], first["truth"]) == ("f_2.png", "0001.png")  # 2 comes before 10, as numbers
    assert (second["render"], second["truth"]) == ("f_10.png", "0005.png")
    assert float(first["l1"]) == pytest.approx(0.2, abs=1e-6)
    assert float(first["psnr"]) == pytest.approx(-10 * math.log10(0.04), abs=1e-5)
    today, nerfaces = 0.01**2, 0.02**2  # SSIM of flat pictures is its brightness term, with one constant
    for name, constant in (("ssim", today), ("nerface_ssim", nerfaces)):
        expected = (2 * 0.2 * 0.4 + constant) / (0.2**2 + 0.4**2 + constant)
        assert float(first[name]) == pytest.approx(expected, abs=2e-6)
    for name in ("ssim", "nerface_ssim"):
        assert float(second[name]) == 1
    for name in ("l1", "gmsd", "nerface_lpips_alex"):
        assert float(second[name]) == 0
    judge = open_judge(LpipsFiles(alex=alex_file), torch.device("cpu"))
    pair = np.full((36, 40, 3), 51, np.uint8), np.full((36, 40, 3), 102, np.uint8)
    assert first["lpips_vgg"] == second["lpips_vgg"] == ""
    assert float(first["nerface_lpips_alex"]) == pytest.approx(judge.nerface(*pair).lpips_alex, abs=1e-6)
    assert float(first["lpips_alex"]) == pytest.approx(judge.perceptual(*pair).lpips_alex, abs=1e-6)
    stored = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert stored["means"]["l1"] == pytest.approx(0.1, abs=1e-6)
    assert stored["settings"]["pairs"] == 2
    assert "NeRFace's convention" in answer.out
    assert (tmp_path / "out" / "metrics.txt").read_text() in answer.out
    assert f"wrote {tmp_path / 'out'}" in answer.out
    assert (content(renders), content(truth)) == before


def test_lpips_of_a_pair_in_both_conventions(tmp_path, alex_file):
    rng = np.random.default_rng(0)
    picture, truth = rng.integers(0, 256, (2, 40, 48, 3))
    write(tmp_path / "renders", "0.png", picture, (40, 48))
    write(tmp_path / "truth", "0.png", truth, (40, 48))
    judge = open_judge(LpipsFiles(alex=alex_file), torch.device("cpu"))
    (pair,) = compare_folders(tmp_path / "renders", tmp_path / "truth", judge).pairs
    pixels = picture.astype(np.uint8), truth.astype(np.uint8)
    assert pair.perceptual.lpips_alex == judge.perceptual(*pixels).lpips_alex > 0
    assert pair.nerface.lpips_alex == judge.nerface(*pixels).lpips_alex > 0


def test_nothing_is_written_without_a_folder_to_write_into(folders, tmp_path):
    before = sorted(path.name for path in tmp_path.rglob("*"))
    answer = nerface("metrics", *folders)
    assert answer.status == 0
    assert "whole frame" in answer.out
    assert "LPIPS (AlexNet): n/a: no weights of AlexNet" in answer.out
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    check_refused(nerface("metrics", *folders, "--save-error-image"), "-o FOLDER")


def test_error_maps(folders, tmp_path):
    assert nerface("metrics", *folders, "-o", tmp_path / "out", "--save-error-image").status == 0
    maps = [cv2.imread(str(tmp_path / "out" / "error" / f"000{row}.png")) for row in range(2)]
    assert maps[1][0, 0].tolist() == [128, 0, 0]  # blue first: no difference
    assert maps[0][0, 0].tolist() != [128, 0, 0]
    assert "red_from" in json.loads((tmp_path / "out" / "outputs.json").read_text())["error"]


def test_the_given_folders_are_only_read(folders, tmp_path):
    renders, truth = folders
    before = content(tmp_path)
    for place in (renders, truth / "metrics", renders / "a" / "b"):
        check_refused(nerface("metrics", renders, truth, "-o", place), str(place))
    assert content(tmp_path) == before
    (tmp_path / "empty").mkdir()
    check_refused(nerface("metrics", tmp_path / "empty", truth, "-o", tmp_path / "empty"), "holds no pictures")


def test_folders_that_cannot_be_measured(folders, tmp_path):
    renders, truth = folders
    check_refused(nerface("metrics", tmp_path / "nothing", truth), "nothing is not a folder")
    (tmp_path / "empty").mkdir()
    check_refused(nerface("metrics", renders, tmp_path / "empty"), "empty holds no pictures")
    check_refused(nerface("metrics", truth, renders), "3 pictures", "only 2", "right way round")
    write(truth, "0001.png", 102, (36, 44))
    check_refused(nerface("metrics", renders, truth, "-o", tmp_path / "out"), "40x36", "44x36", alone=False)
    write(renders, "last.png", 0)
    check_refused(nerface("metrics", renders, truth), "last.png has no number in its name")
    (renders / "last.png").rename(renders / "3.png")
    (renders / "3.png").write_text("no picture")
    write(truth, "0001.png", 102)
    check_refused(nerface("metrics", renders, truth, "-o", tmp_path / "out"), "3.png does not decode", alone=False)
    assert not (tmp_path / "out").exists()


def test_other_files_are_left_out_and_transparent_pictures_lie_on_white(tmp_path):
    write(tmp_path / "a", "1.png", 255)
    (tmp_path / "a" / "metrics.txt").write_text("12")
    (tmp_path / "a" / "normals").mkdir()
    transparent = np.zeros((36, 40, 4), np.uint8)
    (tmp_path / "b").mkdir()
    cv2.imwrite(str(tmp_path / "b" / "7.png"), transparent)
    judge = open_judge(LpipsFiles(), torch.device("cpu"))
    assert [pair.whole.l1 for pair in compare_folders(tmp_path / "a", tmp_path / "b", judge).pairs] == [0]
    assert pair_up(tmp_path / "a", tmp_path / "b") == [(tmp_path / "a" / "1.png", tmp_path / "b" / "7.png")]
