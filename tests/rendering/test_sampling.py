"""Depths along rays: strata, the inverse CDF by hand and by moments."""

from __future__ import annotations

import pytest
import torch

from nerface.rendering.sampling import importance_depths, stratified_depths


def generator(device: torch.device, seed: int = 0) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def test_without_a_generator_depths_are_evenly_spaced_with_both_ends(device):
    near, far = torch.tensor([0.2, 1.0], device=device), torch.tensor([0.8, 3.0], device=device)
    found = stratified_depths(near, far, 5, None)
    expected = torch.tensor([[0.2, 0.35, 0.5, 0.65, 0.8], [1.0, 1.5, 2.0, 2.5, 3.0]], device=device)
    assert torch.allclose(found, expected)
    assert torch.equal(found, stratified_depths(near, far, 5, None))


def test_each_depth_is_uniform_in_its_cell(device):
    rays, count = 20_000, 4
    near, far = torch.full((rays,), 0.2, device=device), torch.full((rays,), 0.8, device=device)
    found = stratified_depths(near, far, count, generator(device))
    edges = torch.tensor([0.2, 0.3, 0.5, 0.7, 0.8], device=device)  # borders half-way between 0.2, 0.4, 0.6, 0.8
    share = (found - edges[:-1]) / (edges[1:] - edges[:-1])
    assert (share > -1e-5).all()
    assert (share < 1 + 1e-5).all()
    # A uniform variable: mean 1/2, variance 1/12, within five standard errors of 20,000 draws.
    assert torch.allclose(share.mean(0), torch.full((count,), 0.5, device=device), atol=5 * (1 / 12 / rays) ** 0.5)
    assert torch.allclose(share.var(0), torch.full((count,), 1 / 12, device=device), atol=0.003)
    assert torch.equal(found, stratified_depths(near, far, count, generator(device)))
    assert not torch.equal(found, stratified_depths(near, far, count, generator(device, 1)))


def test_inverse_cdf_by_hand(device):
    # Five depths have four mid-points, hence three cells: [1.5, 2.5], [2.5, 3.5], [3.5, 5]. Weights 1 : 0 : 3 (+1e-5).
    depths = torch.tensor([[1.0, 2.0, 3.0, 4.0, 6.0]], device=device)
    weights = torch.tensor([[9.0, 0.1, 0.0, 0.3, 9.0]], device=device)
    found = importance_depths(depths, weights, 5, None)
    # u = 0, 1/4, 1/2, 3/4, 1. The first cell ends a little above 1/4, the second as little above the first.
    first, second, third = 0.10001 / 0.40003, 0.00001 / 0.40003, 0.30001 / 0.40003
    expected = [
        1.5,
        1.5 + 0.25 / first,
        3.5 + 1.5 * (0.5 - first - second) / third,
        3.5 + 1.5 * (0.75 - first - second) / third,
        5.0,
    ]
    assert found[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_moments_of_random_draws(device):
    # One cell of all the weight: uniform there. Two cells of 1 : 3: their shares.
    depths = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0], device=device).expand(4000, 5)
    weights = torch.tensor([0.0, 1.0, 0.0, 3.0, 0.0], device=device).expand(4000, 5)
    found = importance_depths(depths, weights, 16, generator(device))
    low, high = found < 1.5, found > 2.5
    assert float((low | high).float().mean()) == pytest.approx(1, abs=1e-3)
    assert float(low.float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(found[low].mean()) == pytest.approx(1.0, abs=0.01)
    assert float(found[high].mean()) == pytest.approx(3.0, abs=0.01)
    assert float(found[high].var()) == pytest.approx(1 / 12, abs=0.003)
    assert found.min() >= 0.5
    assert found.max() <= 3.5


def test_empty_rays_are_sampled_evenly(device):
    depths = torch.linspace(0.2, 0.8, 7, device=device)[None]
    weights = torch.zeros(1, 7, device=device)
    weights[0, -1] = 1.0  # all that an empty ray meets is the background
    found = importance_depths(depths, weights, 5, None)
    assert torch.allclose(found, torch.linspace(0.25, 0.75, 5, device=device)[None], atol=1e-5)
    assert torch.isfinite(importance_depths(depths, weights, 64, generator(device))).all()


def test_no_gradient_flows_into_where_samples_lie():
    weights = torch.rand(2, 6, requires_grad=True)
    assert not importance_depths(torch.linspace(0, 1, 6).expand(2, 6), weights, 4, None).requires_grad


def test_depths_evenly_spaced_in_disparity():
    # Spec 4.4, step 1 with lindisp: 1/t runs evenly from 1/near to 1/far.
    near, far = torch.tensor([0.2]), torch.tensor([0.8])
    found = stratified_depths(near, far, 4, None, disparity=True)
    assert torch.allclose(1 / found, torch.tensor([[5.0, 3.75, 2.5, 1.25]]))
    jittered = stratified_depths(near, far, 64, torch.Generator().manual_seed(0), disparity=True)
    assert bool((jittered.diff(dim=-1) > 0).all())
    assert float(jittered.min()) >= 0.2
    assert float(jittered.max()) <= 0.8
