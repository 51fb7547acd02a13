"""The encoding's order and values (spec 3.1)."""

from __future__ import annotations

import math

import torch

from nerface.fields.encodings import encoded_width, frequency_bands, frequency_encoding


def test_order_and_values_by_hand():
    x, y = 0.3, -0.7
    found = frequency_encoding(torch.tensor([x, y]), 3, include_input=True)
    expected = [x, y]
    for band in (1.0, 2.0, 4.0):
        expected += [math.sin(band * x), math.sin(band * y), math.cos(band * x), math.cos(band * y)]
    assert torch.allclose(found, torch.tensor(expected), atol=1e-6)
    assert torch.equal(frequency_encoding(torch.tensor([x, y]), 3, include_input=False), found[2:])


def test_the_paper_s_widths():
    assert encoded_width(3, 10, include_input=True) == 63
    assert encoded_width(3, 4, include_input=False) == 24
    points = torch.rand(2, 5, 3)
    assert frequency_encoding(points, 10, include_input=True).shape == (2, 5, 63)
    assert frequency_encoding(points, 4, include_input=False).shape == (2, 5, 24)
    assert frequency_encoding(points, 0, include_input=False).shape == (2, 5, 0)
    assert frequency_bands(10).tolist() == [2.0**k for k in range(10)]


def test_high_frequencies_keep_float32_under_autocast(device):
    points = torch.linspace(-1, 1, 101, device=device)[:, None]
    exact = frequency_encoding(points, 10, include_input=True)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        assert torch.equal(frequency_encoding(points, 10, include_input=True), exact)
    assert torch.allclose(exact[:, -2].double(), (512 * points[:, 0].double()).sin(), atol=1e-4)


def test_evenly_spaced_frequencies():
    # Spec 3.1: log_sampling False takes L values linearly spaced in [1, 2^(L-1)].
    bands = frequency_bands(4, log_spaced=False)
    assert torch.allclose(bands, torch.tensor([1.0, 1 + 7 / 3, 1 + 14 / 3, 8.0]))
    value = torch.tensor([[0.3]])
    found = frequency_encoding(value, 3, include_input=True, log_spaced=False)
    angles = 0.3 * torch.tensor([1.0, 2.5, 4.0])
    expected = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten()
    assert torch.allclose(found[0], torch.cat([value[0], expected]))
    assert frequency_bands(0, log_spaced=False).shape == (0,)
