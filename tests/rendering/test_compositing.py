"""Compositing against the closed form of a slab, numbers worked out by hand, and gradients."""

from __future__ import annotations

import math

import pytest
import torch

from nerface.rendering.compositing import composite, density, ray_weights


def test_three_samples_by_hand():
    # Density 2, 0 and 0.5 at depths 1, 1.5 and 2.5 on a ray whose direction has length 2: the intervals are 1 and 2,
    # so alpha = 1 - e^-2, 0 and (the endless last one) 1.
    weights = ray_weights(torch.tensor([[2.0, 0.0, 0.5]]), torch.tensor([[1.0, 1.5, 2.5]]), torch.tensor([2.0]))
    assert torch.allclose(weights, torch.tensor([[0.8646647, 0.0, 0.1353353]]), atol=1e-6)
    rgb = torch.tensor([[[1.0, 0.0, 0.5], [0.3, 0.3, 0.3], [0.2, 0.4, 0.6]]])
    depths = torch.tensor([[1.0, 1.5, 2.5]])
    own = composite(weights, rgb, depths, None)
    assert torch.allclose(own.colour, torch.tensor([[0.8917318, 0.0541341, 0.5135335]]), atol=1e-6)
    plate = composite(weights, rgb, depths, torch.tensor([[0.0, 1.0, 1.0]]))
    assert torch.allclose(plate.colour, torch.tensor([[0.8646647, 0.1353353, 0.5676677]]), atol=1e-6)
    assert torch.allclose(own.opacity, torch.tensor([0.8646647]), atol=1e-6)
    assert torch.allclose(own.depth, torch.tensor([1.2030030]), atol=1e-6)


@pytest.mark.parametrize("length", [1.0, 1.7])
def test_a_slab_of_constant_density(length, dtype, device):
    sigma, near, far, count = 6.0, 0.2, 0.8, 500
    depths = torch.linspace(near, far, count, dtype=dtype, device=device)[None]
    norm = torch.full((1,), length, dtype=dtype, device=device)
    weights = ray_weights(torch.full_like(depths, sigma), depths, norm)
    passed = math.exp(-sigma * length * (far - near))
    assert float(weights[0, -1]) == pytest.approx(passed, rel=2e-4)
    # Each weight is the integral of its cell: e^(-s t) - e^(-s t').
    start = torch.exp(-sigma * length * (depths[0] - near))
    assert torch.allclose(weights[0, :-1], start[:-1] - start[1:], atol=1e-6)
    white, black = torch.ones(1, count, 3, dtype=dtype, device=device), torch.zeros(1, 3, dtype=dtype, device=device)
    found = composite(weights, white, depths, black)
    assert float(found.colour[0, 0]) == pytest.approx(1 - passed, rel=1e-4)
    # The mean free path of the truncated exponential, each sample standing for its cell's near end.
    rate = sigma * length
    expected = near + (1 - passed) / rate - (far - near) / (2 * count) * (1 - passed)
    assert float(found.depth[0]) == pytest.approx(expected, abs=2e-4)


def test_weights_are_shares_that_sum_to_one(device):
    torch.manual_seed(0)
    sigma = 40 * torch.rand(200, 64, device=device) * (torch.rand(200, 64, device=device) < 0.2)
    sigma[:3] = torch.tensor([[0.0], [1e4], [1e-9]], device=device)
    depths = torch.sort(torch.rand(200, 64, device=device), dim=-1).values
    weights = ray_weights(sigma, depths, torch.full((200,), 1.3, device=device))
    assert (weights >= 0).all()
    assert torch.allclose(weights.sum(-1), torch.ones(200, device=device), atol=1e-5)
    rendering = composite(weights, torch.rand(200, 64, 3, device=device), depths, None)
    assert torch.allclose(rendering.opacity, 1 - weights[:, -1])
    assert float(rendering.opacity[0]) == pytest.approx(0, abs=1e-6)
    assert float(rendering.opacity[1]) == pytest.approx(1, abs=1e-6)


def test_an_empty_ray_shows_the_background_exactly():
    plate = torch.rand(5, 3)
    depths = torch.linspace(0.2, 0.8, 8).expand(5, 8)
    weights = ray_weights(torch.zeros(5, 8), depths, torch.ones(5))
    assert torch.equal(composite(weights, torch.rand(5, 8, 3), depths, plate).colour, plate)


def test_the_last_sample_s_own_colour_is_not_used_before_a_background():
    rgb = torch.rand(2, 4, 3, requires_grad=True)
    depths = torch.linspace(0.2, 0.8, 4).expand(2, 4)
    weights = ray_weights(torch.full((2, 4), 2.0), depths, torch.ones(2))
    composite(weights, rgb, depths, torch.zeros(2, 3)).colour.sum().backward()
    assert torch.equal(rgb.grad[:, -1], torch.zeros(2, 3))
    assert (rgb.grad[:, :-1] > 0).all()


@pytest.mark.parametrize("background", [True, False])
def test_gradients_are_those_of_finite_differences(background):
    torch.manual_seed(1)
    sigma = (3 * torch.rand(2, 5, dtype=torch.float64)).requires_grad_()
    rgb = torch.rand(2, 5, 3, dtype=torch.float64, requires_grad=True)
    depths = torch.linspace(0.2, 0.8, 5, dtype=torch.float64).repeat(2, 1).requires_grad_()
    norm = torch.tensor([1.0, 1.2], dtype=torch.float64)
    plate = torch.rand(2, 3, dtype=torch.float64, requires_grad=True) if background else None

    def pixel(sigma, rgb, depths, plate):
        found = composite(ray_weights(sigma, depths, norm), rgb, depths, plate)
        return found.colour, found.opacity, found.depth

    # The last density meets an endless interval: its slope is 0, finite differences see the rounding of 1e10 * sigma.
    assert torch.autograd.gradcheck(pixel, (sigma, rgb, depths, plate), eps=1e-6, atol=1e-5)


def test_density_forms():
    raw = torch.tensor([[-2.0, 0.0, 3.0, 8.0]])
    assert density(raw, "relu").tolist() == [[0, 0, 3, 8]]
    soft = density(raw, "softplus")
    assert float(soft[0, 1]) == pytest.approx(50 * math.log1p(math.exp(-3)), rel=1e-5)  # 2.43 per unit: a thin fog
    assert float(soft[0, 3]) == pytest.approx(50 * math.log1p(math.exp(5)), rel=1e-5)
    assert (soft > 0).all()
