"""Every verb once, from end to end on a short sample clip; the slow one with the preset as users have it."""

from __future__ import annotations

import json
import shutil
import socket
import time

import numpy as np
import pytest

from nerface.capture.video import probe
from nerface.data import load_dataset
from tests.apps.calls import content, nerface, program
from tests.apps.conftest import SETTINGS, SHORT

DATASET = ["transforms_train.json", "transforms_val.json", "transforms_test.json", "bg/00050.png", "bg/unseen.png"]
DATASET += ["index_map.npy", "capture.json", "overlay.mp4", "train/f_0000.png", "masks/train/f_0000.png"]
RUN = ["config.json", "log.jsonl", "curves.png", "avatar.safetensors", "checkpoints"]
EVALUATION = ["metrics.json", "metrics.txt", "frames.csv", "contact_sheet.png", "render.mp4", "side_by_side.mp4"]
EVALUATION += ["renders/0000.png"]


def _check_created(folder):
    wanted = [f"dataset/{name}" for name in DATASET] + [f"run/{name}" for name in RUN]
    wanted += [f"evaluation/{name}" for name in EVALUATION] + ["create.json", "faces.json", "showcase.mp4"]
    assert [name for name in wanted if not (folder / name).exists()] == []
    assert sorted(path.name for path in folder.rglob(".*") if path.name != ".cache" and ".lock" not in path.name) == []
    tests = len(load_dataset(folder / "dataset", splits=("test",)).splits["test"])
    assert len(list((folder / "evaluation" / "renders").iterdir())) == tests
    assert probe(folder / "showcase.mp4").frames == tests
    assert json.loads((folder / "faces.json").read_text())["frames"] == tests


def test_create_makes_all_it_promises(created):
    _check_created(created.folder)
    lines = created.answer.out.splitlines()
    assert any(line.startswith("whole frame") for line in lines)
    wrote = [line for line in lines if line.startswith("wrote ")]
    assert lines[-len(wrote) :] == wrote  # the last words say what lies where
    for name in ("dataset", "run/avatar.safetensors", "evaluation", "faces.json", "showcase.mp4"):
        assert any(line.startswith(f"wrote {created.folder / name} ") for line in wrote)
    for task in ("finding the face", "training", "drawing test frames", "rendering"):
        assert f"{task} ..." in created.answer.err
        assert f"{task}: " in created.answer.err
    assert "wrote" not in created.answer.err
    assert "error" not in created.answer.err


