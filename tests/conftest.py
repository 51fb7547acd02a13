"""Fixtures for all tests, and the run-time check of shapes in the core (house rule: in tests only)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

import tests.shapes

# Before anything imports them: signatures of these modules are checked on every call.
CHECKED = ["nerface.cameras", "nerface.types", "nerface.fields", "nerface.rendering", "nerface.training"]
install_import_hook(CHECKED, f"{tests.shapes.__name__}.{tests.shapes.checked.__name__}")

from nerface.data import Dataset, load_dataset  # noqa: E402
from nerface.errors import UserError  # noqa: E402
from nerface.weights import WeightPaths, find_weights  # noqa: E402
from tests.data.make import write_tiny_dataset  # noqa: E402
from tests.outcomes import record  # noqa: E402

THREADS = 2
SHARED_VARIABLE = "NERFACE_SHARED"

torch.set_num_threads(THREADS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that run on CUDA carry the mark, so that `-m cuda` finds them; those that judge all others come last."""
    items.sort(key=lambda item: item.path.name == "test_acceptance.py")
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and callspec.params.get("device") == "cuda":
            item.add_marker(pytest.mark.cuda)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Outcomes are kept for `tests/test_acceptance.py`."""
    record(report.nodeid, report.when, report.outcome)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of clips, networks and reference data beside the repository, or a skip."""
    folder = Path(os.environ.get(SHARED_VARIABLE) or Path(__file__).resolve().parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip(f"needs the shared data folder: {folder} is missing (set {SHARED_VARIABLE} to it)")
    return folder


@pytest.fixture(scope="session")
def weights() -> WeightPaths:
    """The two capture networks from the usual places, else from the shared folder, or a skip."""
    try:
        return find_weights()
    except UserError as error:
        reason = str(error)
    models = Path(os.environ.get(SHARED_VARIABLE) or Path(__file__).resolve().parents[2] / "shared") / "models"
    if not models.is_dir():
        pytest.skip(reason)
    return find_weights(models)


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Every device there is: a test that takes it runs on each."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device(request.param)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """Both number formats in which mathematics is checked."""
    return request.param


@pytest.fixture
def tiny_dataset(tmp_path: Path) -> Dataset:
    """Six frames of 20x16 pixels with every key of the format: 4 train, 1 val, 1 test."""
    return load_dataset(write_tiny_dataset(tmp_path / "person"))
