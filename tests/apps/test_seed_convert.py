"""`nerface convert`: the seed's checkpoints become avatars for every other command, and runs become the seed's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from nerface.checkpoint import load_checkpoint
from nerface.interop.seed_export import _edits_needed
from tests.apps.calls import check_refused, nerface
from tests.interop.seed_made import (
    COMPRESSED,
    TOY_LAYERS,
    TOY_WIDTH,
    layers_of,
    seed_checkpoint,
    seed_config,
    write_checkpoint,
    write_config,
)


def _convert(*words):
    return nerface("convert", *words)


def test_a_checkpoint_becomes_an_avatar(here, monkeypatch):
    """F22, F24: with it, evaluation and rendering work as with any other."""
    answer = _convert("seed.ckpt", "a.safetensors", "--config", "config.yml")
    assert answer.status == 0, answer.err
    assert (
        answer.out
        == "wrote a.safetensors  (the avatar after 8 steps, without its optimiser; every other command takes it)\n"
    )
    stored = load_checkpoint(Path("a.safetensors"))
    assert stored.config.avatar.direction == "z_near_far"
    codes = torch.load("seed.ckpt", weights_only=True)["latent_codes"]
    assert torch.equal(stored.avatar.latent_codes, codes)
    answer = nerface("render", "a.safetensors", "--orbit", 10, 5, "--frames", 2, "-o", "orbit.mp4", "--device", "cpu")
    assert answer.status == 0, answer.err
    words = ["eval", "a.safetensors", "person", "-o", "figures", "--latent", "frame:2", "--no-video", "--device", "cpu"]
    answer = nerface(*words)
    assert answer.status == 0, answer.err


def test_there_and_back_again(here):
    """F22: weights and codes bit for bit; an avatar file carries no optimiser, and the user is told."""
    assert _convert("seed.ckpt", "a.safetensors", "--config", "config.yml").status == 0
    check_refused(_convert("a.safetensors", "back.ckpt"), "5 expression channels, NeRFace's code 76", "--force")
    answer = _convert("a.safetensors", "back.ckpt", "--force")
    assert answer.status == 0, answer.err
    assert "without optimiser" in answer.out
    before, after = (torch.load(name, weights_only=True) for name in ("seed.ckpt", "back.ckpt"))
    for stage in ("model_coarse_state_dict", "model_fine_state_dict"):
        assert all(torch.equal(value, after[stage][name]) for name, value in before[stage].items())
    assert torch.equal(before["latent_codes"], after["latent_codes"])
    assert torch.equal(before["background"], after["background"])
    assert before["iter"] == after["iter"]


def test_a_run_becomes_the_seed_s_checkpoint(here):
    """F22: the newest checkpoint of a run, optimiser and loss included; it can be gone on from here, too."""
    words = ["train", "--config", "config.yml", "--device", "cpu", "--load-checkpoint"]
    assert nerface(*words, "seed.ckpt", "-o", "run").status == 0
    answer = _convert("run", "out.ckpt", "--force")
    assert answer.status == 0, answer.err
    assert "step_00000010.safetensors after 10 steps, with its optimiser" in answer.out
    back = torch.load("out.ckpt", weights_only=True)
    assert back["iter"] == 9
    assert {int(entry["step"]) for entry in back["optimizer_state_dict"]["state"].values()} == {10}
    answer = nerface(*words, "out.ckpt", "-o", "more", "--set", "training.steps=12")
    assert answer.status == 0, answer.err
    assert load_checkpoint(here / "more" / "avatar.safetensors").state.step == 12


class _Hostile:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_hostile_file(here):
    content = torch.load("seed.ckpt", weights_only=True)
    torch.save({**content, "psnr": _Hostile()}, "bad.ckpt")
    answer = _convert("bad.ckpt", "a.safetensors", "--config", "config.yml")
    check_refused(answer, "bad.ckpt asks for posix.mkdir", "nothing in it was run")
    assert not Path("pwned").exists()
    assert not Path("a.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed.ckpt", "a.safetensors"], "does not say what network it holds: add --config"),
        (["seed.ckpt", "a.pt", "--config", "config.yml"], "a.pt ends neither in .safetensors"),
        (["seed.ckpt", "b.ckpt"], "seed.ckpt is converted to .safetensors, not to .ckpt"),
        (["none.ckpt", "a.safetensors", "--config", "config.yml"], "there is no none.ckpt"),
        (["seed.ckpt", "a.safetensors", "--config", "none.yml"], "there is no config none.yml"),
        (["seed.ckpt", "config.yml", "--config", "config.yml"], "config.yml ends neither"),
        (["person", "b.ckpt"], "person holds no avatar"),
        (["person", "b.ckpt", "--config", "config.yml"], "belong to a .ckpt that is read"),
    ],
)
def test_what_cannot_be_converted(here, words, said):
    check_refused(_convert(*words), said)
    Path("a.safetensors").write_text("mine")
    check_refused(_convert("seed.ckpt", "a.safetensors", "--config", "config.yml"), "exists already")
    assert Path("a.safetensors").read_text() == "mine"


def test_a_checkpoint_of_another_class(here):
    layers = layers_of(COMPRESSED, 5, layers=TOY_LAYERS, width=TOY_WIDTH)
    write_checkpoint(here, seed_checkpoint(layers, layers), "other.ckpt")
    answer = _convert("other.ckpt", "a.safetensors", "--config", "config.yml")
    check_refused(answer, "layers_expr.0.bias", f"it looks like {COMPRESSED}", alone=False)
    write_config(here, seed_config(COMPRESSED, TOY_LAYERS, TOY_WIDTH), "fits.yml")
    assert _convert("other.ckpt", "a.safetensors", "--config", "fits.yml").status == 0


@pytest.mark.parametrize(
    ("switch", "reason"),
    [
        ("no_background", "with the background 'none'"),
        ("trainable_background", "with the background 'trainable'"),
        ("white_background", "on white"),
        ("no_latent", "without latent codes"),
    ],
)
def test_what_the_released_evaluator_would_draw_wrongly(switch, reason, here):
    run = nerface("train", "--config", "config.yml", "-o", switch, "--switch", switch, "--device", "cpu")
    assert run.status == 0, run.err
    avatar = load_checkpoint(Path(switch) / "avatar.safetensors")
    assert any(reason in fault for fault in _edits_needed(avatar))