def test_create_opens_no_connection(created, monkeypatch, tmp_path):
    """All of it ran in this process for the fixture; its first part, the one with networks, runs here again."""

    def refuse(*arguments):
        raise AssertionError(f"a connection was asked for: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    weights = created.words[created.words.index("--weights") :]
    answer = nerface("capture", created.video, "-o", tmp_path / "person", "--size", 48, *weights)
    assert answer.status == 0, answer.err
    assert answer.out.startswith("captured 24 of 24 frames")
    assert f"wrote {tmp_path / 'person'} " in answer.out.splitlines()[-1]
    first, second = (load_dataset(folder).train for folder in (created.folder / "dataset", tmp_path / "person"))
    np.testing.assert_array_equal(first.camera_to_head, second.camera_to_head)
    np.testing.assert_array_equal(first.images, second.images)


def test_train(created, tmp_path):
    answer = nerface("train", created.folder / "dataset", "-o", tmp_path / "run", *_without_size(SETTINGS), *SHORT)
    assert answer.status == 0, answer.err
    assert [name for name in RUN if not (tmp_path / "run" / name).exists()] == []
    assert f"wrote {tmp_path / 'run' / 'avatar.safetensors'} " in answer.out
    assert f"wrote {tmp_path / 'run' / 'curves.png'} " in answer.out
    assert nerface("train", created.folder / "dataset", "-o", tmp_path / "run", *_without_size(SETTINGS)).status == 2


def _without_size(settings):
    place = settings.index("--size")
    return [*settings[:place], *settings[place + 2 :]]


@pytest.mark.parametrize("avatar", ["", "run", "run/avatar.safetensors"])
def test_eval(created, tmp_path, avatar):
    words = ["eval", created.folder / avatar, created.folder / "dataset", "-o", tmp_path / "figures", "--frames", 2]
    answer = nerface(*words, "--latent", "zero", "--device", "cpu")
    assert answer.status == 0, answer.err
    assert [name for name in EVALUATION if not (tmp_path / "figures" / name).exists()] == []
    assert answer.out.splitlines()[-1].startswith(f"wrote {tmp_path / 'figures'} ")
    assert "latent: zero" in answer.out


def test_eval_without_videos(created, tmp_path):
    words = ["eval", created.folder, created.folder / "dataset", "-o", tmp_path / "figures", "--frames", 1]
    answer = nerface(*words, "--no-video", "--split", "val", "--device", "cpu")
    assert answer.status == 0, answer.err
    assert not list((tmp_path / "figures").glob("*.mp4"))
    assert ".mp4" not in answer.out


def test_render_an_orbit(created, tmp_path):
    video = tmp_path / "new" / "orbit.mp4"
    answer = nerface("render", created.folder, "--orbit", -20, 10, "--frames", 5, "-o", video, "--device", "cpu")
    assert answer.status == 0, answer.err
    assert answer.out == f"wrote {video}  (5 frames, 0.2 s)\n"
    assert (probe(video).frames, probe(video).width) == (5, 48)


def test_render_by_a_dataset(created, tmp_path):
    for number, extra in enumerate([[], ["--orbit", 10, 5], ["--frames", 2], ["--split", "val"]]):
        video = tmp_path / f"{number}.mp4"
        answer = nerface("render", created.folder, "--by", created.folder / "dataset", "-o", video, *extra)
        assert answer.status == 0, answer.err
        assert probe(video).frames == (4, 4, 2, 1)[number]


def test_weights(networks, tmp_path):
    answer = nerface("weights", *networks)
    assert answer.status == 0
    assert answer.out.count("(checked)") == 2


def test_create_again(created):
    before = content(created.folder)
    refused = nerface(*created.words, *SHORT)
    assert refused.status == 2
    assert "already holds a run of sample.mp4: add --resume" in refused.err
    began = time.monotonic()
    again = nerface(*created.words, *SHORT, "--resume")
    assert again.status == 0, again.err
    assert time.monotonic() - began < 10
    assert again.out == created.answer.out
    other = nerface(*created.words, *SHORT, "--resume", "--set", "training.rays=65")
    assert other.status == 2
    assert "training.rays 64, now 65" in other.err
    assert content(created.folder) == before


def test_half_resolution(created, tmp_path):
    """`create --half-res` trains and measures at half the size of the dataset."""
    folder = tmp_path / "me"
    folder.mkdir()
    shutil.copytree(created.folder / "dataset", folder / "dataset")
    record = json.loads((created.folder / "create.json").read_text())
    record["config"]["data"]["half_res"] = True
    (folder / "create.json").write_text(json.dumps(record))
    words = [folder if word == created.folder else word for word in created.words]
    answer = nerface(*words, *SHORT, "--half-res", "--resume")
    assert answer.status == 0, answer.err
    assert "image size: [24, 24]" in answer.out
    assert probe(folder / "showcase.mp4").width == 24


@pytest.mark.slow
def test_create_with_the_tiny_preset(networks, tmp_path):
    """The command a user gives, as a program, on forty frames of the sample clip."""
    from nerface.sample import make_sample_clip

    clip = make_sample_clip(tmp_path / "clip", frames=40)
    words = ["create", clip.video, "-o", tmp_path / "me", "--preset", "tiny", "--set", "training.steps=20"]
    words += ["--size", 64]
    answer = program(*words, "--device", "cpu", *networks)
    assert answer.status == 0, answer.err
    _check_created(tmp_path / "me")
