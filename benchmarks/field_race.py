"""Fields against each other on one dataset, by the clock: field_race.py DATASET OUT --run NAME:PRESET[:SETTINGS] ...

Each run trains a preset (with comma-separated settings name=value) for at most --seconds of training. At each of
--marks (seconds) the clock stops and all held-out frames are drawn with poses as captured. At the end they are drawn
with poses as captured and with poses refined (100 steps a frame, field frozen), and speed, memory and file size are
measured. Prints a line for everything, and leaves OUT/NAME/{avatar.safetensors, captured/, refined/, race.json}.
`field_table.py` makes tables of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from nerface.checkpoint import TrainingState, save_checkpoint
from nerface.config import override, to_json
from nerface.data import Dataset
from nerface.evaluation import EvaluationOptions, evaluate
from nerface.fields import Avatar, SplatAvatar
from nerface.precision import autocast, pick_device
from nerface.presets import preset
from nerface.rendering.sequence import draw_view
from nerface.training.begin import begin, decided, load_for
from nerface.training.corrections import FrameCorrections
from nerface.training.frames import FrameStore
from nerface.training.loop import training_step
from nerface.types import Camera, Condition

TIMED_FRAMES = 200


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("dataset", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--run", action="append", required=True)
    arguments.add_argument("--seconds", type=float, default=90.0)
    arguments.add_argument("--marks", default="10,20,40,60,90")
    arguments.add_argument("--device", default="auto")
    arguments.add_argument("--set", action="append", default=[], help="a setting for all runs")
    arguments.add_argument("--test-skip", type=int, default=1, help="draw every n-th held-out frame")
    arguments.add_argument("--no-refined", action="store_true")
    given = arguments.parse_args()
    for run in given.run:
        race(run, given)


def race(run: str, given: argparse.Namespace) -> None:
    """One run, from beginning to figures."""
    name, chosen, *settings = run.split(":", 2)
    device, folder = pick_device(given.device), given.out / name
    changes = [f"data.test_skip={given.test_skip}", *given.set, *(settings[0].split(",") if settings else [])]
    config = override(preset(chosen), changes)
    dataset = load_for(config, given.dataset)
    config = decided(config, dataset)
    settings_, figures = config.training, {"name": name, "config": to_json(config), "device": device_name(device)}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    avatar, _, optimizer = begin(dataset, folder / "run", config, device, None, False)
    frames = FrameStore(dataset, device, masks=bool(settings_.mask_penalty))
    corrections = FrameCorrections(dataset, settings_, device)
    marks = [float(mark) for mark in given.marks.split(",") if mark]
    warm_up(avatar, dataset, device)
    curve, seconds, step, squared = [], 0.0, 0, []
    while step < settings_.steps and seconds < given.seconds:
        start = time.perf_counter()
        # 20 steps between looks at the clock: waiting for the device costs time that training does not pay.
        for _ in range(min(20, settings_.steps - step)):
            squared.append(training_step(avatar, optimizer, frames, corrections, settings_, step)[2])
            step += 1
        wait(device)
        seconds += time.perf_counter() - start
        if marks and seconds >= marks[0]:
            marks.pop(0)
            level = held_out(avatar, dataset, device)
            trained = float(-10 * torch.log10(torch.stack(squared).mean()))
            squared = []
            curve.append({"seconds": seconds, "step": step, "psnr": level, "training_psnr": trained})
            print(f"{name}: {seconds:.1f} s, step {step}: held out {level:.2f} dB, training {trained:.2f}", flush=True)
    figures |= {"steps": step, "seconds": seconds, "curve": curve, **corrections.figures(avatar)}
    if device.type == "cuda":
        figures["training_mb"] = torch.cuda.max_memory_allocated() / 2**20
    file = folder / "avatar.safetensors"
    save_checkpoint(file, avatar, config, TrainingState(step, seconds))
    figures |= {"file_mb": file.stat().st_size / 1e6, **speed(avatar, dataset, device)}
    if (parts := getattr(avatar, "gaussians", None)) is not None:
        figures["gaussians"] = len(parts)
    for poses in ("captured",) if given.no_refined else ("captured", "refined"):
        start = time.perf_counter()
        found = evaluate(avatar, dataset, folder / poses, EvaluationOptions(poses=poses, video=False))
        figures[poses] = {area: dataclasses.asdict(getattr(found.means, area)) for area in ("whole", "head")} | {
            "seconds": time.perf_counter() - start
        }
        whole, head = found.means.whole, found.means.head
        print(
            f"{name} {poses}: whole {whole.psnr:.2f} dB, SSIM {whole.ssim:.4f}, L1 {whole.l1:.4f}; "
            f"head {head.psnr:.2f} dB, SSIM {head.ssim:.4f}, L1 {head.l1:.4f}",
            flush=True,
        )
    (folder / "race.json").write_text(json.dumps(figures, indent=1))
    shown = {key: value for key, value in figures.items() if key not in ("config", "curve", "captured", "refined")}
    print(f"{name}: " + json.dumps(shown), flush=True)


def view(avatar: Avatar, dataset: Dataset, index: int, device: torch.device) -> tuple[Camera, Condition]:
    """A held-out frame as it is asked for: its own pose and expression, the mean latent code."""
    split = dataset.splits["test"]
    pose = torch.from_numpy(np.array(split.camera_to_head[index])).to(device)
    expression = torch.from_numpy(np.array(split.expressions[index])).to(device)
    return Camera(dataset.intrinsics, pose), Condition(expression, avatar.latent("mean"), avatar.plate())


@torch.no_grad()
def held_out(avatar: Avatar, dataset: Dataset, device: torch.device) -> float:
    """Mean PSNR in dB of 8-bit pictures of the held-out frames, whole frames, poses as captured."""
    levels = []
    for index in range(len(dataset.splits["test"])):
        _, picture = draw_view(avatar, *view(avatar, dataset, index, device))
        truth = torch.from_numpy(np.array(dataset.splits["test"].images[index]))
        levels.append(-10 * torch.log10(((picture.float() - truth.float()) / 255).square().mean()))
    return float(torch.stack(levels).mean())


def warm_up(avatar: Avatar, dataset: Dataset, device: torch.device) -> None:
    """Kernels loaded and built, before the clock starts."""
    with torch.no_grad(), autocast(device, "auto"):
        avatar.render(*view(avatar, dataset, 0, device), torch.zeros(1, 2, dtype=torch.long))
    wait(device)


@torch.no_grad()
def speed(avatar: Avatar, dataset: Dataset, device: torch.device) -> dict[str, float]:
    """Seconds of single pictures, each finished before the next is asked for; and pictures a second back to back."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    views = [view(avatar, dataset, index, device) for index in range(len(dataset.splits["test"]))]
    count = TIMED_FRAMES if isinstance(avatar, SplatAvatar) and device.type == "cuda" else 5
    with autocast(device, "auto"):
        for index in range(min(10, count)):
            avatar.render(*views[index % len(views)])
        wait(device)
        times = []
        for index in range(count):
            start = time.perf_counter()
            avatar.render(*views[index % len(views)])
            wait(device)
            times.append(time.perf_counter() - start)
        start = time.perf_counter()
        for index in range(count):
            avatar.render(*views[index % len(views)])
        wait(device)
        through = count / (time.perf_counter() - start)
    found = {"frame_ms": 1000 * statistics.median(times), "frames_per_second": through}
    if device.type == "cuda":
        found["rendering_mb"] = torch.cuda.max_memory_allocated() / 2**20
    return found


def wait(device: torch.device) -> None:
    """Until the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def device_name(device: torch.device) -> str:
    """What the figures were measured on."""
    return torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"


if __name__ == "__main__":
    main()
