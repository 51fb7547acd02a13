"""Time and parity of the rasterisers of Gaussians: splat_rasteriser.py [options]

Prints the milliseconds a picture takes, forward and with its gradients, for random Gaussians that fill a head:
--gaussians, --size, --pictures, --radius (pixels at which they have faded out), --device, --rasteriser.

--parity SCENE compares the rasteriser with the torch one on an avatar's folder, or on a .npz or .safetensors file with
the arrays means, rotations, scales, opacities, colours (one picture, without that axis) and intrinsics (fx, fy, cx,
cy, width, height), seen from the front and from 20 degrees to either side. Compared with itself, the torch one runs in
float64 too. Prints differences of colour and relative differences of gradients.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from nerface.checkpoint import load_avatar
from nerface.errors import UserError
from nerface.precision import pick_device
from nerface.rendering.splatting import RASTERISERS, Gaussians, Splatted, prepare, rasterise
from nerface.types import Camera, Condition, Intrinsics

WARM_UP, RUNS = 3, 20
DISTANCE = 0.5  # head units from the camera to the head
HEAD_RADIUS = 0.11  # head units
FOCAL = 2.0  # of random scenes, in picture sizes: the head fills most of the picture
FADED = 3.0  # standard deviations at which a Gaussian counts as faded out
YAWS = (-20.0, 0.0, 20.0)  # degrees
TOLERANCE = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, default=5000)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--pictures", type=int, default=1)
    parser.add_argument("--radius", type=float, default=3.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rasteriser", choices=RASTERISERS, default="auto")
    parser.add_argument("--parity", type=Path, metavar="SCENE")
    options = parser.parse_args()
    device = pick_device(options.device)
    rasteriser = prepare(options.rasteriser, device)
    if options.parity:
        gaussians, pose, inner = scene_of(options.parity, device)
        print(f"{gaussians.means.shape[1]} Gaussians, {inner.width}x{inner.height}, {rasteriser} against torch")
        for yaw in YAWS:
            print_parity(gaussians, turned(pose, yaw), inner, rasteriser, f"{yaw:+.0f} degrees")
        return
    scene = random_scene(options.gaussians, options.pictures, options.size, options.radius, device)
    print_times(*scene, rasteriser)


def random_scene(
    count: int, pictures: int, size: int, radius: float, device: torch.device
) -> tuple[Gaussians, Tensor, Intrinsics]:
    """Gaussians of about the same size spread evenly in a ball, seen by cameras in front of it."""
    generator = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(pictures, count, 3, generator=generator), dim=-1)
    means = HEAD_RADIUS * direction * torch.rand(pictures, count, 1, generator=generator) ** (1 / 3)
    scale = radius / FADED * DISTANCE / (FOCAL * size)
    gaussians = Gaussians(
        means,
        torch.randn(pictures, count, 4, generator=generator),
        scale * torch.exp(0.3 * torch.randn(count, 3, generator=generator)),
        torch.rand(pictures, count, generator=generator),
        torch.rand(pictures, count, 3, generator=generator),
    )
    pose = torch.eye(4).repeat(pictures, 1, 1)
    pose[:, 2, 3] = DISTANCE
    on_device = Gaussians(**{name: value.to(device) for name, value in vars(gaussians).items()})
    return on_device, pose.to(device), Intrinsics(FOCAL * size, FOCAL * size, 0.5, 0.5, size, size)


def scene_of(path: Path, device: torch.device) -> tuple[Gaussians, Tensor, Intrinsics]:
    """The Gaussians, pose [1, 4, 4] and camera that a file of arrays or an avatar's folder holds."""
    if path.suffix not in (".npz", ".safetensors"):
        return avatar_scene(path, device)
    arrays = load_file(path) if path.suffix == ".safetensors" else dict(np.load(path))
    values = {name: torch.as_tensor(array).float().to(device) for name, array in arrays.items()}
    fx, fy, cx, cy, width, height = values.pop("intrinsics").tolist()
    pose = torch.eye(4, device=device)[None]
    pose[:, 2, 3] = DISTANCE
    pose = values.pop("camera_to_head", pose).reshape(1, 4, 4)
    fields = {name: value if name == "scales" else value[None] for name, value in values.items()}
    return Gaussians(**fields), pose, Intrinsics(fx, fy, cx, cy, int(width), int(height))


