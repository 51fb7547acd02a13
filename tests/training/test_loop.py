"""Training: it learns, it refuses, and a run that was stopped is the run that was not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from nerface.checkpoint import KEEP, checkpoint_path, checkpoints, load_avatar, load_checkpoint
from nerface.config import TrainingConfig, from_json
from nerface.data import load_dataset
from nerface.errors import UserError
from nerface.fields.planes import PlanesConfig
from nerface.presets import preset
from nerface.training import loop
from nerface.training.begin import make_optimizer
from nerface.training.corrections import FrameCorrections
from nerface.training.frames import FrameStore
from nerface.training.log import read_log
from nerface.training.loop import learning_rate, train, training_step
from nerface.training.losses import mask_loss
from nerface.types import Condition
from tests.data.make import write_tiny_dataset
from tests.toys import AVATAR, avatar_for, toy_run

CUDA_TOLERANCE = 1e-4
PLANES = PlanesConfig(resolution=8, channels=2, basis=3, basis_resolution=8)


def curve(run: Path) -> list[dict[str, float]]:
    """The log without the times, which no two runs share."""
    return [{name: value for name, value in line.items() if name != "seconds"} for line in read_log(run)]


def same_curves(one: Path, other: Path, device: torch.device) -> None:
    first, second = curve(one), curve(other)
    if device.type == "cpu":
        assert first == second
        return
    assert [sorted(line) for line in first] == [sorted(line) for line in second]
    for a, b in zip(first, second):
        assert a == pytest.approx(b, abs=CUDA_TOLERANCE, rel=CUDA_TOLERANCE)


def same_weights(one: Path, other: Path) -> None:
    first, second = load_avatar(one).state_dict(), load_avatar(other).state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def after(steps: int):
    """Asks to stop once `steps` steps are done."""
    asked = count()
    return lambda: next(asked) >= steps


def test_the_rate_of_the_spec():
    # Spec 4.3, step 7: 5e-5 at 250,000 steps, 1.26e-5 at 400,000.
    settings = preset("paper").training
    assert learning_rate(settings, 0) == 5e-4
    assert learning_rate(settings, 250_000) == pytest.approx(5e-5)
    assert learning_rate(settings, 400_000) == pytest.approx(1.256e-5, rel=1e-3)
    assert learning_rate(TrainingConfig(learning_rate=1.0, decay_factor=0.25, decay_steps=2), 3) == pytest.approx(0.125)


def test_a_run_s_folder(tiny_dataset, tmp_path, device):
    result = train(tiny_dataset, tmp_path / "run", toy_run(), device=device)
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} == {"config.json", "log.jsonl", "checkpoints", "avatar.safetensors"}
    assert result.finished
    assert result.state.step == 12
    assert result.avatar_file == run / "avatar.safetensors"
    stored = json.loads((run / "config.json").read_text())
    assert from_json(stored["config"], "config.json") == toy_run()
    lines = read_log(run)
    assert [line["step"] for line in lines if "loss" in line] == [4, 8, 12]
    assert [line["step"] for line in lines if "validation_psnr" in line] == [6, 12]
    assert lines[-1]["validation_psnr"] == result.validation_psnr
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)
    assert [path.name for path in checkpoints(run)] == ["step_00000012.safetensors", "step_00000010.safetensors"]
    avatar, weights = load_avatar(run), result.avatar.cpu().state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in avatar.state_dict().items())
    assert torch.equal(avatar.background, torch.from_numpy(np.array(tiny_dataset.background)))
    assert torch.equal(avatar.background_unseen, torch.from_numpy(np.array(tiny_dataset.background_unseen)))


def test_a_log_line_is_the_mean_of_its_steps(tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "each", toy_run(log_every=1))
    train(tiny_dataset, tmp_path / "four", toy_run(log_every=4))
    each = [line["loss"] for line in read_log(tmp_path / "each") if "loss" in line]
    four = [line["loss"] for line in read_log(tmp_path / "four") if "loss" in line]
    assert four == pytest.approx([np.mean(each[k : k + 4]) for k in (0, 4, 8)], rel=1e-6)


def test_equal_seeds_give_equal_runs(tiny_dataset, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tiny_dataset, tmp_path / name, toy_run(seed=seed))
    same_curves(tmp_path / "a", tmp_path / "b", torch.device("cpu"))
    same_weights(tmp_path / "a", tmp_path / "b")
    assert curve(tmp_path / "a") != curve(tmp_path / "c")


@pytest.mark.parametrize("planes", [None, PLANES], ids=["plain", "planes"])
def test_a_short_run_learns_the_tiny_person(planes, tiny_dataset, tmp_path, device):
    field = replace(AVATAR.coarse, width=32, position_frequencies=6, planes=planes)
    sampling = replace(AVATAR.sampling, coarse=12, fine=12, density="softplus")
    avatar = replace(AVATAR, coarse=field, fine=field, sampling=sampling)
    config = toy_run(avatar, steps=150, rays=256, frames=4, learning_rate=1e-2, log_every=10, validate_every=75)
    result = train(tiny_dataset, tmp_path / "run", config, device=device)
    levels = [line["psnr"] for line in read_log(tmp_path / "run") if "psnr" in line]
    assert levels[-1] > levels[0] + 4
    seen = loop.Validation(replace(tiny_dataset, splits={"val": tiny_dataset.train}), device, 0)
    assert seen.measure(result.avatar, "fp32")["validation_psnr"] > levels[0] + 3


@pytest.mark.parametrize("stops", [[1], [7], [3, 4, 9], [4, 5, 6, 10, 11]], ids=str)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(stops, tiny_dataset, tmp_path, device):
    config = toy_run()
    train(tiny_dataset, tmp_path / "whole", config, device=device)
    done = 0
    for stop in stops:
        stopping = after(stop - done)
        result = train(tiny_dataset, tmp_path / "run", config, device=device, resume=done > 0, stop=stopping)
        assert not result.finished
        assert result.state.step == stop
        assert not result.avatar_file.exists()
        done = stop
    result = train(tiny_dataset, tmp_path / "run", config, device=device, resume=True)
    assert result.finished
    same_curves(tmp_path / "whole", tmp_path / "run", device)
    if device.type == "cpu":
        same_weights(tmp_path / "whole", tmp_path / "run")


def test_resuming_a_finished_run_changes_nothing(tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "run", toy_run())
    before = (tmp_path / "run" / "log.jsonl").read_bytes()
    weights = load_avatar(tmp_path / "run").state_dict()
    result = train(tiny_dataset, tmp_path / "run", toy_run(), resume=True)
    assert result.finished
    assert result.validation_psnr is not None
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == before
    assert all(torch.equal(value, weights[name]) for name, value in load_avatar(tmp_path / "run").state_dict().items())


def test_more_steps_may_be_added(tiny_dataset, tmp_path):
    # At the first run's end, step 12, nothing is logged or reset that the longer run does not log and reset too.
    train(tiny_dataset, tmp_path / "long", toy_run(steps=24))
    train(tiny_dataset, tmp_path / "run", toy_run(steps=12))
    train(tiny_dataset, tmp_path / "run", toy_run(steps=24), resume=True)
    same_curves(tmp_path / "long", tmp_path / "run", torch.device("cpu"))
    same_weights(tmp_path / "long", tmp_path / "run")


def test_a_time_limit_ends_a_run_with_an_avatar(tiny_dataset, tmp_path):
    result = train(tiny_dataset, tmp_path / "run", toy_run(), max_seconds=1e-9)
    assert result.finished
    assert result.avatar_file.exists()
    assert result.state.step < 12


def test_a_damaged_newest_checkpoint_is_one_line(tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "run", toy_run(), stop=after(7))
    newest = checkpoint_path(tmp_path / "run", 7)
    newest.write_bytes(newest.read_bytes()[:3000])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        train(tiny_dataset, tmp_path / "run", toy_run(), resume=True)


def test_an_existing_folder_is_refused(tiny_dataset, tmp_path):
    run = tmp_path / "run"
    train(tiny_dataset, run, toy_run(), stop=after(2))
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="choose a new folder"):
        train(tiny_dataset, run, toy_run())
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == files
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    for resume in (False, True):
        with pytest.raises(UserError, match="choose a new folder"):
            train(tiny_dataset, other, toy_run(), resume=resume)
    assert [path.name for path in other.iterdir()] == ["letter.txt"]
    (other / "config.json").write_text('{"model": "another program\'s"}')
    with pytest.raises(UserError, match="not one that a training run wrote"):
        train(tiny_dataset, other, toy_run(), resume=True)
    (other / "config.json").write_text('{"config": ')
    with pytest.raises(UserError, match="not valid JSON"):
        train(tiny_dataset, other, toy_run(), resume=True)


@pytest.mark.parametrize("left", [None, "", ".partial-config.json"])
def test_a_run_stopped_before_its_first_file_begins(left, tiny_dataset, tmp_path):
    run = tmp_path / "run"
    if left is not None:
        run.mkdir()
    if left:
        (run / left).write_text('{"conf')
    assert train(tiny_dataset, run, toy_run(steps=2), resume=True).finished


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"training": {"learning_rate": 0.25}}, "training.learning_rate 0.0005, now 0.25"),
        ({"training": {"seed": 3}}, "training.seed 42, now 3"),
        ({"avatar": {"latent_channels": 5}}, "avatar.latent_channels 4, now 5"),
    ],
)
def test_other_settings_are_refused(change, words, tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "run", toy_run(), stop=after(2))
    other = toy_run(replace(AVATAR, **change.get("avatar", {})), **change.get("training", {}))
    with pytest.raises(UserError, match=words) as fault:
        train(tiny_dataset, tmp_path / "run", other, resume=True)
    assert "\n" not in str(fault.value)


def test_another_dataset_is_refused_and_a_moved_one_is_not(tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "run", toy_run(), stop=after(2))
    other = load_dataset(write_tiny_dataset(tmp_path / "other" / "person", seed=1))
    with pytest.raises(UserError, match="another dataset") as fault:
        train(other, tmp_path / "run", toy_run(), resume=True)
    assert "\n" not in str(fault.value)
    moved = tiny_dataset.root.rename(tmp_path / "renamed")
    assert train(load_dataset(moved), tmp_path / "run", toy_run(), resume=True).finished


def test_a_loss_that_is_no_number_is_one_line(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "colour_loss", lambda colour, *_: (colour * float("nan")).mean())
    with pytest.raises(UserError, match=r"at step 4: lower training\.learning_rate") as fault:
        train(tiny_dataset, tmp_path / "run", toy_run())
    assert "\n" not in str(fault.value)


def test_without_validation_frames(tiny_dataset, tmp_path):
    without = replace(tiny_dataset, splits={"train": tiny_dataset.train})
    result = train(without, tmp_path / "run", toy_run())
    assert result.validation_psnr is None
    assert all("validation_psnr" not in line for line in read_log(tmp_path / "run"))


def test_validation_is_the_psnr_of_the_rendering(tiny_dataset):
    """Every pixel of this small image is among those looked at, so the figure is that of the whole picture."""
    avatar = avatar_for(tiny_dataset).eval()
    found = loop.Validation(tiny_dataset, torch.device("cpu"), 0).measure(avatar, "fp32")["validation_psnr"]
    frame = tiny_dataset.splits["val"][0]
    condition = Condition(torch.from_numpy(frame.expression.copy()), avatar.latent("mean"), avatar.plate())
    with torch.no_grad():
        image = avatar.render(tiny_dataset.camera("val", 0), condition).colour
    error = float(((image - torch.from_numpy(frame.image) / 255) ** 2).mean())
    assert found == pytest.approx(-10 * np.log10(error), abs=1e-3)


def step_of(avatar, optimizer, dataset, settings, step):
    frames, corrections = FrameStore(dataset, avatar.device), FrameCorrections(dataset, settings, avatar.device)
    return training_step(avatar, optimizer, frames, corrections, settings, step)


def test_a_step_moves_only_the_latent_codes_in_use(tiny_dataset):
    avatar = avatar_for(tiny_dataset)
    settings = toy_run(latent_penalty=0.0).training
    optimizer = make_optimizer(avatar, settings)
    before = avatar.latent_codes.detach().clone()
    step_of(avatar, optimizer, tiny_dataset, settings, 0)
    moved = (avatar.latent_codes != before).any(-1)
    assert int(moved.sum()) == settings.frames


def test_every_step_and_every_seed_draws_anew(tiny_dataset):
    losses = []
    for seed, step in ((1, 0), (1, 1), (2, 0), (1, 0)):
        avatar, settings = avatar_for(tiny_dataset), toy_run(seed=seed).training
        losses.append(float(step_of(avatar, make_optimizer(avatar, settings), tiny_dataset, settings, step)[0]))
    assert len(set(losses)) == 3
    assert losses[0] == losses[3]


def test_the_latent_penalty_pulls_codes_to_zero(tiny_dataset):
    norms = []
    for penalty in (0.0, 10.0):
        avatar = avatar_for(tiny_dataset)
        settings = toy_run(latent_penalty=penalty, learning_rate=0.05).training
        optimizer = make_optimizer(avatar, settings)
        for step in range(15):
            step_of(avatar, optimizer, tiny_dataset, settings, step)
        norms.append(float(avatar.latent_codes.detach().norm(dim=-1).mean()))
    assert norms[1] < 0.7 * norms[0]


KILLED = Path(__file__).with_name("killed.py")
no_kill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")


@no_kill
@pytest.mark.parametrize("how", ["at random moments", "at writes"])
def test_a_killed_run_goes_on_as_if_it_had_not_been(how, tmp_path):
    """Killed again and again, also in the middle of writing a checkpoint: the log and the weights are the same."""
    command = [sys.executable, "-m", "tests.training.killed", str(tmp_path), how]
    found = subprocess.run(command, cwd=KILLED.parents[2], capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    kills = int(found.stdout.split()[-1])
    assert kills >= 3
    same_curves(tmp_path / "whole", tmp_path / "run", torch.device("cpu"))
    same_weights(tmp_path / "whole", tmp_path / "run")
    assert len(list(checkpoints(tmp_path / "run"))) == KEEP
    whole, run = (load_checkpoint(next(checkpoints(tmp_path / name))) for name in ("whole", "run"))
    assert whole.optimizer.keys() == run.optimizer.keys()
    assert all(torch.equal(value, run.optimizer[name]) for name, value in whole.optimizer.items())


def test_the_mask_keeps_density_off_the_backdrop(tiny_dataset, tmp_path):
    """With the penalty, opacity of held-back pixels is nearer to the person masks than without."""
    misses = []
    for name, penalty in (("without", 0.0), ("with", 5.0)):
        sampling = replace(AVATAR.sampling, density="softplus")
        config = toy_run(replace(AVATAR, sampling=sampling), steps=100, learning_rate=1e-2, mask_penalty=penalty)
        avatar = train(tiny_dataset, tmp_path / name, config).avatar
        store = FrameStore(tiny_dataset, torch.device("cpu"), masks=True)
        batch = store.draw(toy_run(frames=4, rays=400).training, torch.Generator().manual_seed(7))
        with torch.no_grad():
            rendering = avatar.render_batch(batch, torch.Generator().manual_seed(8))[-1]
        misses.append(float(mask_loss(rendering.opacity, batch.mask)))
    assert misses[1] < 0.7 * misses[0]
