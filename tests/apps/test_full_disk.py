"""A disk that fills up: one line says so and how to go on, and no half-written result remains."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from nerface.data import load_dataset
from tests.apps.calls import Answer, check_refused, nerface
from tests.apps.conftest import SETTINGS

QUICK = ["--preset", "tiny", "--device", "cpu", "--set", "training.steps=2", "--set", "training.rays=32"]
QUICK += ["--set", "avatar.fine.planes=null", "--set", "avatar.sampling.coarse=4", "--set", "avatar.sampling.fine=4"]
# A limit on the size of a file is the full disk that needs no disk: the same failing write, with EFBIG.
LIMITED = """
import resource, sys
from nerface.apps.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


def _full(monkeypatch, ending):
    """From now on nothing with that ending can be written."""
    write = Path.write_bytes

    def fail(self, data):
        if self.name.endswith(ending):
            write(self, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", fail)


def _limited(limit, *words):
    call = [sys.executable, "-c", LIMITED, str(limit), *map(str, words)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120)
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("verb", "ending", "settings"), [("capture", "f_0003.png", ["--size", 48]), ("create", "00050.png", SETTINGS)]
)
def test_capture_and_create(sample_video, networks, tmp_path, monkeypatch, verb, ending, settings):
    _full(monkeypatch, ending)
    answer = nerface(verb, sample_video, "-o", tmp_path / "out", *settings, *networks)
    check_refused(answer, "cannot write", "No space left", alone=False)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".partial-*"))


def test_training(person, tmp_path, monkeypatch):
    words = ["train", person, "-o", tmp_path / "run", *QUICK]
    with monkeypatch.context() as patch:
        _full(patch, ".safetensors")
        check_refused(nerface(*words), "the disk is full", "to go on: nerface train", "--resume", alone=False)
    assert not list(tmp_path.rglob("*.safetensors"))
    answer = nerface(*words, "--resume")
    assert answer.status == 0, answer.err


def test_evaluation(toy, tmp_path, monkeypatch):
    _full(monkeypatch, "0000.png")
    answer = nerface("eval", toy / "run", toy / "person", "-o", tmp_path / "figures")
    check_refused(answer, "the disk is full", "run the same command", alone=False)
    assert list(tmp_path.iterdir()) == []


def test_a_real_limit_on_a_checkpoint(person, tmp_path):
    answer = _limited(60_000, "train", person, "-o", tmp_path / "run", *QUICK)
    check_refused(answer, "the disk is full", "--resume", alone=False)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_real_limit_on_a_log(person, tmp_path):
    load_dataset(person)  # its frame cache is larger than the log may become
    settings = [*QUICK, "--set", "training.steps=200", "--set", "training.log_every=1"]
    answer = _limited(4_000, "train", person, "-o", tmp_path / "run", *settings)
    check_refused(answer, "the disk is full", "--resume", alone=False)
    assert (tmp_path / "run" / "log.jsonl").stat().st_size == 4_000


def test_a_real_limit_on_a_video(toy, tmp_path):
    words = ["render", toy / "run", "--orbit", 10, 5, "--frames", 30, "-o", tmp_path / "video.mp4"]
    check_refused(_limited(1_000, *words), "the disk is full", alone=False)
    assert list(tmp_path.iterdir()) == []


def test_a_real_limit_on_the_frame_cache(person, tmp_path):
    answer = _limited(700, "train", person, "-o", tmp_path / "run", *QUICK)
    check_refused(answer, "no room for the frame cache", alone=False)
    assert not (tmp_path / "run").exists()
