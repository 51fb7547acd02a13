"""`nerface train` with the seed's own files: its configs unchanged, its checkpoints gone on from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nerface.checkpoint import checkpoint_path, load_checkpoint
from tests.apps.calls import check_refused, nerface
from tests.interop.seed_made import (
    LEARNABLE,
    PAPER,
    TOY_WIDTH,
    changed,
    layers_of,
    seed_checkpoint,
    seed_config,
    write_checkpoint,
    write_config,
)


def _train(*words):
    return nerface("train", "--config", "config.yml", "--device", "cpu", *words)


def _config(run: Path) -> dict:
    return json.loads((run / "config.json").read_text())["config"]


def test_a_config_unchanged(here):
    """F5: dataset, run folder, network and numbers all from the config; idle keys in one line."""
    answer = _train()
    assert answer.status == 0, answer.err
    run = here / "logs" / "person" / "person_1"
    assert f"wrote {Path('logs/person/person_1/avatar.safetensors')} " in answer.out
    assert answer.err.count("without effect, as in NeRFace's code: experiment.device") == 1
    assert answer.err.count("decided otherwise here: nerf.train.chunksize") == 1
    config = _config(run)
    assert (config["training"]["steps"], config["training"]["rays"]) == (10, 24)
    assert config["avatar"]["direction"] == "view"
    stored = load_checkpoint(run / "avatar.safetensors")
    assert stored.avatar.coarse.layers_xyz[0].weight.shape == (TOY_WIDTH, 63 + 5 + 32)
    assert stored.config.avatar.sampling.drawn_coarse == 8
    check_refused(_train(), "already holds something", alone=True)


def test_changes_on_top_of_a_config(here):
    """F5, F24: `--set`, `--switch` and `--half-res` after the config; the seed's direction input has a name."""
    words = ["--set", "training.steps=2", "--switch", "seed_directions", "--switch", "no_latent", "--half-res"]
    answer = _train("-o", here / "run", *words)
    assert answer.status == 0, answer.err
    config = _config(here / "run")
    assert (config["training"]["steps"], config["avatar"]["direction"]) == (2, "z_near_far")
    assert not config["avatar"]["use_latent"]
    assert config["data"]["half_res"]


def test_training_goes_on_from_the_seed_s_checkpoint(here):
    """F23, F24: from the step after the stored one, with its optimiser; codes move (they froze in the seed, B4)."""
    answer = _train("-o", here / "run", "--load-checkpoint", "seed.ckpt")
    assert answer.status == 0, answer.err
    before = torch.load(here / "seed.ckpt", weights_only=True)
    after = load_checkpoint(checkpoint_path(here / "run", 10))
    assert after.state.step == 10
    assert _config(here / "run")["avatar"]["direction"] == "z_near_far"
    assert int(after.optimizer["latent_codes.step"]) == 10  # 8 in the file, 2 here
    assert not torch.equal(after.avatar.latent_codes, before["latent_codes"])
    moved = after.avatar.coarse.fc_rgb.weight - before["model_coarse_state_dict"]["fc_rgb.weight"]
    assert 0 < moved.abs().max() < 0.01
    steps = [json.loads(line)["step"] for line in (here / "run" / "log.jsonl").read_text().splitlines()]
    assert min(steps) > 8


def test_a_run_from_the_seed_s_checkpoint_is_resumed(here):
    """F23: stopped and gone on with, it ends in the same numbers."""
    words = ["--load-checkpoint", "seed.ckpt"]
    assert _train("-o", "whole", *words).status == 0
    assert _train("-o", "parts", *words, "--set", "training.steps=9").status == 0
    answer = _train("-o", "parts", *words, "--resume")
    assert answer.status == 0, answer.err
    whole, parts = (load_checkpoint(here / run / "avatar.safetensors").avatar for run in ("whole", "parts"))
    assert all(torch.equal(value, parts.state_dict()[name]) for name, value in whole.state_dict().items())


def test_training_goes_on_from_a_checkpoint_of_ours(here):
    """Into a new run, with the config's settings for what is changed."""
    assert _train("-o", "first", "--switch", "seed_directions").status == 0
    answer = _train("-o", "second", "--load-checkpoint", "first", "--set", "training.steps=12")
    assert answer.status == 0, answer.err
    assert _config(here / "second")["avatar"]["direction"] == "z_near_far"
    other = changed(seed_config(), "models.fine", None)
    write_config(here, other, "other.yml")
    answer = nerface("train", "--config", "other.yml", "-o", "third", "--load-checkpoint", "first", "--device", "cpu")
    check_refused(answer, "is of another field than the settings ask for", alone=False)


def test_a_dataset_elsewhere(here):
    (here / "person").rename(here / "moved")
    check_refused(_train(), "there is no folder person (dataset.basedir)", "--basedir FOLDER")
    for number, words in enumerate((["--basedir", "moved"], ["moved"])):
        answer = _train(*words, "-o", f"run{number}", "--set", "training.steps=1")
        assert answer.status == 0, answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "paper"], "--preset and --config both"),
        (["person", "--basedir", "person"], "DATASET and --basedir both"),
        (["--set", "training.stepz=1"], "did you mean 'steps'"),
        (["--switch", "no_latnt"], "did you mean 'no_latent'"),
        (["--basedir", "nowhere"], "the dataset nowhere is not a folder"),
    ],
)
def test_words_that_do_not_go_together(here, words, said):
    check_refused(_train("-o", here / "run", *words), said)
    assert not (here / "run").exists()


def test_a_checkpoint_that_is_not_there(here):
    """The seed begins anew without a word (spec 4.1)."""
    check_refused(_train("--load-checkpoint", "sed.ckpt"), "there is no checkpoint sed.ckpt", alone=False)
    assert not (here / "logs").exists()


def test_a_direction_cannot_be_changed_afterwards(here):
    answer = _train("--load-checkpoint", "seed.ckpt", "--set", "avatar.direction=view", "-o", "run")
    check_refused(answer, "cannot be shown view", alone=False)


def test_checkpoints_that_cannot_be_used(here):
    """Truncated, and of another class: one clear line, and no run."""
    whole = (here / "seed.ckpt").read_bytes()
    (here / "cut.ckpt").write_bytes(whole[:-500])
    check_refused(_train("-o", "run", "--load-checkpoint", "cut.ckpt"), "was it cut short", alone=False)
    layers = layers_of(PAPER, 5)
    write_checkpoint(here, seed_checkpoint(layers, layers), "paper.ckpt")
    answer = _train("-o", "run", "--load-checkpoint", "paper.ckpt")
    check_refused(answer, f"{LEARNABLE}", f"it looks like {PAPER}", alone=False)
    assert not (here / "run").exists()


def test_without_a_config_a_dataset_and_a_folder_are_named(here):
    check_refused(nerface("train"), "DATASET", "--config FILE")
    check_refused(nerface("train", "person"), "-o FOLDER")
    check_refused(nerface("train", "person", "-o", "run", "--basedir", "person"), "use it with --config")
    answer = nerface("train", "person", "-o", "run", "--load-checkpoint", "seed.ckpt", "--device", "cpu")
    check_refused(answer, "seed.ckpt does not say what network it holds: add --config")
    answer = nerface("train", "person", "-o", "run", "--load-checkpoint", "none.safetensors", "--device", "cpu")
    check_refused(answer, "none.safetensors")
    assert not (here / "run").exists()
