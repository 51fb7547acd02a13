"""A command stopped at any moment says how to go on, and goes on."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time

import pytest

from nerface.apps import console as console_module
from nerface.apps.console import Console, StopOnSignal
from nerface.training.log import read_log
from tests.apps.calls import command, content, nerface
from tests.apps.conftest import SHORT

ENDLESS = ["--preset", "tiny", "--device", "cpu", "--set", "training.steps=1000000", "--set", "training.rays=32"]
ENDLESS += ["--set", "training.log_every=2", "--set", "avatar.sampling.coarse=4", "--set", "avatar.sampling.fine=4"]


@pytest.fixture(autouse=True)
def interruptible():
    """SIGINT as on a terminal: a shell's background job (`pytest &`) has it ignored, and programs inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _stopped(words, task, number=signal.SIGINT):
    """Start a command, send a signal once `task` has begun, and give its exit status and what it said."""
    process = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(f"{task} ..."):
            break
    time.sleep(0.3)
    process.send_signal(number)
    out, rest = process.communicate(timeout=60)
    return process.returncode, out, "".join(said) + rest


def _resume_words(err):
    """The command that the last line tells the user to give."""
    last = err.splitlines()[-1]
    assert "; to go on: nerface " in last, err
    return shlex.split(last.partition("to go on: nerface ")[2])


def _copy(created, tmp_path, *without):
    """A copy of a finished create with parts taken away, and the words that go on with it."""
    folder = tmp_path / "me"
    shutil.copytree(created.folder, folder)
    for name in without:
        place = folder / name
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()
    return folder, [folder if word == created.folder else word for word in created.words]


def test_create_stopped_while_it_trains(created, tmp_path):
    folder, words = _copy(created, tmp_path, "run", "evaluation", "faces.json", "showcase.mp4")
    status, out, err = _stopped([*words, "--resume"], "training")
    assert (status, out) == (130, "")
    assert "Traceback" not in err
    assert "stopping after this step" in err
    assert not (folder / "run" / "avatar.safetensors").exists()
    reached = max(int(path.stem.split("_")[1]) for path in (folder / "run" / "checkpoints").iterdir())
    assert reached > 0
    answer = nerface(*_resume_words(err), *SHORT)
    assert answer.status == 0, answer.err
    steps = [line["step"] for line in read_log(folder / "run")]
    assert steps == sorted(set(steps))
    assert steps[-1] >= reached
    assert (folder / "showcase.mp4").exists()


def test_create_goes_on_with_the_preset_it_was_begun_with(created, tmp_path):
    """Also where the default would be another one: that of the device."""
    folder, words = _copy(created, tmp_path, "showcase.mp4")
    at = words.index("--preset")
    answer = nerface(*words[:at], *words[at + 2 :], "--resume")
    assert answer.status == 0, answer.err
    assert "preset tiny (device cpu" in answer.err
    assert (folder / "showcase.mp4").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_train_stopped(toy, tmp_path, number):
    words = ["train", toy / "person", "-o", tmp_path / "run", *ENDLESS]
    status, out, err = _stopped(words, "training", number)
    assert (status, out) == (130, "")
    resume = _resume_words(err)
    assert resume == [*map(str, words), "--resume"]
    answer = nerface(*resume, *SHORT)
    assert answer.status == 0, answer.err
    assert (tmp_path / "run" / "avatar.safetensors").exists()


@pytest.mark.slow
def test_capture_stopped(sample_video, networks, tmp_path):
    words = ["capture", sample_video, "-o", tmp_path / "person", "--size", 48, *networks]
    status, _, err = _stopped(words, "camera and head pose")
    assert status == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "stopped; what was finished is kept; to go on, give the same command again"
    assert not (tmp_path / "person").exists()
    answer = nerface(*words)
    assert answer.status == 0, answer.err
    assert "landmarks taken up" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["person"]


