"""The network of the paper: its parameters, the order of its columns, and a forward pass written out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from nerface.fields.encodings import frequency_encoding
from nerface.fields.paper_field import FieldConfig, PaperField, conditioned_linear
from nerface.fields.planes import PlanesConfig
from tests.toys import FIELD

PAPER_SHAPES = {  # spec 3.2, without layers_dir.3, which the released network owns and never uses
    "layers_xyz.0": (256, 171),
    "layers_xyz.1": (256, 256),
    "layers_xyz.2": (256, 256),
    "layers_xyz.3": (256, 427),
    "layers_xyz.4": (256, 256),
    "layers_xyz.5": (256, 256),
    "fc_feat": (256, 256),
    "fc_alpha": (1, 256),
    "layers_dir.0": (128, 280),
    "layers_dir.1": (128, 128),
    "layers_dir.2": (128, 128),
    "fc_rgb": (3, 128),
}


def test_the_paper_s_parameters():
    network = PaperField(FieldConfig(), 76, 32)
    found = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    expected = {}
    for name, shape in PAPER_SHAPES.items():
        expected[f"{name}.weight"], expected[f"{name}.bias"] = shape, shape[:1]
    assert found == expected
    assert list(found) == list(expected)
    unused = 128 * 128 + 128
    assert sum(value.numel() for value in network.parameters()) == 568_708 - unused


@pytest.mark.parametrize("frames", [1, 3])
def test_shared_columns_are_the_plain_concatenation(frames, dtype, device):
    torch.manual_seed(0)
    encoded, hidden, condition = 7, 5, 4
    layer = nn.Linear(encoded + condition + hidden, 6, dtype=dtype, device=device)
    points = torch.randn(frames, 9, encoded, dtype=dtype, device=device)
    trunk = torch.randn(frames, 9, hidden, dtype=dtype, device=device)
    rows = torch.randn(frames, condition, dtype=dtype, device=device)
    repeated = rows[:, None].expand(-1, 9, -1)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5

    skip = conditioned_linear(layer, (points, trunk), rows, after=encoded)
    assert torch.allclose(skip, layer(torch.cat([points, repeated, trunk], dim=-1)), atol=tolerance)
    behind = nn.Linear(encoded + condition, 6, dtype=dtype, device=device)
    found = conditioned_linear(behind, (points,), rows)
    assert torch.allclose(found, behind(torch.cat([points, repeated], dim=-1)), atol=tolerance)


def written_out(network: PaperField, positions, view, condition):
    """Spec 3.2, line by line, every column repeated for every point."""
    rays, samples = positions.shape[:2]
    rows = condition.repeat_interleave(rays // condition.shape[0], dim=0)[:, None].expand(-1, samples, -1)
    config = network.config
    encoded = frequency_encoding(positions, config.position_frequencies, include_input=True)
    first = torch.cat([encoded, rows], dim=-1)
    hidden = first
    for index, layer in enumerate(network.layers_xyz):
        if index > 0 and index == config.skip_layer:
            hidden = torch.cat([first, hidden], dim=-1)
        hidden = torch.relu(layer(hidden))
    feature = network.fc_feat(hidden)
    sigma = network.fc_alpha(feature)[..., 0]
    directions = frequency_encoding(view, config.direction_frequencies, include_input=False)
    colour = torch.cat([feature, directions[:, None].expand(-1, samples, -1)], dim=-1)
    for layer in network.layers_dir:
        colour = torch.relu(layer(colour))
    return sigma, torch.sigmoid(network.fc_rgb(colour))


@pytest.mark.parametrize(
    "config",
    [FIELD, replace(FIELD, skip_layer=None), replace(FIELD, direction_frequencies=0), FieldConfig()],
    ids=["toy", "no skip", "no direction", "paper"],
)
@pytest.mark.parametrize("frames", [1, 3])
def test_forward_is_the_written_out_network(config, frames, device):
    torch.manual_seed(1)
    network = PaperField(config, 4, 2).to(device)
    positions = 0.3 * torch.randn(6, 4, 3, device=device)
    view = torch.nn.functional.normalize(torch.randn(6, 3, device=device), dim=-1)
    condition = torch.randn(frames, 6, device=device)
    sigma, rgb = network(positions, view, condition)
    expected_sigma, expected_rgb = written_out(network, positions, view, condition)
    assert torch.allclose(sigma, expected_sigma, atol=1e-4)
    assert torch.allclose(rgb, expected_rgb, atol=1e-5)


def test_the_condition_of_one_frame_does_not_reach_another():
    torch.manual_seed(2)
    network = PaperField(replace(FIELD, planes=PlanesConfig(8, 2, 3, 8)), 4, 2)
    positions, view, condition = torch.randn(6, 4, 3), torch.randn(6, 3), torch.randn(3, 6)
    sigma, rgb = network(positions, view, condition)
    changed = condition.clone()
    changed[1] += 1.0
    other_sigma, other_rgb = network(positions, view, changed)
    assert torch.equal(sigma[[0, 1, 4, 5]], other_sigma[[0, 1, 4, 5]])
    assert torch.equal(rgb[[0, 1, 4, 5]], other_rgb[[0, 1, 4, 5]])
    assert not torch.allclose(sigma[2:4], other_sigma[2:4])


@pytest.mark.parametrize("planes", [None, PlanesConfig(8, 2, 3, 8)], ids=["plain", "planes"])
def test_bf16_stays_near_fp32_and_trains(planes, device):
    torch.manual_seed(3)
    network = PaperField(replace(FIELD, planes=planes), 4, 2).to(device)
    positions = 0.1 * torch.randn(6, 4, 3, device=device)
    view, condition = torch.randn(6, 3, device=device), torch.randn(2, 6, device=device)
    sigma, rgb = network(positions, view, condition)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        rough_sigma, rough_rgb = network(positions, view, condition)
    assert rough_sigma.dtype == rough_rgb.dtype == torch.float32
    assert torch.allclose(rough_sigma, sigma, atol=0.05)
    assert torch.allclose(rough_rgb, rgb, atol=0.02)
    (rough_sigma.sum() + rough_rgb.sum()).backward()
    assert all(value.grad is not None and torch.isfinite(value.grad).all() for value in network.parameters())


@pytest.mark.parametrize("wrong", [{"trunk_layers": 0}, {"colour_layers": 0}, {"skip_layer": 6}, {"skip_layer": 0}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ValueError, match="layer"):
        FieldConfig(**wrong)
