"""Small datasets and made-up networks for tests of the evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nerface.data import Dataset, Split, load_dataset
from tests.data.make import write_tiny_dataset
from tests.evaluation.fakes import ALEX, VGG, write_backbone


@pytest.fixture
def captured(tmp_path) -> Dataset:
    """40 frames of 40x32: 33 train, 1 val, 6 test."""
    return load_dataset(write_tiny_dataset(tmp_path / "person", frames=40, size=(40, 32)))


@pytest.fixture
def tiny_split(captured) -> Split:
    return captured.train


@pytest.fixture(autouse=True)
def torch_cache(tmp_path_factory, monkeypatch) -> Path:
    """PyTorch's download cache, empty: no test uses what this machine happens to have fetched."""
    home = tmp_path_factory.mktemp("torch-home")
    monkeypatch.setenv("TORCH_HOME", str(home))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return home / "hub" / "checkpoints"


@pytest.fixture(scope="session")
def alex_file(tmp_path_factory) -> Path:
    """A made-up weights file of AlexNet in torchvision's form."""
    return write_backbone(tmp_path_factory.mktemp("weights") / "alex.pth", ALEX, seed=1)


@pytest.fixture(scope="session")
def vgg_file(tmp_path_factory) -> Path:
    """The same of VGG-16."""
    return write_backbone(tmp_path_factory.mktemp("weights") / "vgg.pth", VGG, seed=2)
