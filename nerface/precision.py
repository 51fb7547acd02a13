"""One place that decides in which number format networks run."""

from __future__ import annotations

import torch

PRECISIONS = ("auto", "fp32", "bf16")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The autocast context of `precision` on `device`: "fp32", "bf16", or "auto" (bf16 on CUDA, fp32 elsewhere).

    Matrix products alone change; positions, densities and compositing stay in float32 either way.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}: {precision}")
    half = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=half)


def pick_device(name: str | None) -> torch.device:
    """`name` as a device; None or "auto" takes CUDA where there is one, else the CPU.

    Raises ValueError for a device that is not there.
    """
    if name in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(str(name))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"no CUDA device is available to this PyTorch ({torch.__version__})")
    return device
