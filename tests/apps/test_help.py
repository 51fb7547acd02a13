"""The command line explains itself, at once, and takes its words as they stand."""

from __future__ import annotations

import subprocess
import time

import pytest

import nerface as package
from nerface.apps import cli
from nerface.apps.verbs import weights
from tests.apps.calls import check_refused, command, nerface, program

VERBS = [
    *("create", "demo", "capture", "import", "check", "train", "convert", "eval", "metrics", "ablate", "render"),
    *("reenact", "mesh", "splats", "weights"),
]


def test_help_answers_at_once():
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run(command("--help"), capture_output=True, text=True)
        seconds.append(time.perf_counter() - began)
        assert done.returncode == 0
        assert all(f"\n    {verb} " in done.stdout for verb in VERBS)
    assert min(seconds) < 0.5


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as left:
        cli.main([verb, "--help"])
    text = capsys.readouterr().out
    assert left.value.code == 0
    assert text.startswith(f"usage: nerface {verb} ")
    assert max(map(len, text.splitlines())) <= 80
    assert "None" not in text
    assert "==SUPPRESS==" not in text


def test_version(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"nerface {package.__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "COMMAND"),
        (["crate"], "create"),
        (["create"], "VIDEO"),
        (["create", "a.mp4"], "--output"),
        (["train", "person", "-o", "run", "--pre", "tiny"], "--pre"),
        (["weights", "more"], "more"),
    ],
)
def test_words_that_make_no_sense(words, said):
    check_refused(nerface(*words), said, "--help)")


def test_a_program_that_is_misused():
    check_refused(program("render"), "AVATAR", "see: nerface render --help")


def _verb_that(monkeypatch, error):
    def fail(options, console):
        raise error

    monkeypatch.setattr(weights, "run", fail)
    return nerface("weights")


def test_faults_of_the_system_are_one_line(monkeypatch):
    denied, nowhere = PermissionError(13, "Permission denied", "/there"), NotADirectoryError(20, "", "/a/b")
    check_refused(_verb_that(monkeypatch, denied), "no permission", "/there")
    check_refused(_verb_that(monkeypatch, nowhere), "Not a directory", "/a/b")
    check_refused(_verb_that(monkeypatch, OSError(28, "No space left")), "the disk is full: free some space")
    check_refused(_verb_that(monkeypatch, OSError(5, "Input/output error")), "Input/output error")


def test_faults_of_the_program_are_not_hidden(monkeypatch):
    for error in (OSError("strange"), RuntimeError("a bug"), ValueError("a bug")):
        with pytest.raises(type(error)):
            _verb_that(monkeypatch, error)


def test_a_full_gpu(monkeypatch):
    import torch

    answer = _verb_that(monkeypatch, torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"))
    check_refused(answer, "the GPU's memory is full")


def test_an_interrupt(monkeypatch):
    answer = _verb_that(monkeypatch, KeyboardInterrupt())
    assert answer.status == 130
    assert answer.err == "stopped; nothing is left half-written; give the command again\n"


def test_a_reader_that_goes_away():
    script = f"set -o pipefail; {' '.join(command('weights'))} | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
