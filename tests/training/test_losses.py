"""Losses by hand."""

from __future__ import annotations

import pytest
import torch

from nerface.training.losses import colour_loss, latent_loss, mask_loss, psnr


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
