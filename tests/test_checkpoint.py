"""Checkpoints: nothing is lost, nothing is executed, and every bad file is one line."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch

from nerface.checkpoint import (
    KEEP,
    TrainingState,
    checkpoint_path,
    checkpoints,
    find_checkpoint,
    load_avatar,
    load_checkpoint,
    prune_checkpoints,
    restore_optimizer,
    save_checkpoint,
)
from nerface.errors import UserError
from nerface.fields.planes import PlanesConfig
from nerface.training.begin import make_optimizer
from tests.toys import AVATAR, toy_avatar, toy_run, toy_subject

STATE = TrainingState(17, 3.25, ((0.1, float(torch.tensor(1 / 3))), (1e-8, 2.0)))
PLANES = replace(AVATAR, coarse=replace(AVATAR.coarse, planes=PlanesConfig(8, 2, 3, 8)))


def trained(config=AVATAR, device="cpu"):
    """An avatar whose optimiser has state, after two steps on nothing in particular."""
    avatar = toy_avatar(config).to(device)
    optimizer = make_optimizer(avatar, toy_run().training)
    for _ in range(2):
        optimizer.zero_grad()
        sum(value.square().sum() for value in avatar.parameters()).backward()
        optimizer.step()
    return avatar, optimizer


def rewrite(path: Path, change) -> Path:
    """The file with its description or tensors changed by `change(meta, tensors)`."""
    with safetensors.safe_open(str(path), framework="pt") as file:
        meta = json.loads(file.metadata()["nerface"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(meta, tensors)
    safetensors.torch.save_file(tensors, str(path), metadata={"nerface": json.dumps(meta)})
    return path


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "avatar.safetensors"
    save_checkpoint(path, toy_avatar(), toy_run(), STATE)
    return path


@pytest.mark.parametrize("config", [AVATAR, PLANES], ids=["paper", "planes"])
def test_round_trip_is_bitwise(config, tmp_path, device):
    avatar, optimizer = trained(config, device)
    save_checkpoint(tmp_path / "a.safetensors", avatar, toy_run(config), STATE, optimizer)
    loaded = load_checkpoint(tmp_path / "a.safetensors", device)
    assert loaded.config == toy_run(config)
    assert loaded.state == STATE
    assert loaded.avatar.subject == avatar.subject == toy_subject()
    assert loaded.avatar.device == avatar.device
    expected = avatar.state_dict()
    assert list(loaded.avatar.state_dict()) == list(expected)
    for name, value in loaded.avatar.state_dict().items():
        assert value.dtype == expected[name].dtype
        assert torch.equal(value, expected[name]), name
    other = make_optimizer(loaded.avatar, toy_run().training)
    restore_optimizer(other, loaded.avatar, loaded.optimizer)
    for one, two in zip(avatar.parameters(), loaded.avatar.parameters()):
        assert optimizer.state[one].keys() == other.state[two].keys()
        for key, value in optimizer.state[one].items():
            assert torch.equal(value, other.state[two][key])
            assert value.device == other.state[two][key].device


def test_saving_what_was_loaded_gives_the_same_tensors(file, tmp_path):
    loaded = load_checkpoint(file)
    save_checkpoint(tmp_path / "b.safetensors", loaded.avatar, loaded.config, loaded.state)
    assert (tmp_path / "b.safetensors").read_bytes() == file.read_bytes()


def test_an_avatar_file_holds_no_optimiser(file):
    loaded = load_checkpoint(file)
    assert loaded.optimizer == {}
    with pytest.raises(UserError, match="no optimiser state"):
        restore_optimizer(make_optimizer(loaded.avatar, toy_run().training), loaded.avatar, {})


def test_an_optimiser_of_another_avatar(tmp_path):
    avatar, optimizer = trained()
    save_checkpoint(tmp_path / "a.safetensors", avatar, toy_run(), STATE, optimizer)
    saved = load_checkpoint(tmp_path / "a.safetensors").optimizer
    for wrong in ({"gone.weight.exp_avg": torch.zeros(2)}, {"latent_codes.exp_avg": torch.zeros(2, 2)}):
        with pytest.raises(UserError, match="does not fit the avatar"):
            restore_optimizer(make_optimizer(avatar, toy_run().training), avatar, {**saved, **wrong})


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="not a whole safetensors file") as fault:
        load_checkpoint(file)
    assert "\n" not in str(fault.value)
    assert str(file) in str(fault.value)


@pytest.mark.parametrize(
    "content", [b"\x00" * 500, b"\xff" * 500, b"{}", b"PK\x03\x04" + b"\x00" * 100, bytes(range(256))]
)
def test_something_else_altogether(file, content):
    file.write_bytes(content)
    with pytest.raises(UserError, match="not a whole safetensors file"):
        load_checkpoint(file)


def test_a_flipped_byte_of_the_header_is_a_user_error_or_harmless(file):
    content = file.read_bytes()
    for place in range(0, 1500, 37):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x15]) + content[place + 1 :])
        with suppress(UserError):
            load_checkpoint(file)


class Hostile:
    """Unpickled, it makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_pickle_is_refused_and_not_executed(tmp_path, form):
    path, trace = tmp_path / "avatar.safetensors", tmp_path / "executed"
    if form == "pickle":
        path.write_bytes(pickle.dumps({"model": Hostile(trace)}))
    else:
        torch.save({"model": Hostile(trace)}, path)
    with pytest.raises(UserError, match="not a whole safetensors file"):
        load_checkpoint(path)
    with pytest.raises(UserError):
        load_avatar(path)
    assert not trace.exists()