def avatar_scene(path: Path, device: torch.device) -> tuple[Gaussians, Tensor, Intrinsics]:
    """An avatar's Gaussians under its mean expression, at its rest pose."""
    avatar = load_avatar(path, device)
    give = getattr(avatar, "condition_gaussians", None)
    if give is None:
        raise UserError(f"the avatar in {path} is not made of Gaussians: give one trained with --preset splat")
    camera = Camera(avatar.subject.intrinsics, torch.tensor(avatar.subject.rest_pose))
    expression = torch.tensor(avatar.subject.expression_mean, device=device)
    with torch.no_grad():
        pose, gaussians = give(camera, Condition(expression, avatar.latent("mean")))
    return gaussians, pose, camera.intrinsics


def turned(pose: Tensor, yaw: float) -> Tensor:
    """The camera carried `yaw` degrees round the head's upright axis."""
    cosine, sine = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
    turn = torch.eye(4, dtype=pose.dtype, device=pose.device)
    turn[0, 0], turn[0, 2], turn[2, 0], turn[2, 2] = cosine, sine, -sine, cosine
    return turn @ pose


def stacked(splatted: Splatted) -> Tensor:
    """Colour, opacity and depth side by side."""
    return torch.cat([splatted.colour, splatted.opacity[..., None], splatted.depth[..., None]], dim=-1)


def leaves(gaussians: Gaussians, dtype: torch.dtype) -> Gaussians:
    """Copies that gradients are asked of."""
    return Gaussians(
        **{name: value.detach().to(dtype, copy=True).requires_grad_() for name, value in vars(gaussians).items()}
    )


def drawn_with_gradients(
    gaussians: Gaussians, pose: Tensor, inner: Intrinsics, rasteriser: str, dtype: torch.dtype
) -> tuple[Tensor, dict[str, Tensor]]:
    """The picture, and the gradients of a random weighting of its values."""
    own, pose = leaves(gaussians, dtype), pose.detach().to(dtype, copy=True).requires_grad_()
    drawn = stacked(rasterise(own, pose, inner, rasteriser))
    generator = torch.Generator().manual_seed(0)
    (drawn * torch.randn(drawn.shape, generator=generator).to(drawn)).sum().backward()
    return drawn.detach(), {name: value.grad for name, value in (*vars(own).items(), ("camera_to_head", pose))}


def print_parity(gaussians: Gaussians, pose: Tensor, inner: Intrinsics, rasteriser: str, name: str) -> None:
    dtype = torch.float64 if rasteriser == "torch" else torch.float32
    expected, gradients = drawn_with_gradients(gaussians, pose, inner, "torch", dtype)
    drawn, found = drawn_with_gradients(gaussians, pose, inner, rasteriser, torch.float32)
    worst = (drawn - expected)[..., :-2].abs().amax(dim=-1)
    over = int((worst > TOLERANCE).sum())
    print(
        f"{name}: colour differs by {worst.max():.1e} at most, {worst.mean():.1e} on average, "
        f"by more than {TOLERANCE:g} at {over} of {worst.numel()} pixels (opacity {expected[..., -2].mean():.2f})"
    )
    for field, gradient in gradients.items():
        difference = (found[field] - gradient).norm() / gradient.norm()
        print(f"    gradient of {field}: {100 * difference:.4f} %")


def print_times(gaussians: Gaussians, pose: Tensor, inner: Intrinsics, rasteriser: str) -> None:
    gaussians, pose = leaves(gaussians, torch.float32), pose.clone().requires_grad_()
    device = pose.device

    def forward() -> None:
        with torch.no_grad():
            rasterise(gaussians, pose, inner, rasteriser)

    def both() -> None:
        stacked(rasterise(gaussians, pose, inner, rasteriser)).sum().backward()

    pictures, count, _ = gaussians.means.shape
    print(f"{rasteriser} on {device}: {count} Gaussians, {pictures} x {inner.width}x{inner.height}, "
          f"{torch.get_num_threads()} threads")  # fmt: skip
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for name, work in (("forward", forward), ("forward and backward", both)):
        median, least = timed(work, device)
        print(f"  {name}: {median / pictures:.2f} ms a picture (median of {RUNS}; least {least / pictures:.2f})")
    if device.type == "cuda":
        print(f"  peak memory {torch.cuda.max_memory_allocated() / 1e9:.2f} GB")


def timed(work: Callable[[], None], device: torch.device) -> tuple[float, float]:
    """Median and least milliseconds of a call."""
    seconds = []
    for run in range(WARM_UP + RUNS):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if run >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    return 1000 * sorted(seconds)[RUNS // 2], 1000 * min(seconds)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
