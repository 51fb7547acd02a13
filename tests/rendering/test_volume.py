"""Rays through fields that are written as formulas: the renderer knows nothing of networks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from nerface.rendering.volume import SamplingConfig, place, render_rays
from nerface.types import Rays

SAMPLING = SamplingConfig(near=0.2, far=0.8, coarse=64, fine=64)


def rays_for(device: torch.device, count: int = 6, background: bool = True) -> Rays:
    torch.manual_seed(0)
    directions = torch.cat([0.2 * torch.randn(count, 2), -torch.ones(count, 1)], dim=-1)
    origins = torch.tensor([0.0, 0.0, 0.5]).expand(count, 3)
    plate = torch.rand(count, 3).to(device) if background else None
    return Rays(origins.to(device), directions.to(device), plate)


def fog(density: float, colour: float):
    def field(positions, view_directions, condition):
        sigma = torch.full(positions.shape[:2], density, device=positions.device)
        return sigma, torch.full(positions.shape, colour, device=positions.device)

    return field


def wall(positions, view_directions, condition):
    """Solid and red behind the plane z = 0, nothing before it."""
    sigma = torch.where(positions[..., 2] < 0, 1e4, -1.0)
    return sigma, torch.tensor([1.0, 0.0, 0.0], device=positions.device).expand(positions.shape)


def test_fog_before_a_plate(device):
    rays = rays_for(device)
    condition = torch.zeros(1, 2, device=device)
    coarse, fine = render_rays((fog(3.0, 0.25), fog(5.0, 0.75)), rays, condition, SAMPLING)
    for rendering, density, colour in ((coarse, 3.0, 0.25), (fine, 5.0, 0.75)):
        passed = torch.exp(-density * 0.6 * rays.directions.norm(dim=-1))
        assert torch.allclose(rendering.opacity, 1 - passed, atol=1e-5)
        expected = colour * (1 - passed)[:, None] + passed[:, None] * rays.background
        assert torch.allclose(rendering.colour, expected, atol=1e-5)


def test_fine_samples_gather_at_a_surface(device):
    asked = []

    def watched(positions, view_directions, condition):
        asked.append((positions, view_directions))
        return wall(positions, view_directions, condition)

    rays = rays_for(device)
    coarse, fine = render_rays((watched, watched), rays, torch.zeros(1, 2, device=device), SAMPLING)
    depth = (asked[1][0][..., 2] - 0.5).neg()  # the axis is z here, the camera at 0.5
    assert asked[1][0].shape == (6, 128, 3)
    assert (depth[:, 1:] >= depth[:, :-1] - 1e-6).all()  # a sorted union
    coarse_depth = (asked[0][0][..., 2] - 0.5).neg()
    found = [torch.isin(coarse_depth[k].round(decimals=5), depth[k].round(decimals=5)).all() for k in range(6)]
    assert all(found)  # ... of which the coarse depths are part
    assert ((depth - 0.5).abs() < 0.02).float().mean() > 0.5
    assert torch.allclose(asked[0][1].norm(dim=-1), torch.ones(6, device=device), atol=1e-6)
    spacing = 0.6 / 63
    assert ((coarse.depth - 0.5).abs() <= spacing).all()
    assert ((fine.depth - 0.5).abs() <= spacing / 8).all()
    assert torch.allclose(fine.colour, torch.tensor([1.0, 0.0, 0.0], device=device).expand(6, 3), atol=1e-5)


def test_only_a_generator_brings_chance(device):
    rays, condition = rays_for(device), torch.zeros(1, 2, device=device)

    def smooth(positions, view_directions, condition):
        return 5 + 20 * positions[..., 0], positions.sigmoid()

    def draw(config, seed):
        chance = None if seed is None else torch.Generator(device).manual_seed(seed)
        return render_rays((smooth, smooth), rays, condition, config, chance)[-1].colour

    assert torch.equal(draw(SAMPLING, None), draw(SAMPLING, None))
    assert torch.equal(draw(SAMPLING, 1), draw(SAMPLING, 1))
    assert not torch.equal(draw(SAMPLING, 1), draw(SAMPLING, 2))
    quiet = replace(SAMPLING, noise=0.0)
    assert not torch.equal(draw(SAMPLING, 1), draw(quiet, 1))
    assert torch.allclose(draw(quiet, 1), draw(quiet, None), atol=0.02)  # jitter alone moves little


def test_noise_is_added_to_the_raw_density():
    # Raw density 0 with noise of spread s: the mean of its positive part is s / sqrt(2 pi).
    rays = Rays(torch.zeros(4000, 3), torch.tensor([0.0, 0.0, -1.0]).expand(4000, 3), None)
    config = SamplingConfig(near=0.0, far=0.01, coarse=8, fine=0, noise=2.0)
    (found,) = render_rays((fog(0.0, 1.0), None), rays, torch.zeros(1, 1), config, torch.Generator().manual_seed(0))
    assert float(found.opacity.mean()) == pytest.approx(2.0 / math.sqrt(2 * math.pi) * 0.01, rel=0.15)


def test_a_coarse_field_alone():
    rays = rays_for(torch.device("cpu"))
    for fields, config in (((wall, None), SAMPLING), ((wall, wall), replace(SAMPLING, fine=0))):
        assert len(render_rays(fields, rays, torch.zeros(1, 2), config)) == 1


def test_points_lie_on_their_rays():
    rays = rays_for(torch.device("cpu"))
    depths = torch.rand(6, 3)
    samples = place(rays, depths)
    assert torch.allclose(samples.positions[4, 1], rays.origins[4] + depths[4, 1] * rays.directions[4])
    assert torch.allclose(0.5 - samples.positions[..., 2], depths, atol=1e-6)  # t is depth along the axis


@pytest.mark.parametrize("wrong", [{"near": 0.9}, {"near": -0.1}, {"coarse": 3}, {"fine": -1}, {"density": "exp"}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SamplingConfig(**wrong)
