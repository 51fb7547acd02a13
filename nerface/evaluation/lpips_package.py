"""The `lpips` package of LPIPS's authors, imported so that it also works beside a PyTorch without CUDA."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

import torch

TORCHVISION_AHEAD = 15  # PyTorch 2.M and torchvision 0.(M + 15) are made for each other
NEEDED = ("lpips", "torchvision")
# Of torchvision's compiled operators, those that it describes to PyTorch while it is imported.
DESCRIBED_OPERATORS = ("nms", "qnms")
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_declared: list[torch.library.Library] = []  # a declaration lasts as long as its library object


class LpipsMissing(Exception):
    """LPIPS cannot be used here; the message says why and what to do."""


def missing_packages() -> str:
    """Why `import_lpips` would fail for want of a package; empty where they are all installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return f"not installed: {' and '.join(missing)} ({how_to_install()})" if missing else ""


def how_to_install() -> str:
    """The command that brings the packages, beside a CPU build of PyTorch without putting a CUDA build in its place.

    torchvision asks for the PyTorch of its own day, which pip would fetch from PyPI with gigabytes of CUDA.
    """
    if torch.version.cuda is not None:
        return "pip install 'nerface[lpips]'"
    minor = int(torch.__version__.split(".")[1])
    return f"pip install --no-deps lpips tqdm 'torchvision==0.{minor + TORCHVISION_AHEAD}.*'"


def import_lpips() -> ModuleType:
    """The package `lpips`. Raises `LpipsMissing` where it or torchvision is missing or does not start."""
    missing = missing_packages()
    if missing:
        raise LpipsMissing(missing)
    try:
        _import_torchvision()
        return importlib.import_module("lpips")
    except (ImportError, RuntimeError, OSError) as error:
        raise LpipsMissing(f"the package lpips does not start ({' '.join(str(error).split())})") from None


def _import_torchvision() -> None:
    try:
        importlib.import_module("torchvision")
        return
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    # PyPI's torchvision is compiled against the CUDA build of PyTorch. Beside a CPU build its operators do not load,
    # and the import fails where it describes them ("operator torchvision::nms does not exist"). LPIPS calls none of
    # them: its networks are plain convolutions. Declaring that the operators exist is all that the import needs.
    library = torch.library.Library("torchvision", "FRAGMENT")
    _declared.append(library)
    for name in DESCRIBED_OPERATORS:
        library.define(name + SCHEMA)
    importlib.import_module("torchvision")
