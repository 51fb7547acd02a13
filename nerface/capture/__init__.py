"""From a video of one person to a dataset."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nerface.capture.options import CaptureOptions
    from nerface.capture.pipeline import capture
    from nerface.capture.report import CaptureReport

__all__ = ["CaptureOptions", "CaptureReport", "capture"]

# Loaded when asked for: evaluation measures faces with `nerface.capture.landmarker` and needs none of the rest.
_HOMES = {"CaptureOptions": "options", "CaptureReport": "report", "capture": "pipeline"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
