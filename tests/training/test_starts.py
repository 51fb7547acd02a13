"""Runs that begin from a checkpoint: exact, whole, refused where they cannot go on."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
import torch

from nerface.checkpoint import find_training_checkpoint, load_avatar, load_checkpoint
from nerface.errors import UserError
from nerface.training.begin import begin
from nerface.training.loop import train
from tests.toys import AVATAR, toy_run

SOLID = replace(AVATAR, sampling=replace(AVATAR.sampling, density="softplus"))


def test_a_folder_means_its_newest_checkpoint_with_the_optimiser(tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "whole", toy_run(SOLID, steps=12))
    train(tiny_dataset, tmp_path / "first", toy_run(SOLID, steps=6))
    start = load_checkpoint(find_training_checkpoint(tmp_path / "first"))
    assert start.optimizer
    second = train(tiny_dataset, tmp_path / "second", toy_run(SOLID, steps=12), start=start).avatar.state_dict()
    whole = load_avatar(tmp_path / "whole").state_dict()
    assert all(torch.equal(value, second[key]) for key, value in whole.items())


def test_a_start_is_written_down_before_the_first_step(tiny_dataset, tmp_path):
    """A run killed before its own first checkpoint does not go on from random weights."""
    train(tiny_dataset, tmp_path / "first", toy_run(SOLID, steps=6))
    start = load_checkpoint(find_training_checkpoint(tmp_path / "first"))
    begin(tiny_dataset, tmp_path / "killed", toy_run(SOLID, steps=12), torch.device("cpu"), start, False)
    resumed = train(tiny_dataset, tmp_path / "killed", toy_run(SOLID, steps=12), resume=True)
    straight = train(
        tiny_dataset,
        tmp_path / "straight",
        toy_run(SOLID, steps=12),
        start=load_checkpoint(find_training_checkpoint(tmp_path / "first")),
    )
    one, other = resumed.avatar.state_dict(), straight.avatar.state_dict()
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_the_time_of_an_earlier_run_does_not_count(tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "first", toy_run(SOLID, steps=6))
    start = load_checkpoint(find_training_checkpoint(tmp_path / "first"))
    start = dataclasses.replace(start, state=dataclasses.replace(start.state, seconds=3600.0))
    result = train(tiny_dataset, tmp_path / "more", toy_run(SOLID, steps=12), start=start, max_seconds=300)
    assert result.state.step == 12
    assert result.state.seconds < 300


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"steps": 12, "optimizer": "RMSprop"}, "RMSprop needs square_avg, step"),
        ({"steps": 12, "optimizer": "NAdam"}, "NAdam needs .*mu_product"),
        ({"steps": 6}, "has done 6 steps, training.steps is 6"),
    ],
)
def test_what_cannot_go_on_is_refused_before_anything_is_written(training, message, tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "first", toy_run(SOLID, steps=6))
    start = load_checkpoint(find_training_checkpoint(tmp_path / "first"))
    with pytest.raises(UserError, match=message):
        train(tiny_dataset, tmp_path / "more", toy_run(SOLID, **training), start=start)
    assert not (tmp_path / "more").exists()


def test_a_state_with_a_hole_is_refused(tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "first", toy_run(SOLID, steps=6))
    start = load_checkpoint(find_training_checkpoint(tmp_path / "first"))
    holed = {name: value for name, value in start.optimizer.items() if name != "latent_codes.exp_avg_sq"}
    with pytest.raises(UserError, match=r"holds exp_avg, step for latent_codes"):
        train(
            tiny_dataset,
            tmp_path / "more",
            toy_run(SOLID, steps=12),
            start=dataclasses.replace(start, optimizer=holed),
        )
