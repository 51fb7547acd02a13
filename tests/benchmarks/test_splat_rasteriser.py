"""The script that measures the rasterisers: its scenes from files, and the figures that it prints."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import splat_rasteriser

CPU = torch.device("cpu")


def test_a_scene_from_a_file_is_the_scene_that_was_written(tmp_path):
    gaussians, pose, inner = splat_rasteriser.random_scene(50, 1, 32, 4.0, CPU)
    arrays = {name: (value if name == "scales" else value[0]).numpy() for name, value in vars(gaussians).items()}
    camera = np.array([inner.fx, inner.fy, inner.cx, inner.cy, inner.width, inner.height])
    np.savez(tmp_path / "scene.npz", **arrays, intrinsics=camera)
    read, read_pose, read_inner = splat_rasteriser.scene_of(tmp_path / "scene.npz", CPU)
    assert read_inner == inner
    assert torch.equal(read_pose, pose)
    for name, value in vars(read).items():
        assert torch.equal(value, getattr(gaussians, name))


def test_parity_of_the_torch_rasteriser_with_itself_in_float64(capsys):
    gaussians, pose, inner = splat_rasteriser.random_scene(300, 1, 48, 5.0, CPU)
    splat_rasteriser.print_parity(gaussians, splat_rasteriser.turned(pose, 20.0), inner, "torch", "side")
    told = capsys.readouterr().out
    worst, mean = re.search(r"by (\S+) at most, (\S+) on average", told).groups()
    assert 0 < float(mean) <= float(worst) < 1e-2
    assert float(mean) < 1e-5
    shares = [float(share) for share in re.findall(r"gradient of \w+: (\S+) %", told)]
    assert len(shares) == 6
    assert max(shares) < 1.0


def test_random_scenes_fill_the_middle_of_the_picture():
    gaussians, pose, inner = splat_rasteriser.random_scene(500, 2, 32, 3.0, CPU)
    opacity = splat_rasteriser.rasterise(gaussians, pose, inner).opacity
    assert opacity.shape == (2, 32, 32)
    assert opacity[:, 12:20, 12:20].mean() > 0.5
    assert opacity[:, :3, :3].max() < 0.01


def test_times_are_printed_for_a_picture(capsys, monkeypatch):
    monkeypatch.setattr(splat_rasteriser, "RUNS", 3)
    splat_rasteriser.print_times(*splat_rasteriser.random_scene(20, 2, 16, 3.0, CPU), "torch")
    told = capsys.readouterr().out
    assert told.startswith("torch on cpu: 20 Gaussians, 2 x 16x16")
    assert len(re.findall(r"\d ms a picture", told)) == 2


def test_an_avatar_without_gaussians_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(splat_rasteriser, "load_avatar", lambda path, device: torch.nn.Module())
    with pytest.raises(splat_rasteriser.UserError, match="not made of Gaussians"):
        splat_rasteriser.scene_of(tmp_path, CPU)
