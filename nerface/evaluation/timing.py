"""How long frames took to draw, on what."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from nerface.precision import autocast


@dataclass(frozen=True)
class Timing:
    """Seconds to draw one frame and have it in the host's memory: mean and median over `frames`, and the first alone.

    The first frame also pays for warming up; it counts in mean and median. `precision` is the number format of the
    networks, "fp32" or "bf16".
    """

    mean_seconds_per_frame: float
    median_seconds_per_frame: float
    first_frame_seconds: float
    frames: int
    device: str
    precision: str

    def line(self) -> str:
        """In words."""
        count = "1 frame" if self.frames == 1 else f"{self.frames} frames"
        return (
            f"seconds per frame: mean {self.mean_seconds_per_frame:.3f}, median {self.median_seconds_per_frame:.3f}, "
            f"first {self.first_frame_seconds:.3f} ({count} on {self.device}, {self.precision})"
        )


def timing(seconds: Sequence[float], device: torch.device, precision: str) -> Timing:
    """The report of at least one frame's `seconds`, drawn with `precision` of `nerface.precision`."""
    with autocast(device, precision):
        half = torch.is_autocast_enabled(device.type)
    return Timing(
        mean_seconds_per_frame=statistics.fmean(seconds),
        median_seconds_per_frame=statistics.median(seconds),
        first_frame_seconds=seconds[0],
        frames=len(seconds),
        device=device_in_words(device),
        precision="bf16" if half else "fp32",
    )


def device_in_words(device: torch.device) -> str:
    """A device with what tells its speed: the name of a GPU, the number of threads of a CPU."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"
