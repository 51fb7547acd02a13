"""NeRFace's own checkpoint here: seed_checkpoint.py CONFIG CKPT REFERENCE.npz TRANSFORMS.json DATASET OUT

Prints the largest differences from the renderings of NeRFace's own code (fp32, no TF32), the figures of the held-out
frames with the latent code of video frame 10, and the log of 1,000 further steps. Made the figures of docs/results.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

from nerface.evaluation import EvaluationOptions, evaluate
from nerface.interop.seed_checkpoint import OpenedSeed, open_seed
from nerface.precision import pick_device
from nerface.rendering.volume import render_rays
from nerface.training.log import read_log
from nerface.training.loop import train
from nerface.types import Rays, concatenate

RAYS_AT_ONCE = 1024


def parity(opened: OpenedSeed, reference: Path, transforms: Path) -> None:
    """Print the largest absolute differences over all rays of the reference views."""
    avatar, frames = opened.checkpoint.avatar, json.loads(transforms.read_text())["frames"]
    with np.load(reference, allow_pickle=False) as arrays:
        known = {name: torch.from_numpy(np.atleast_1d(arrays[name])).to(avatar.device) for name in arrays}
    for view in range(2):
        origins, directions = (known[f"view{view}_ray_{name}"].reshape(-1, 3) for name in ("origins", "directions"))
        expression = torch.tensor(frames[int(known[f"view{view}_test_index"])]["expression"], device=avatar.device)
        row = avatar.condition_rows(expression[None], avatar.latent_codes[known["latent_index"]])
        background, stages = known["background"].reshape(-1, 3), []
        for start in range(0, len(origins), RAYS_AT_ONCE):
            some = slice(start, start + RAYS_AT_ONCE)
            rays = Rays(origins[some], directions[some], background[some], avatar.view_input(directions[some]))
            stages.append(render_rays((avatar.coarse, avatar.fine), rays, row, avatar.config.sampling))
        coarse, fine = (concatenate(list(parts)) for parts in zip(*stages))
        pairs = {
            "coarse colour": (coarse.colour, known[f"view{view}_rgb_coarse"].reshape(-1, 3)),
            "fine colour": (fine.colour, known[f"view{view}_rgb_fine"].reshape(-1, 3)),
            "last weight": (1 - fine.opacity[:, None], known[f"view{view}_weight_last"].reshape(-1, 1)),
        }
        for name, (found, expected) in pairs.items():
            error = (found - expected).abs().amax(dim=-1)
            near = float((error <= 2e-4).float().mean())
            print(f"view {view}, {name}: largest {float(error.max()):.1e}, within 2e-4 {near:.2%}", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser()
    for name in ("config", "checkpoint", "reference", "transforms", "dataset", "out"):
        arguments.add_argument(name, type=Path)
    arguments.add_argument("--frames", type=int)
    arguments.add_argument("--steps", type=int, default=1000)
    given = arguments.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = pick_device("auto")
    opened = open_seed(given.config, given.checkpoint, given.dataset, device=device)
    print(f"device {device}, torch {torch.__version__}, python {sys.version.split()[0]}", flush=True)
    with torch.no_grad():
        parity(opened, given.reference, given.transforms)
    options = EvaluationOptions(latent="video:10", video=False, save_images=False, frames=given.frames)
    evaluate(opened.checkpoint.avatar, opened.dataset, given.out / "evaluation", options)
    print((given.out / "evaluation" / "metrics.txt").read_text(), flush=True)
    if given.steps:
        run, state = opened.config.run, opened.checkpoint.state
        settings = [f"training.steps={state.step + given.steps}", "training.log_every=250"]
        again = open_seed(given.config, given.checkpoint, given.dataset, device=device, settings=settings)
        assert run.avatar == again.config.run.avatar
        train(again.dataset, given.out / "run", again.config.run, device=device, start=again.checkpoint)
        for line in read_log(given.out / "run"):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
