"""Losses by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from nerface.training.losses import background_loss, colour_loss, latent_loss, mask_loss, psnr, ssim_loss


def test_values_by_hand():
    colour = torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.0, 0.0]])
    target = torch.tensor([[0.5, 0.0, 0.5], [0.0, 0.0, 0.0]])
    assert float(colour_loss(colour, target)) == pytest.approx(1.25 / 6)
    assert float(latent_loss(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))) == pytest.approx(2.5)
    assert float(mask_loss(torch.tensor([1.0, 0.5]), torch.tensor([0.0, 1.0]))) == pytest.approx(0.625)
    assert float(psnr(torch.tensor(0.01))) == pytest.approx(20)
    assert float(psnr(torch.tensor(0.0))) == pytest.approx(120)


def test_absolute_and_weighted_colour_losses():
    colour = torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.0, 0.25]])
    target = torch.tensor([[0.5, 0.0, 0.5], [0.0, 0.5, 0.25]])
    assert float(colour_loss(colour, target, "absolute")) == pytest.approx(2.0 / 6)
    weight = torch.tensor([1.5, 0.5])
    assert float(colour_loss(colour, target, "absolute", weight)) == pytest.approx((1.5 * 0.5 / 3 + 0.5 * 1.5 / 3) / 2)
    assert float(colour_loss(colour, target, "squared", weight)) == pytest.approx((1.5 * 0.25 / 3 + 0.5 * 1.25 / 3) / 2)
    for form in ("squared", "absolute"):
        ones = colour_loss(colour, target, form, torch.ones(2))
        assert float(ones) == pytest.approx(float(colour_loss(colour, target, form)))


def pictures(seed: int, count: int = 2) -> tuple[Tensor, Tensor]:
    """Smooth-ish pictures [B, 3, 26, 31] and the same with noise."""
    made = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 7, 8, generator=made, dtype=torch.float64)
    truth = torch.nn.functional.interpolate(coarse, (26, 31), mode="bilinear")
    return (truth + 0.1 * torch.randn(truth.shape, generator=made, dtype=torch.float64)).clamp(0, 1), truth


def direct_ssim(one: Tensor, other: Tensor) -> float:
    """Wang et al. 2004, eq. 13, a window at a time: 11 x 11, sigma 1.5, black beyond the border."""
    steps = torch.arange(-5, 6, dtype=torch.float64)
    window = torch.exp(-(steps[:, None] ** 2 + steps**2) / (2 * 1.5**2))
    window = window / window.sum()
    one, other = (torch.nn.functional.pad(value, (5, 5, 5, 5)) for value in (one, other))
    found = []
    for row in range(one.shape[0] - 10):
        for column in range(one.shape[1] - 10):
            x, y = (value[row : row + 11, column : column + 11] for value in (one, other))
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            spread_x, spread_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
            shared = (window * (x - mean_x) * (y - mean_y)).sum()
            likeness = (2 * mean_x * mean_y + 1e-4) * (2 * shared + 9e-4)
            found.append(likeness / ((mean_x**2 + mean_y**2 + 1e-4) * (spread_x + spread_y + 9e-4)))
    return float(torch.stack(found).mean())


def test_structural_likeness_is_that_of_its_definition():
    noisy, truth = pictures(0)
    channels = [direct_ssim(a, b) for a, b in zip(noisy.flatten(0, 1), truth.flatten(0, 1))]
    assert 0.2 < sum(channels) / 6 < 0.95
    assert float(ssim_loss(noisy, truth)) == pytest.approx(1 - sum(channels) / 6, abs=1e-9)


def test_structural_likeness_is_scikit_image_s():
    """Of pictures with a black frame as wide as the window's reach: there both mean the same by what lies beyond."""
    noisy, truth = (torch.nn.functional.pad(value, (5, 5, 5, 5)) for value in pictures(3, count=1))
    gaussian = {"gaussian_weights": True, "use_sample_covariance": False, "data_range": 1.0, "full": True}
    maps = [structural_similarity(a.numpy(), b.numpy(), **gaussian)[1] for a, b in zip(noisy[0], truth[0])]
    assert float(ssim_loss(noisy, truth)) == pytest.approx(1 - float(np.mean(maps)), abs=1e-9)


def test_structural_likeness_of_the_same_and_of_others():
    noisy, truth = pictures(1)
    assert float(ssim_loss(truth, truth)) == pytest.approx(0, abs=1e-12)
    assert float(ssim_loss(noisy, truth)) == pytest.approx(float(ssim_loss(truth, noisy)), abs=1e-12)
    assert float(ssim_loss(1 - truth, truth)) > float(ssim_loss(noisy, truth)) > 0.01
    single = [float(ssim_loss(noisy[k : k + 1], truth[k : k + 1])) for k in range(2)]
    assert float(ssim_loss(noisy, truth)) == pytest.approx(sum(single) / 2)
    flat = torch.full((1, 3, 12, 12), 0.5)
    assert float(ssim_loss(flat, flat)) == pytest.approx(0, abs=1e-5)


def test_the_gradient_of_structural_likeness():
    noisy, truth = pictures(2, count=1)
    noisy = noisy[..., :9, :8].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda value: ssim_loss(value, truth[..., :9, :8]), noisy)


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
