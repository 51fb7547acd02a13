"""nerface: from a video of one person to a drivable 4D facial avatar.

The public names below are loaded when they are first asked for, so that `import nerface` itself costs next to nothing.
Capture has a package of its own: `from nerface.capture import capture, CaptureOptions`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nerface.ablation import AblationOptions, ablate
    from nerface.checking.check import check_dataset
    from nerface.checkpoint import load_avatar
    from nerface.creation import CreateOptions, create
    from nerface.data.dataset import load_dataset
    from nerface.errors import UserError
    from nerface.evaluation.evaluate import evaluate
    from nerface.geometry import extract_mesh
    from nerface.interop.formats import import_tracking
    from nerface.interop.seed_checkpoint import open_seed
    from nerface.interop.tracker_import import import_tracker_folder
    from nerface.presets import preset
    from nerface.rendering.sequence import render_video
    from nerface.training.loop import train

__version__ = "0.1.0"

__all__ = [
    "AblationOptions",
    "CreateOptions",
    "UserError",
    "__version__",
    "ablate",
    "check_dataset",
    "create",
    "evaluate",
    "extract_mesh",
    "import_tracker_folder",
    "import_tracking",
    "load_avatar",
    "load_dataset",
    "open_seed",
    "preset",
    "render_video",
    "train",
]

_HOMES = {
    "AblationOptions": "ablation",
    "CreateOptions": "creation",
    "UserError": "errors",
    "ablate": "ablation",
    "check_dataset": "checking.check",
    "create": "creation",
    "evaluate": "evaluation.evaluate",
    "extract_mesh": "geometry",
    "import_tracker_folder": "interop.tracker_import",
    "import_tracking": "interop.formats",
    "load_avatar": "checkpoint",
    "load_dataset": "data.dataset",
    "open_seed": "interop.seed_checkpoint",
    "preset": "presets",
    "render_video": "rendering.sequence",
    "train": "training.loop",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
