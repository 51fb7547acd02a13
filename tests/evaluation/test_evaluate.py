"""An evaluation measures what was drawn, with the stated latent code, and leaves its folder whole or not at all."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from nerface.data.boxes import box_slices
from nerface.errors import UserError
from nerface.evaluation import Comparison, EvaluationOptions, LpipsFiles, evaluate, open_judge
from nerface.evaluation.frames import seen_pixels
from nerface.evaluation.gmsd import gmsd
from nerface.evaluation.timing import timing
from tests.evaluation.fakes import FakeAvatar
from tests.toys import avatar_for


def perfect(dataset):
    """An avatar that looks the truth up by its pose."""

    def picture(camera, condition):
        split = dataset.splits["test"]
        distance = np.abs(split.camera_to_head - camera.camera_to_head.numpy()).sum(axis=(1, 2))
        return torch.from_numpy(split[int(distance.argmin())].image) / 255

    return FakeAvatar(dataset, picture)


def plate_only(dataset):
    return FakeAvatar(dataset, lambda camera, condition: condition.background)


def test_files_and_figures(captured, tmp_path):
    found = evaluate(plate_only(captured), captured, tmp_path / "eval")
    names = {path.name for path in found.folder.iterdir()}
    pictures = {"renders", "render.mp4", "side_by_side.mp4", "contact_sheet.png"}
    assert names == {"metrics.json", "metrics.txt", "frames.csv"} | pictures
    assert len(found.frames) == 6
    test = captured.splits["test"]
    for row, frame in enumerate(test):
        expected = Comparison(captured.background, frame.image)
        assert found.frames[row].whole == expected.whole()
        assert found.frames[row].head == expected.inside(frame.head_box)
        assert found.frames[row].source_frame == frame.source_frame
        render = cv2.imread(str(found.folder / "renders" / f"{row:04d}.png"))[:, :, ::-1]
        assert np.array_equal(render, captured.background)
    # The head box is of the head: leaving the person out costs far more there.
    assert found.means.head.psnr < found.means.whole.psnr - 1
    assert found.means.whole.psnr == pytest.approx(np.mean([frame.whole.psnr for frame in found.frames]))
    assert found.means.still_head.psnr > found.means.head.psnr

    stored = json.loads((found.folder / "metrics.json").read_text())
    assert stored["means"]["psnr"] == found.means.whole.psnr
    assert stored["means"]["baseline_head_psnr"] == found.means.still_head.psnr
    assert stored["settings"]["latent"] == "mean"
    assert stored["settings"]["frames"] == 6
    assert stored["means"]["gmsd"] == found.means.perceptual.gmsd
    assert stored["means"]["nerface_ssim"] == found.means.nerface.ssim
    assert stored["means"]["lpips_alex"] is stored["means"]["nerface_lpips_alex"] is None
    assert set(stored["not_available"]) == {"lpips_alex", "lpips_vgg"}
    with open(found.folder / "frames.csv", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [int(line["source_frame"]) for line in lines] == [34, 35, 36, 37, 38, 39]
    assert float(lines[2]["head_ssim"]) == pytest.approx(found.frames[2].head.ssim, abs=1e-6)
    assert float(lines[2]["nerface_ssim"]) == pytest.approx(found.frames[2].nerface.ssim, abs=1e-6)
    assert lines[2]["lpips_alex"] == ""
    assert f"{found.means.head.psnr:.2f}" in (found.folder / "metrics.txt").read_text()
    with av.open(str(found.folder / "side_by_side.mp4")) as video:
        assert (video.streams.video[0].width, video.streams.video[0].height) == (80, 32)
        assert video.streams.video[0].average_rate == 25
        assert len(list(video.decode(video=0))) == 6


def test_the_truth_scores_perfectly(captured, tmp_path):
    means = evaluate(perfect(captured), captured, tmp_path / "eval").means
    assert means.whole.psnr == means.head.psnr == 100
    assert means.whole.l1 == 0


def test_equal_runs_write_equal_files(captured, tmp_path):
    for name in ("a", "b"):
        evaluate(plate_only(captured), captured, tmp_path / name)
    for file in ("frames.csv", "contact_sheet.png", "renders/0003.png", "render.mp4"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_options(captured, tmp_path):
    options = EvaluationOptions(split="val", save_images=False, video=False)
    assert {
        path.name for path in evaluate(plate_only(captured), captured, tmp_path / "v", options).folder.iterdir()
    } == {
        "metrics.json",
        "metrics.txt",
        "frames.csv",
        "contact_sheet.png",
    }
    assert len(evaluate(plate_only(captured), captured, tmp_path / "f", EvaluationOptions(frames=2)).frames) == 2
    with pytest.raises(UserError, match="no frames"):
        evaluate(plate_only(captured), replace(captured, splits={"train": captured.train}), tmp_path / "n")


def test_a_taken_folder(captured, tmp_path):
    evaluate(plate_only(captured), captured, tmp_path / "eval", EvaluationOptions(video=False))
    with pytest.raises(UserError, match="already holds"):
        evaluate(plate_only(captured), captured, tmp_path / "eval")
    again = evaluate(perfect(captured), captured, tmp_path / "eval", EvaluationOptions(video=False, replace=True))
    assert json.loads((again.folder / "metrics.json").read_text())["means"]["psnr"] == 100
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="other than an evaluation"):
        evaluate(plate_only(captured), captured, tmp_path / "other", EvaluationOptions(replace=True))
    assert (tmp_path / "other" / "letter.txt").exists()


def test_a_fault_leaves_nothing(captured, tmp_path):
    def broken(camera, condition):
        return condition.background * float("nan")

    avatar = FakeAvatar(captured, broken)
    avatar.train()
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(UserError, match="NaN"):
        evaluate(avatar, captured, tmp_path / "eval")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert avatar.training


def test_other_channels_are_refused(captured, tmp_path):
    other = replace(captured, expression_names=("x", *captured.expression_names[1:]))
    with pytest.raises(UserError, match="other expression channels"):
        evaluate(plate_only(captured), other, tmp_path / "eval")


def test_never_seen_backdrop_is_left_out(captured, tmp_path):
    """A blot on backdrop that no training frame showed counts in `whole` and not in `seen`."""
    unseen = np.zeros((32, 40), dtype=bool)
    unseen[:6, :6] = True
    dataset = replace(captured, background_unseen=unseen)

    def blotted(camera, condition):
        picture = perfect(dataset).picture(camera, condition).clone()
        picture[:6, :6] = 1 - picture[:6, :6]
        return picture

    frame = dataset.splits["test"][0]
    assert not frame.mask[:6, :6].any()
    assert np.array_equal(seen_pixels(frame, dataset), ~unseen)
    means = evaluate(FakeAvatar(dataset, blotted), dataset, tmp_path / "eval", EvaluationOptions(video=False)).means
    assert means.whole.psnr < 30
    assert means.seen.psnr == 100
    covered = replace(frame, mask=np.full((32, 40), 255, np.uint8))
    assert seen_pixels(covered, dataset).all()


def test_small_pictures_have_no_ssim_and_valid_json(tmp_path):
    from nerface.data import load_dataset
    from tests.data.make import write_tiny_dataset

    dataset = load_dataset(write_tiny_dataset(tmp_path / "small", size=(20, 10)))
    found = evaluate(plate_only(dataset), dataset, Path(tmp_path / "eval"))
    assert json.loads((found.folder / "metrics.json").read_text())["means"]["ssim"] is None


def test_perceptual_figures_are_of_the_frame_and_of_the_head_box(captured, tmp_path, alex_file):
    options = EvaluationOptions(video=False, frames=2, lpips=LpipsFiles(alex=alex_file))
    found = evaluate(plate_only(captured), captured, tmp_path / "eval", options)
    judge = open_judge(options.lpips, torch.device("cpu"))
    for row, scores in enumerate(found.frames):
        frame = captured.splits["test"][row]
        box = box_slices(frame.head_box, 32, 40)
        assert scores.perceptual.lpips_alex == judge.perceptual(captured.background, frame.image).lpips_alex > 0
        assert scores.nerface == judge.nerface(captured.background, frame.image)
        assert scores.head_perceptual.gmsd == gmsd(captured.background[box], frame.image[box]) > 0
    stored = json.loads((found.folder / "metrics.json").read_text())
    assert stored["means"]["nerface_lpips_alex"] == np.mean([frame.nerface.lpips_alex for frame in found.frames])
    assert set(stored["not_available"]) == {"lpips_vgg"}
    text = (found.folder / "metrics.txt").read_text()
    assert f"{found.means.nerface.lpips_alex:.4f}" in text
    assert "LPIPS (VGG-16): n/a: no weights" in text


def test_timing_is_reported(captured, tmp_path):
    """The first frame is slow; mean and median tell."""
    pauses = iter([0.2, 0.0, 0.0])

    def slow_at_first(camera, condition):
        time.sleep(next(pauses))
        return condition.background

    options = EvaluationOptions(video=False, frames=3, precision="fp32")
    found = evaluate(FakeAvatar(captured, slow_at_first), captured, tmp_path / "eval", options)
    stored = json.loads((found.folder / "metrics.json").read_text())["timing"]
    assert stored["first_frame_seconds"] >= 0.2
    assert stored["mean_seconds_per_frame"] >= 0.2 / 3
    assert stored["median_seconds_per_frame"] == found.seconds_per_frame < 0.1
    assert (stored["frames"], stored["precision"]) == (3, "fp32")
    assert stored["device"].startswith("cpu (")
    text = (found.folder / "metrics.txt").read_text()
    assert f"first {stored['first_frame_seconds']:.3f} (3 frames on cpu" in text


def test_timing_names_the_number_format_that_is_used():
    half, full = (timing([1.0, 3.0, 8.0], torch.device("cpu"), name) for name in ("bf16", "auto"))
    assert (half.precision, full.precision) == ("bf16", "fp32")
    assert (full.mean_seconds_per_frame, full.median_seconds_per_frame, full.first_frame_seconds) == (4, 3, 1)


def test_an_avatar_draws_one_picture_a_frame_and_always_the_same(captured, tmp_path):
    """A real field, with its depths and density: nothing random is left in evaluation (spec B11)."""
    for name in ("a", "b"):
        torch.manual_seed(len(name) + ord(name))
        avatar = avatar_for(captured)
        evaluate(avatar, captured, tmp_path / name, EvaluationOptions(outputs=("depth", "mask"), video=False))
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.png"))
    assert len(files) == 3 * len(captured.splits["test"]) + 1
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
