"""`nerface eval` as users call it: render and measure in one go, and every output that it can write."""

from __future__ import annotations

import json
from dataclasses import replace

import av
import pytest

from nerface.data import load_dataset
from nerface.data.images import read_image
from nerface.switches import switched
from nerface.training.begin import load_for
from nerface.training.loop import train
from tests.apps.calls import check_refused, nerface
from tests.data.make import write_tiny_dataset
from tests.toys import toy_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A dataset of small frames, two of them test, and an avatar trained on it."""
    folder = tmp_path_factory.mktemp("trained")
    dataset = load_dataset(write_tiny_dataset(folder / "person", frames=12))
    train(dataset, folder / "run", toy_run(steps=2))
    return folder


def evaluation(trained, out, *words):
    answer = nerface("eval", trained / "run", trained / "person", "-o", out, "--device", "cpu", *words)
    assert answer.status == 0, answer.err
    return answer


def test_self_reenactment_is_drawn_and_measured_with_one_command(trained, tmp_path):
    answer = evaluation(trained, tmp_path / "e")
    names = {path.name for path in (tmp_path / "e").iterdir()}
    assert names == {
        *("metrics.json", "metrics.txt", "frames.csv", "contact_sheet.png"),
        *("renders", "render.mp4", "side_by_side.mp4"),
    }
    assert sorted(path.name for path in (tmp_path / "e" / "renders").iterdir()) == ["0000.png", "0001.png"]
    for name, width in (("render.mp4", 20), ("side_by_side.mp4", 40)):
        with av.open(str(tmp_path / "e" / name)) as video:
            assert video.streams.video[0].width == width
            assert len(list(video.decode(video=0))) == 2
    stored = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert {"l1", "psnr", "ssim", "gmsd", "lpips_alex", "nerface_ssim", "nerface_lpips_alex"} <= set(stored["means"])
    for line in ("whole frame", "whole frame, NeRFace's convention", "head box", "seconds per frame: mean"):
        assert any(text.startswith(line) for text in answer.out.splitlines())
    assert "LPIPS (AlexNet): n/a: no weights of AlexNet (name a torchvision file" in answer.out


def test_save_writes_every_kind(trained, tmp_path):
    answer = evaluation(trained, tmp_path / "e", "--save", "all", "--no-video")
    for kind in ("disparity", "depth", "normals", "mask", "error"):
        assert len(list((tmp_path / "e" / kind).iterdir())) == 2
        assert f"{kind}/" in answer.out
    assert not (tmp_path / "e" / "render.mp4").exists()


def test_the_seed_s_names_of_flags(trained, tmp_path):
    evaluation(trained, tmp_path / "e", "--save-disparity-image", "--save-error-image", "--save", "mask")
    kinds = {path.name for path in (tmp_path / "e").iterdir() if path.is_dir()}
    assert kinds == {"renders", "disparity", "mask", "error"}
    check_refused(
        nerface("eval", trained / "run", trained / "person", "-o", tmp_path / "f", "--save", "depht"),
        "'depht' is none of disparity, depth, normals, mask, error",
    )


def test_a_person_on_white_is_measured_on_white(tmp_path):
    """The avatar's own settings of the data count: its truth is the person on white, without being told."""
    person = write_tiny_dataset(tmp_path / "person", frames=12)
    config = switched(toy_run(steps=2), ["white_background"])
    train(load_for(config, person), tmp_path / "run", config)
    answer = nerface("eval", tmp_path / "run", person, "-o", tmp_path / "e", "--device", "cpu", "--no-video")
    assert answer.status == 0, answer.err
    assert (read_image(tmp_path / "e" / "renders" / "0000.png")[0] == 255).all()
    error = json.loads((tmp_path / "e" / "metrics.json").read_text())["means"]["l1"]
    coloured = load_dataset(person).splits["test"][0].image[0]
    assert error < abs(255 - coloured.astype(float)).mean() / 255  # not against the backdrop's colours


def test_latent_codes_by_name(trained, tmp_path):
    evaluation(trained, tmp_path / "own", "--split", "train", "--latent", "per-frame", "--no-video")
    words = ["eval", trained / "run", trained / "person", "-o", tmp_path / "e", "--latent", "per-frame"]
    check_refused(nerface(*words), "'test' have no codes of their own", "mean, zero, frame:K", alone=False)


def test_lpips_from_named_files(trained, tmp_path, alex_file, vgg_file):
    answer = evaluation(trained, tmp_path / "e", "--lpips-vgg", vgg_file, "--frames", 1)
    stored = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert stored["means"]["lpips_vgg"] > 0
    assert "LPIPS (VGG-16): n/a" not in answer.out
    words = ["eval", trained / "run", trained / "person", "-o", tmp_path / "f", "--lpips-alex", vgg_file]
    check_refused(nerface(*words), "has shape [64, 3, 3, 3], AlexNet needs", alone=False)
    assert not (tmp_path / "f").exists()


def test_the_run_s_own_settings_of_the_data_count(tmp_path):
    """A share of the frames, half size, no plate: `eval` opens the dataset as the run did."""
    person = write_tiny_dataset(tmp_path / "person", frames=14)
    config = switched(toy_run(steps=2), ["half_data", "no_background"])
    config = replace(config, data=replace(config.data, half_res=True))
    (person / "bg" / "00050.png").unlink()
    train(load_for(config, person), tmp_path / "run", config)
    words = ["eval", tmp_path / "run", person, "--device", "cpu", "--no-video"]
    answer = nerface(*words, "-o", tmp_path / "e", "--split", "train", "--latent", "per-frame")
    assert answer.status == 0, answer.err
    settings = json.loads((tmp_path / "e" / "metrics.json").read_text())["settings"]
    assert (settings["frames"], settings["image_size"]) == (6, [10, 8])
    again = nerface(*words, "-o", tmp_path / "f", "--latent", "video:1")
    assert again.status == 0, again.err
