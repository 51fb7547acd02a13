"""An avatar file that is none, or does not fit what it is asked for."""

from __future__ import annotations

import json
import pickle
import shutil

import pytest
import safetensors.torch
from safetensors import safe_open

from tests.apps.calls import check_refused, content, nerface
from tests.apps.conftest import change_json


class Bomb:
    """A pickle that leaves a trace when it is executed."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


def _other_kind(source, target):
    with safe_open(str(source), framework="pt") as file:
        meta = json.loads(file.metadata()["nerface"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    meta["config"]["avatar"]["kind"] = "hologram"
    safetensors.torch.save_file(tensors, str(target), metadata={"nerface": json.dumps(meta)})


def _refuse(avatar, toy, tmp_path, *words):
    before = {path.name for path in tmp_path.iterdir()}
    check_refused(nerface("eval", avatar, toy / "person", "-o", tmp_path / "figures"), *words)
    check_refused(nerface("render", avatar, "--orbit", 10, 5, "-o", tmp_path / "video.mp4"), *words)
    check_refused(nerface("render", avatar, "--by", toy / "person", "-o", tmp_path / "video.mp4"), *words)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_an_avatar_of_another_field(toy, tmp_path):
    _other_kind(toy / "run" / "avatar.safetensors", tmp_path / "other.safetensors")
    _refuse(tmp_path / "other.safetensors", toy, tmp_path, "field 'hologram'", "known: paper")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_off_file(toy, tmp_path, share):
    whole = (toy / "run" / "avatar.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: int(share * len(whole))])
    _refuse(tmp_path / "cut.safetensors", toy, tmp_path, "cut.safetensors is not a whole safetensors file")


def test_a_pickle_is_not_executed(toy, tmp_path):
    trace = tmp_path.parent / f"{tmp_path.name}-trace"
    (tmp_path / "old.ckpt").write_bytes(pickle.dumps(Bomb(trace)))
    _refuse(tmp_path / "old.ckpt", toy, tmp_path, "old.ckpt is not a whole safetensors file")
    assert not trace.exists()


def test_another_programs_file(toy, tmp_path):
    tensors = {"w": safetensors.torch.load_file(str(toy / "run" / "avatar.safetensors"))["model.latent_codes"]}
    safetensors.torch.save_file(tensors, str(tmp_path / "net.safetensors"))
    _refuse(tmp_path / "net.safetensors", toy, tmp_path, "not one that nerface wrote")


def test_no_avatar_there(toy, tmp_path):
    _refuse(tmp_path / "none", toy, tmp_path, "there is no avatar")
    _refuse(toy / "person", toy, tmp_path, "holds no avatar")


@pytest.mark.parametrize("latent", ["first", "frame:99", "frame:-1", "frame:x", "frame:\N{SUPERSCRIPT TWO}"])
def test_a_latent_code_that_does_not_exist(toy, tmp_path, latent):
    words = ["--latent", latent]
    check_refused(
        nerface("eval", toy / "run", toy / "person", "-o", tmp_path / "figures", *words), f"'{latent}'", alone=False
    )
    check_refused(nerface("render", toy / "run", "--orbit", 9, 5, "-o", tmp_path / "a.mp4", *words), f"'{latent}'")
    assert list(tmp_path.iterdir()) == []


def test_a_frame_of_the_video_that_is_no_training_frame(toy, tmp_path):
    for number, message in (
        ("2", "not a training frame"),  # the validation frame
        ("77", "the video has no such frame"),
        ("\N{SUPERSCRIPT TWO}", "needs the number of a frame"),
    ):
        words = ["eval", toy / "run", toy / "person", "-o", tmp_path / "figures", "--latent", f"video:{number}"]
        check_refused(nerface(*words), message, alone=False)
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_with_other_channels(toy, person, tmp_path):
    def rename(value):
        value["expression_names"][1] = "tongueOut"

    for split in ("train", "val", "test"):
        change_json(person / f"transforms_{split}.json", rename)
    answer = nerface("render", toy / "run", "--by", person, "-o", tmp_path / "video.mp4")
    check_refused(answer, "other expression channels", "shape_1", alone=False)
    answer = nerface("eval", toy / "run", person, "-o", tmp_path / "figures")
    check_refused(answer, "other expression channels", alone=False)
    assert {path.name for path in tmp_path.iterdir()} == {"person"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "say what to draw"),
        (["--orbit", 10], "--orbit"),
        (["--orbit", 10, "up"], "--orbit"),
        (["--orbit", 10, 5, "--frames", 0], "--frames"),
        (["--orbit", 10, 5, "--frames", "few"], "--frames"),
        (["--orbit", 10, 5, "-o", "video.gif"], "ends in .mp4"),
    ],
)
def test_renderings_that_make_no_sense(toy, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    check_refused(nerface("render", toy / "run", "-o", "video.mp4", *options), words)
    assert list(tmp_path.iterdir()) == []


def test_results_are_never_overwritten(toy, tmp_path):
    (tmp_path / "video.mp4").write_text("mine")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "note.txt").write_text("mine")
    before = content(tmp_path)
    check_refused(nerface("render", toy / "run", "--orbit", 9, 5, "-o", tmp_path / "video.mp4"), "exists already")
    check_refused(nerface("eval", toy / "run", toy / "person", "-o", tmp_path / "figures"), "already holds something")
    assert content(tmp_path) == before


def test_an_empty_split(toy, person, tmp_path):
    shutil.copy(person / "transforms_val.json", person / "transforms_test.json")
    change_json(person / "transforms_test.json", lambda value: value["frames"].clear())
    answer = nerface("eval", toy / "run", person, "-o", tmp_path / "figures")
    check_refused(answer, "no frames in the split 'test'", alone=False)
    answer = nerface("render", toy / "run", "--by", person, "-o", tmp_path / "video.mp4")
    check_refused(answer, "lists no frames", alone=False)
