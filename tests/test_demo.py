"""`nerface demo` from its first picture to its last word, and stopped on the way. Minutes, so only with -m slow."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from functools import partial

import pytest

from nerface.apps import demo
from nerface.config import override
from nerface.presets import preset
from nerface.sample import make_sample_clip
from tests.apps.calls import command, nerface


@pytest.fixture
def networks(weights):
    """Where the networks are, in the command line's words."""
    return ["--weights", weights.face_landmarker.parent]


@pytest.fixture
def short_demo(monkeypatch):
    """The demo on the first frames of the clip, hardly trained."""
    few = ["training.steps=20", "training.frames=1", "avatar.start=300", "avatar.most=400"]
    monkeypatch.setattr(demo, "make_sample_clip", partial(make_sample_clip, frames=30))
    monkeypatch.setattr(demo, "preset", lambda name: override(preset(name), few))


@pytest.mark.slow
def test_a_short_demo(short_demo, networks, tmp_path):
    answer = nerface("demo", "-o", tmp_path / "demo", "--device", "cpu", *networks)
    assert answer.status == 0, answer.err
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"sample", "avatar", "truth.json"}
    truth = json.loads((tmp_path / "demo" / "truth.json").read_text())
    assert truth["frames"] == 30
    assert "capture against the truth" in answer.out
    assert f"wrote {tmp_path / 'demo' / 'truth.json'} " in answer.out
    assert nerface("demo", "-o", tmp_path / "demo", *networks).status == 2
    again = nerface("demo", "-o", tmp_path / "demo", "--device", "cpu", "--resume", *networks)
    assert again.status == 0, again.err
    assert again.out.splitlines()[:-1] == answer.out.splitlines()[:-1]  # but for the seconds taken


@pytest.mark.slow
def test_a_demo_stopped_while_it_draws_its_clip(short_demo, networks, tmp_path):
    process = subprocess.Popen(command("demo", "-o", tmp_path / "demo", *networks), stderr=subprocess.PIPE, text=True)
    assert "drawing the sample subject" in process.stderr.readline()
    time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "demo" / "sample" / "sample.mp4").exists()
    answer = nerface("demo", "-o", tmp_path / "demo", "--device", "cpu", "--resume", *networks)
    assert answer.status == 0, answer.err
    assert not list((tmp_path / "demo").rglob(".partial-*"))


@pytest.mark.slow
def test_the_whole_demo(networks, tmp_path):
    """The published promise: figures of the avatar and of the capture on the clip whose truth is known."""
    answer = nerface("demo", "-o", tmp_path / "demo", "--device", "cpu", *networks)
    assert answer.status == 0, answer.err
    truth = json.loads((tmp_path / "demo" / "truth.json").read_text())
    assert truth["rotation_error_deg"] < 1.5
    assert truth["score_correlation"]["jawOpen"] > 0.9
    metrics = json.loads((tmp_path / "demo" / "avatar" / "evaluation" / "metrics.json").read_text())
    assert metrics["settings"]["frames"] == 36
    assert metrics["means"]["head_psnr"] > metrics["means"]["baseline_head_psnr"] + 10
    assert "gain over it, head box" in answer.out
    faces = json.loads((tmp_path / "demo" / "avatar" / "faces.json").read_text())
    assert faces["found_share"] > 0.9