@pytest.mark.slow
def test_create_stopped_while_it_captures(sample_video, networks, tmp_path, created):
    words = [tmp_path / "me" if word == created.folder else word for word in created.words]
    status, _, err = _stopped(words, "camera and head pose")
    assert status == 130
    answer = nerface(*_resume_words(err), *SHORT)
    assert answer.status == 0, answer.err
    assert "landmarks taken up" in answer.err
    assert not [path for path in (tmp_path / "me").iterdir() if path.name.startswith(".")]


def _half_written(folder, name):
    """What a kill in the middle of writing a folder or a file leaves."""
    place = folder / f".partial-{name}"
    if "." in name:
        place.write_bytes(b"half")
    else:
        (place / "train").mkdir(parents=True)
        (place / "train" / "f_0000.png").write_bytes(b"half")


KILLED = {
    "configuration": ("config.json", ["run", "evaluation", "faces.json", "showcase.mp4"]),
    "evaluation": ("evaluation", ["evaluation", "faces.json", "showcase.mp4"]),
    "faces": ("faces.json", ["faces.json", "showcase.mp4"]),
    "showcase": ("showcase.mp4", ["showcase.mp4"]),
    "avatar": ("avatar.safetensors", ["run/avatar.safetensors", "evaluation", "faces.json", "showcase.mp4"]),
}


@pytest.mark.parametrize("stage", KILLED)
def test_create_killed_while_it_writes(created, tmp_path, stage):
    name, without = KILLED[stage]
    folder, words = _copy(created, tmp_path, *without)
    place = folder / "run" if stage in ("configuration", "avatar") else folder
    place.mkdir(exist_ok=True)
    _half_written(place, name)
    kept = content(folder / "dataset")
    answer = nerface(*words, *SHORT, "--resume")
    assert answer.status == 0, answer.err
    assert content(folder / "dataset") == kept
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in created.folder.iterdir())
    assert not list(folder.rglob(".partial-*"))


@pytest.mark.slow
def test_create_killed_before_its_first_file(sample_video, networks, tmp_path, created):
    folder = tmp_path / "me"
    folder.mkdir()
    _half_written(folder, "create.json")
    words = [folder if word == created.folder else word for word in created.words]
    assert nerface(*words, *SHORT).status == 2
    answer = nerface(*words, *SHORT, "--resume")
    assert answer.status == 0, answer.err
    assert not list(folder.glob(".partial-*"))


@pytest.mark.slow
def test_a_killed_create_takes_up_a_half_written_dataset(created, tmp_path):
    folder, words = _copy(created, tmp_path, "dataset", "run", "evaluation", "faces.json", "showcase.mp4")
    _half_written(folder, "dataset")
    answer = nerface(*words, *SHORT, "--resume")
    assert answer.status == 0, answer.err
    assert not list(folder.glob(".partial-*"))


def test_resume_refuses_what_create_did_not_write(created, sample_video, networks, tmp_path):
    (tmp_path / "create.json").write_text('{"video": 3}')
    words = [tmp_path if word == created.folder else word for word in created.words]
    answer = nerface(*words, "--resume")
    assert answer.status == 2
    assert "create.json is not one that" in answer.err


def test_a_signal_while_nothing_listens_interrupts_at_once():
    with StopOnSignal(Console()) as stop:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert not stop()


def test_a_signal_after_the_loop_interrupts_at_once(capsys):
    console = Console()
    with StopOnSignal(console) as stop:
        console.start("training", 3)
        assert not stop()
        console.start("drawing test frames", 3)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_second_signal_interrupts_a_listening_loop(capsys):
    console = Console()
    with StopOnSignal(console) as stop:
        console.start("training", 3)
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert "stopping after this step" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_loop_that_fell_silent_does_not_listen(monkeypatch):
    monkeypatch.setattr(console_module, "LISTENING_S", 0.0)
    console = Console()
    with StopOnSignal(console) as stop:
        assert not stop()
        time.sleep(0.01)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
