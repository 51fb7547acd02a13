"""Train the paper preset and evaluate it on the held-out frames: paper_on_gpu.py DATASET OUT --steps N | --minutes M

Writes the run and one evaluation per latent choice into OUT, and prints a line for each. Made the figures of
docs/results.md and docs/performance.md.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from nerface.config import override
from nerface.data import load_dataset
from nerface.evaluation import EvaluationOptions, evaluate
from nerface.precision import pick_device
from nerface.presets import preset
from nerface.training.loop import train


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("dataset", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--steps", type=int, default=400_000)
    arguments.add_argument("--minutes", type=float)
    arguments.add_argument("--latent", nargs="+", default=["mean"])
    arguments.add_argument("--set", action="append", default=[])
    given = arguments.parse_args()
    dataset = load_dataset(given.dataset)
    config = override(preset("paper"), [f"training.steps={given.steps}", *given.set])
    budget = None if given.minutes is None else 60 * given.minutes
    result = train(dataset, given.out / "run", config, device=pick_device("auto"), max_seconds=budget)
    rate = result.state.step / result.state.seconds
    print(f"{given.dataset}: {result.state.step} steps in {result.state.seconds:.1f} s, {rate:.1f} steps/s", flush=True)
    for number, latent in enumerate(given.latent):
        start = time.perf_counter()
        options = EvaluationOptions(latent=latent, video=number == 0)
        folder = given.out / f"evaluation_{latent.replace(':', '_')}"
        found = evaluate(result.avatar, dataset, folder, options)
        whole, head, still = found.means.whole, found.means.head, found.means.still
        print(
            f"{given.dataset}: {len(found.frames)} test frames, latent {latent}: whole frame L1 {whole.l1:.4f} PSNR "
            f"{whole.psnr:.2f} SSIM {whole.ssim:.4f}; head box L1 {head.l1:.4f} PSNR {head.psnr:.2f} SSIM "
            f"{head.ssim:.4f}; best still {still.psnr:.2f}; {1000 * found.seconds_per_frame:.0f} ms a frame; "
            f"evaluated in {time.perf_counter() - start:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
