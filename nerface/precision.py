"""One place that decides in which number format networks run."""

from __future__ import annotations

import torch

from nerface.errors import UserError

PRECISIONS = ("auto", "fp32", "bf16")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The autocast context of `precision` on `device`: "fp32", "bf16", or "auto" (bf16 on CUDA, fp32 elsewhere).

    Matrix products alone change; positions, densities and compositing stay in float32 either way.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}: {precision}")
    half = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=half)


def full_precision(device: torch.device) -> torch.autocast:
    """The context in which geometry is computed: bf16 has 8 bits, which is pixels of error in a ray."""
    return torch.autocast(device.type, enabled=False)


def pick_device(name: str | None) -> torch.device:
    """`name` as a device; None or "auto" takes CUDA where there is one, else the CPU.

    Raises `UserError` for a device that PyTorch does not know or that is not there.
    """
    if name in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(str(name))
    except RuntimeError:
        raise UserError(f"there is no device '{name}': use cpu, cuda or cuda:K") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"the device '{name}' is not supported: use cpu, cuda or cuda:K")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"no CUDA device is available to this PyTorch ({torch.__version__})")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"there is no device '{name}': this machine has {torch.cuda.device_count()} CUDA devices")
    return device
