"""Number formats and devices are chosen in one place."""

from __future__ import annotations

import pytest
import torch

from nerface.cameras import to_head_space
from nerface.errors import UserError
from nerface.fields.pose_correction import corrected
from nerface.precision import PRECISIONS, autocast, pick_device


@pytest.mark.parametrize("precision", PRECISIONS)
def test_matrix_products_run_in_the_stated_format(precision, device):
    with autocast(device, precision):
        product = torch.ones(4, 4, device=device) @ torch.ones(4, 4, device=device)
    half = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    assert product.dtype == (torch.bfloat16 if half else torch.float32)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="fp32, bf16"):
        autocast(torch.device("cpu"), "fp8")


def test_the_device_is_named_or_found(monkeypatch):
    assert pick_device("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device(None) == pick_device("auto") == torch.device("cuda")
    assert pick_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="2 CUDA devices"):
        pick_device("cuda:2")
    with pytest.raises(UserError, match="not supported"):
        pick_device("meta")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device(None) == pick_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="no CUDA device"):
        pick_device("cuda")
    with pytest.raises(UserError, match="gpu"):
        pick_device("gpu")


def test_geometry_stays_exact_where_networks_run_in_bf16():
    torch.manual_seed(0)
    directions, pose = torch.randn(50, 3), torch.eye(4) + 0.1 * torch.randn(4, 4)
    poses, twists = pose.expand(3, 4, 4), 0.01 * torch.randn(3, 6)
    rays, moved = to_head_space(directions, pose), corrected(poses, twists)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert all(torch.equal(one, other) for one, other in zip(to_head_space(directions, pose), rays))
        assert torch.equal(corrected(poses, twists), moved)
