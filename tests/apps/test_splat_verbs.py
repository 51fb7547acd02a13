"""The second field through the commands of the first: trained, drawn and measured; refused where it has no meaning."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nerface.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from nerface.data import load_dataset
from nerface.fields.splat import SplatAvatar
from nerface.training.begin import describe
from tests.apps.calls import check_refused, content, nerface
from tests.fields.splat_toys import toy_splat_avatar, toy_splat_run

SMALL = [
    *("--preset", "splat_tiny", "--device", "cpu"),
    *("--set", "training.steps=4", "--set", "avatar.start=40", "--set", "avatar.most=60"),
]


@pytest.fixture
def splat(here: Path) -> Path:
    """A splat avatar of the dataset beside the config of the seed's form: its file in the working directory."""
    subject = describe(load_dataset("person"))
    avatar, run = toy_splat_avatar(subject), toy_splat_run()
    optimizer = torch.optim.Adam(avatar.parameters())
    save_checkpoint(Path("run/checkpoints/step_00000001.safetensors"), avatar, run, TrainingState(1, 0.0), optimizer)
    save_checkpoint(Path("splat.safetensors"), avatar, run, TrainingState(1, 0.0))
    return Path("splat.safetensors")


WORDS = ("is of the splat field", "NeRFace's code cannot hold it", "the preset paper")


@pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "forced"])
@pytest.mark.parametrize("source", ["splat.safetensors", "run"])
def test_nerface_s_code_cannot_hold_it(source, force, splat):
    before = content(Path())
    check_refused(nerface("convert", source, "out.ckpt", *force), *WORDS)
    assert content(Path()) == before


@pytest.mark.parametrize("source", ["splat.safetensors", "run"])
def test_a_config_of_nerface_s_form_does_not_go_on_from_it(source, splat):
    words = ["train", "--config", "config.yml", "--device", "cpu", "-o", "new", "--load-checkpoint", source]
    check_refused(nerface(*words), source, *WORDS, alone=False)
    assert not Path("new").exists()


def test_a_preset_of_another_field_does_not_go_on_from_it(splat):
    words = ["train", "person", "--preset", "tiny", "--device", "cpu", "-o", "new", "--load-checkpoint", "run"]
    check_refused(nerface(*words), "of another field", "kind splat, now paper", alone=False)
    assert not Path("new/config.json").exists()


@pytest.mark.parametrize("name", ["paper_box", "paper_layers", "no_directions", "seed_directions"])
def test_switches_of_the_paper_s_field_alone(name, here):
    answer = nerface("train", "person", *SMALL, "--switch", name, "-o", "new")
    check_refused(answer, f"the switch {name} is not for the field splat")
    assert not Path("new").exists()


def test_a_preset_made_for_a_gpu_is_told_on_a_cpu(here):
    quick = ["--set", "training.steps=1", "--set", "avatar.start=50", "--set", "avatar.most=60", "--device", "cpu"]
    answer = nerface("train", "person", "--preset", "splat", *quick, "-o", "new")
    assert answer.status == 0, answer.err
    assert "takes hours to days without a GPU; splat_tiny takes minutes" in answer.err
    answer = nerface("train", "person", *SMALL, "--set", "training.steps=1", "-o", "other")
    assert "without a GPU" not in answer.err


def test_rays_are_not_for_it(here):
    answer = nerface("train", "person", *SMALL, "--set", "training.rays=64", "-o", "new")
    check_refused(answer, "rays=null")


@pytest.mark.skipif(torch.cuda.is_available(), reason="gsplat would be built here")
def test_a_rasteriser_that_cannot_run_is_told_before_anything_is_made(here):
    answer = nerface("train", "person", *SMALL, "--set", "avatar.rasteriser=gsplat", "-o", "new")
    check_refused(answer, "the rasteriser gsplat needs a CUDA device", "choose the rasteriser torch", alone=False)
    assert not Path("new").exists()


def test_it_is_trained_drawn_and_measured_by_the_same_commands(here):
    answer = nerface("train", "person", *SMALL, "-o", "new")
    assert answer.status == 0, answer.err
    stored = load_checkpoint(Path("new/avatar.safetensors"))
    assert isinstance(stored.avatar, SplatAvatar)
    assert stored.state.step == 4
    answer = nerface("train", "person", *SMALL, "-o", "new", "--resume")
    assert answer.status == 0, answer.err
    words = ("--no-video", "--device", "cpu", "--precision", "bf16")
    answer = nerface("eval", "new", "person", "-o", "figures", *words)
    assert answer.status == 0, answer.err
    figures = json.loads(Path("figures/metrics.json").read_text())
    assert figures["settings"]["precision"] == figures["timing"]["precision"] == "fp32"  # whatever was asked
    answer = nerface("render", "new", "--orbit", 10, 5, "--frames", 2, "-o", "orbit.mp4", "--device", "cpu")
    assert answer.status == 0, answer.err
    assert Path("orbit.mp4").stat().st_size > 0


def test_more_steps_are_a_resumed_run(here):
    assert nerface("train", "person", *SMALL, "-o", "new").status == 0
    more = [word if word != "training.steps=4" else "training.steps=6" for word in SMALL]
    answer = nerface("train", "person", *more, "-o", "new", "--resume")
    assert answer.status == 0, answer.err
    assert load_checkpoint(Path("new/avatar.safetensors")).state.step == 6


def test_a_damaged_file_is_one_line(splat):
    avatar, run = load_checkpoint(splat).avatar, toy_splat_run()
    avatar.subject = replace(avatar.subject, train_frames=99)
    save_checkpoint(splat, avatar, run, TrainingState(1, 0.0))
    answer = nerface("render", splat, "--orbit", 10, 5, "--frames", 2, "-o", "orbit.mp4", "--device", "cpu")
    check_refused(answer, "splat.safetensors", "weights do not fit", alone=False)


def test_a_config_of_nerface_s_form_names_the_dataset_it_is_measured_on(splat):
    """The checkpoint says what the avatar is; of the config, the dataset alone counts."""
    words = ["eval", "--config", "config.yml", "--checkpoint", splat, "-o", "figures", "--no-video", "--device", "cpu"]
    answer = nerface(*words, "--latent", "mean")
    assert answer.status == 0, answer.err
    assert any(Path("figures").rglob("*.png"))
