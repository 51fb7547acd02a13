"""Neighbours: who lies beside whom, and what there is where that cannot be said."""

from __future__ import annotations

import math

import pytest
import torch

from nerface.fields.neighbours import NEAREST, Neighbours


def test_the_nearest_ones_are_found_and_nobody_is_its_own():
    places = torch.stack([torch.arange(20.0), torch.zeros(20), torch.zeros(20)], dim=-1)
    neighbours = Neighbours(20)
    neighbours.find(places)
    assert neighbours.near.shape == (20, NEAREST)
    assert sorted(neighbours.near[10].tolist()) == [7, 8, 9, 11, 12, 13]
    assert (neighbours.near != torch.arange(20)[:, None]).all()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_gaussians_or_none(count):
    neighbours = Neighbours(9)
    neighbours.find(torch.rand(count, 3, generator=torch.Generator().manual_seed(0)))
    assert neighbours.near.shape == (count, NEAREST)
    assert count == 0 or int(neighbours.near.max()) < count


def test_a_diverged_run_gets_as_far_as_the_loop_s_own_message():
    neighbours = Neighbours(3)
    neighbours.find(torch.tensor([[0.0, 0.0, 0.0], [math.nan, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    assert torch.equal(neighbours.near[:, 0], torch.arange(3))
