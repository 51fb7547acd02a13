"""What corrections of poses and colours are worth: refinement_steps.py DATASET OUT [--steps N] --run NAME:SETTINGS ...

Each run trains the paper preset with its settings (comma-separated name=value), then draws the held-out frames with
their poses as captured, less what training learned of the tracker's habit, and found anew with the field frozen. Prints
a line and at the end a table in Markdown. Sharpness is the energy of fine detail (Laplacian) of the drawn pictures over
that of the true ones, in the hair (upper quarter of the head box) and round the eyes (the band from 0.35 to 0.55 of its
height).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from nerface.config import override
from nerface.data import Dataset, load_dataset
from nerface.data.boxes import box_slices
from nerface.data.images import read_image
from nerface.evaluation import Evaluation, EvaluationOptions, evaluate
from nerface.precision import pick_device
from nerface.presets import preset
from nerface.training.corrections import FrameCorrections
from nerface.training.loop import train

BANDS = {"hair": (0.0, 0.25), "eyes": (0.35, 0.55)}  # shares of the head box's height


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("dataset", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--steps", type=int, default=3000)
    arguments.add_argument("--latent", default="mean")
    arguments.add_argument("--test-skip", type=int, default=1)
    arguments.add_argument("--preset", default="paper")
    arguments.add_argument("--half-res", action="store_true")
    arguments.add_argument("--run", action="append", required=True)
    given = arguments.parse_args()
    dataset = load_dataset(given.dataset, half_res=given.half_res, test_skip=given.test_skip)
    rows = []
    for run in given.run:
        name, _, settings = run.partition(":")
        rows.append(f"| {name} | " + " | ".join(measured(dataset, given, name, settings)) + " |")
        print(rows[-1], flush=True)
    print("| run | training PSNR | turn deg | captured: PSNR, head, SSIM, hair, eyes | refined: the same |")
    print("| --- | --- | --- | --- | --- |")
    print("\n".join(rows))


def measured(dataset: Dataset, given: argparse.Namespace, name: str, settings: str) -> list[str]:
    """The cells of one run."""
    changes = [setting for setting in settings.split(",") if setting]
    config = override(preset(given.preset), [f"training.steps={given.steps}", *changes])
    folder = given.out / name
    result = train(dataset, folder / "run", config, device=pick_device("auto"))
    log = (folder / "run" / "log.jsonl").read_text().splitlines()
    last = [line for line in log if '"psnr"' in line][-1]
    figures = FrameCorrections(dataset, config.training, result.avatar.device).figures(result.avatar)
    print(f"{name}: {result.state.step / result.state.seconds:.1f} steps/s, {last}", flush=True)
    cells = [last.split('"psnr": ')[1].split(",")[0][:5], f"{figures.get('pose_turn_deg', 0.0):.2f}"]
    wanted = ("captured", "learned", "refined") if "pose_turn_deg" in figures else ("captured", "refined")
    for poses in wanted:
        options = EvaluationOptions(latent=given.latent, poses=poses, video=False)
        found = evaluate(result.avatar, dataset, folder / poses, options)
        sharp = sharpness(found, dataset)
        whole, head = found.means.whole, found.means.head
        cells.append(f"{whole.psnr:.2f}, {head.psnr:.2f}, {whole.ssim:.4f}, {sharp['hair']:.2f}, {sharp['eyes']:.2f}")
        print(f"{name} {poses}: {cells[-1]}", flush=True)
    return cells


def sharpness(found: Evaluation, dataset: Dataset) -> dict[str, float]:
    """Median over the frames of the detail in the drawn bands over that in the true ones."""
    ratios: dict[str, list[float]] = {band: [] for band in BANDS}
    for index in range(len(found.frames)):
        frame = dataset.splits["test"][index]
        drawn = read_image(found.folder / "renders" / f"{index:04d}.png")
        rows, columns = box_slices(frame.head_box, *frame.image.shape[:2])
        height = rows.stop - rows.start
        for band, (low, high) in BANDS.items():
            part = slice(rows.start + int(low * height), rows.start + int(high * height))
            ratios[band].append(detail(drawn[part, columns]) / max(detail(frame.image[part, columns]), 1e-6))
    return {band: float(np.median(values)) for band, values in ratios.items()}


def detail(picture: np.ndarray) -> float:
    """Root mean square of the Laplacian of the grey picture."""
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.sqrt(np.mean(cv2.Laplacian(grey, cv2.CV_32F) ** 2)))


if __name__ == "__main__":
    main()
