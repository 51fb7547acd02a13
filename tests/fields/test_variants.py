"""What the seed's other network classes do differently: each option against the sum written out (spec 3.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from nerface.fields.encodings import frequency_encoding
from nerface.fields.paper_field import FieldConfig, PaperField
from tests.toys import FIELD

EXPRESSION, LATENT = 4, 2
VARIANTS = {
    "smaller": replace(FIELD, colour_expression=True),
    "learnable code": replace(
        FIELD, skip_layer=None, linear_first=True, feature_relu=True, density_from="trunk", colour_layers=1
    ),
    "compressed, learnable code": replace(FIELD, skip_layer=None, expression_layers=(3,), linear_first=True),
    "compressed": replace(FIELD, skip_layer=None, expression_layers=(5, 3), expression_relu=True, sees_latent=False),
    "other encodings": replace(FIELD, position_input=False, direction_input=True, position_log=False),
    "no directions": replace(FIELD, direction_frequencies=0),
}


def written_out(network: PaperField, positions: torch.Tensor, view: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
    """The class of the spec, point by point: density and colour side by side."""
    config = network.config
    expression, latent = row[:EXPRESSION], row[EXPRESSION:]
    for layer in network.layers_expr:
        expression = layer(expression)
        expression = F.relu(expression) if config.expression_relu else expression
    shared = torch.cat([expression, latent]) if config.sees_latent else expression
    values = []
    for ray in range(positions.shape[0]):
        for position in positions[ray]:
            encoded = frequency_encoding(
                position, config.position_frequencies, config.position_input, config.position_log
            )
            first = torch.cat([encoded, shared])
            hidden = first
            for index, layer in enumerate(network.layers_xyz):
                hidden = layer(torch.cat([first, hidden]) if index == config.skip_layer else hidden)
                hidden = hidden if index == 0 and config.linear_first else F.relu(hidden)
            feature = network.fc_feat(hidden)
            feature = F.relu(feature) if config.feature_relu else feature
            sigma = network.fc_alpha(feature if config.density_from == "feature" else hidden)
            directions = frequency_encoding(
                view[ray], config.direction_frequencies, config.direction_input, config.direction_log
            )
            colour = torch.cat([feature, directions, *([expression] if config.colour_expression else [])])
            for layer in network.layers_dir:
                colour = F.relu(layer(colour))
            values.append(torch.cat([sigma, torch.sigmoid(network.fc_rgb(colour))]))
    return torch.stack(values).reshape(*positions.shape[:2], 4)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_the_sum_written_out(name):
    torch.manual_seed(1)
    network = PaperField(VARIANTS[name], EXPRESSION, LATENT)
    positions, view = torch.randn(4, 3, 3) * 0.2, F.normalize(torch.randn(4, 3), dim=-1)
    rows = torch.randn(2, EXPRESSION + LATENT)
    sigma, rgb = network(positions, view, rows)
    for frame in range(2):  # the rays lie frame by frame
        rays = slice(2 * frame, 2 * frame + 2)
        expected = written_out(network, positions[rays], view[rays], rows[frame])
        assert torch.allclose(sigma[rays], expected[..., 0], atol=1e-5)
        assert torch.allclose(rgb[rays], expected[..., 1:], atol=1e-6)


def test_other_numbers_of_channels():
    """Another tracker's 50 coefficients, 100 latent channels, 3 layers of 40: every size is free (F8)."""
    network = PaperField(FieldConfig(trunk_layers=3, width=40, skip_layer=2), 50, 100)
    assert network.layers_xyz[0].in_features == 63 + 150
    assert network.layers_xyz[2].in_features == 63 + 150 + 40
    sigma, rgb = network(torch.randn(6, 2, 3), torch.randn(6, 3), torch.randn(1, 150))
    assert (sigma.shape, rgb.shape) == ((6, 2), (6, 2, 3))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"density_from": "colour"}, "feature or trunk"),
        ({"expression_layers": (0,)}, "at least one channel"),
        ({"position_input": False, "position_frequencies": 0}, "position_input or position_frequencies"),
    ],
)
def test_fields_that_cannot_be(setting, message):
    with pytest.raises(ValueError, match=message):
        FieldConfig(**setting)