def test_a_foreign_safetensors_file(tmp_path):
    path = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(2)}, str(path), metadata={"format": "pt"})
    with pytest.raises(UserError, match="not one that nerface wrote"):
        load_checkpoint(path)


def set_to(place: str, value):
    def change(meta, tensors):
        *folders, name = place.split(".")
        for folder in folders:
            meta = meta[folder]
        meta[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_to("format", "nerface-99"), "format nerface-99, this version of nerface reads nerface-1"),
        (set_to("config.avatar.kind", "splats"), "field 'splats', which this version does not know"),
        (set_to("config.avatar.later_setting", 3), "unknown setting 'avatar.later_setting'"),
        (set_to("config.avatar.coarse.width", 17), "weights do not fit its configuration"),
        (set_to("config.avatar.sampling.fine", 0), "weights do not fit its configuration"),
        (set_to("subject.train_frames", 4), "weights do not fit its configuration"),
        (set_to("subject.expression_names", ["a"]), "weights do not fit its configuration"),
        (set_to("subject.intrinsics.wdth", 3), "unknown setting 'subject.intrinsics.wdth', did you mean 'width'"),
        (set_to("subject.mood", 3), "damaged description"),
        (set_to("subject", []), "damaged description"),
        (set_to("state", {"step": 3}), "damaged description"),
        (lambda meta, tensors: meta.pop("subject"), "damaged description"),
        (lambda meta, tensors: meta.pop("config"), "damaged description"),
        (lambda meta, tensors: meta.pop("format"), "damaged description"),
        (lambda meta, tensors: tensors.pop("model.latent_codes"), "weights do not fit .*latent_codes"),
        (lambda meta, tensors: tensors.update({"model.more": torch.zeros(1)}), "weights do not fit .*more"),
    ],
)
def test_a_file_of_something_else_is_one_line(file, change, message):
    rewrite(file, change)
    with pytest.raises(UserError, match=message) as fault:
        load_checkpoint(file)
    assert "\n" not in str(fault.value)
    assert str(file) in str(fault.value)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_others_may_read_an_avatar_where_the_umask_says_so(file):
    plain = file.with_name("plain")
    plain.write_bytes(b"")
    assert file.stat().st_mode == plain.stat().st_mode


def test_a_failed_save_leaves_the_old_file(file, monkeypatch):
    before = file.read_bytes()

    write = Path.write_bytes

    def half(path, content):
        write(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(file, toy_avatar(seed=1), toy_run(), STATE)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


KILLED_WHILE_SAVING = """
import os, signal, sys
from pathlib import Path
from nerface import checkpoint
from tests.toys import toy_avatar, toy_run

write = Path.write_bytes

def half(path, content):
    write(path, content[: len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)

Path.write_bytes = half
checkpoint.save_checkpoint(Path(sys.argv[1]), toy_avatar(seed=1), toy_run(), checkpoint.TrainingState(1, 0.0))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_kill_while_saving_leaves_the_old_file(tmp_path):
    file = checkpoint_path(tmp_path, 5)
    save_checkpoint(file, toy_avatar(), toy_run(), STATE)
    before = file.read_bytes()
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, str(file)]
    found = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert found.returncode == -signal.SIGKILL, found.stderr
    assert file.read_bytes() == before
    assert list(checkpoints(tmp_path)) == [file]  # the stale partial file is not taken for a checkpoint
    assert load_checkpoint(file).state == STATE


def test_the_newest_checkpoints_are_kept(tmp_path):
    steps = (5, 40, 300, 299, 100_000)
    for step in steps:
        path = checkpoint_path(tmp_path, step)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    assert [path.stem for path in checkpoints(tmp_path)][:2] == ["step_00100000", "step_00000300"]
    prune_checkpoints(tmp_path)
    assert len(list(checkpoints(tmp_path))) == KEEP
    assert checkpoint_path(tmp_path, 100_000).exists()


def test_where_an_avatar_is_found(file, tmp_path):
    with pytest.raises(UserError, match="there is no avatar at"):
        find_checkpoint(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no avatar"):
        find_checkpoint(tmp_path / "empty")
    project = tmp_path / "project"
    step = checkpoint_path(project / "run", 5)
    step.parent.mkdir(parents=True)
    step.write_bytes(file.read_bytes())
    assert find_checkpoint(project) == find_checkpoint(project / "run") == find_checkpoint(step) == step
    finished = project / "run" / "avatar.safetensors"
    finished.write_bytes(file.read_bytes())
    assert find_checkpoint(project) == find_checkpoint(project / "run") == finished
    assert not load_avatar(project).training
    with pytest.raises(UserError, match="no checkpoint"):
        load_checkpoint(tmp_path / "nowhere")
