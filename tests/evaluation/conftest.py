"""Small datasets for tests of the evaluation."""

from __future__ import annotations

import pytest

from nerface.data import Dataset, Split, load_dataset
from tests.data.make import write_tiny_dataset


@pytest.fixture
def captured(tmp_path) -> Dataset:
    """40 frames of 40x32: 33 train, 1 val, 6 test."""
    return load_dataset(write_tiny_dataset(tmp_path / "person", frames=40, size=(40, 32)))


@pytest.fixture
def tiny_split(captured) -> Split:
    return captured.train
