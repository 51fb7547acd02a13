"""Losses by hand."""

from __future__ import annotations

import pytest
import torch

from nerface.training.losses import background_loss, colour_loss, latent_loss, mask_loss, psnr


def test_values_by_hand():
    colour = torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.0, 0.0]])
    target = torch.tensor([[0.5, 0.0, 0.5], [0.0, 0.0, 0.0]])
    assert float(colour_loss(colour, target)) == pytest.approx(1.25 / 6)
    assert float(latent_loss(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))) == pytest.approx(2.5)
    assert float(mask_loss(torch.tensor([1.0, 0.5]), torch.tensor([0.0, 1.0]))) == pytest.approx(0.625)
    assert float(psnr(torch.tensor(0.01))) == pytest.approx(20)
    assert float(psnr(torch.tensor(0.0))) == pytest.approx(120)


def test_the_norm_of_a_fresh_code_has_a_gradient_of_zero_not_nan():
    codes = torch.zeros(3, 4, requires_grad=True)
    latent_loss(codes).backward()
    assert torch.equal(codes.grad, torch.zeros(3, 4))


def test_the_paper_s_latent_penalty_is_the_squared_norm():
    codes = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    assert float(latent_loss(codes)) == pytest.approx((5.0 + 2.0) / 2)
    assert float(latent_loss(codes, "squared")) == pytest.approx((25.0 + 4.0) / 2)


def test_a_background_is_only_blamed_where_it_shows():
    background, target = torch.tensor([[0.2, 0.2, 0.2], [0.9, 0.9, 0.9]]), torch.tensor([[0.5, 0.5, 0.5], [0.0, 0, 0]])
    found = background_loss(background, target, torch.tensor([0.25, 1.0]))
    assert float(found) == pytest.approx(0.5 * 0.09 * 0.75)
