"""Time and memory of one training step and one frame: measure_frame.py AVATAR DATASET [FRAMES]

Prints medians over FRAMES test frames (default 6, after two of warm-up) in bf16 and in fp32, how far bf16 is from fp32
in dB, and peak device memory.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import torch

from nerface.checkpoint import load_avatar
from nerface.data import load_dataset
from nerface.driving.views import dataset_views
from nerface.precision import autocast, pick_device
from nerface.types import Condition


def main() -> None:
    device = pick_device("auto")
    avatar = load_avatar(Path(sys.argv[1]), device)
    dataset = load_dataset(Path(sys.argv[2]), splits=("test",))
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 6
    views = list(dataset_views(dataset.splits["test"], dataset.intrinsics))[: count + 2]
    pictures: dict[str, list[torch.Tensor]] = {}
    for precision in ("bf16", "fp32"):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = []
        for view in views:
            start = time.perf_counter()
            with torch.no_grad(), autocast(device, precision):
                condition = Condition(view.expression.to(device), avatar.latent("mean"), avatar.plate())
                pictures.setdefault(precision, []).append(avatar.render(view.camera, condition).colour.cpu())
            seconds.append(time.perf_counter() - start)
        peak = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else float("nan")
        median = 1000 * statistics.median(seconds[2:])
        print(f"{precision}: median {median:.0f} ms a frame, peak {peak:.2f} GB", flush=True)
    errors = [torch.mean((a - b) ** 2) for a, b in zip(pictures["bf16"], pictures["fp32"])]
    print(f"bf16 against fp32: {min(float(-10 * torch.log10(e)) for e in errors):.1f} dB at worst")


if __name__ == "__main__":
    main()
