"""An avatar without a field, which gives what a function says, and made-up weights for LPIPS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nerface.data import Dataset
from nerface.fields.base import Avatar, PixelBatch, Subject
from nerface.types import Camera, Condition, Rendering


class FakeAvatar(Avatar):
    """Draws `picture(camera, condition)` [H, W, 3] and keeps the conditions it was asked for."""

    def __init__(self, dataset: Dataset, picture: Callable[[Camera, Condition], Tensor]) -> None:
        stats = dataset.expression_stats
        subject = Subject(
            expression_names=dataset.expression_names,
            expression_mean=tuple(stats.mean.tolist()),
            expression_std=tuple(stats.std.tolist()),
            expression_min=tuple(stats.min.tolist()),
            expression_max=tuple(stats.max.tolist()),
            intrinsics=dataset.intrinsics,
            rest_pose=tuple(tuple(row) for row in dataset.train.camera_to_head[0].tolist()),
            seen_angles=(-180.0, 180.0, -90.0, 90.0),
            train_frames=len(dataset.train),
            frame_rate=dataset.frame_rate,
            source="made.mp4",
        )
        super().__init__(subject, latent_channels=3)
        self.latent_codes.data = torch.arange(3.0 * len(dataset.train)).reshape(-1, 3)
        self.picture = picture
        self.asked: list[Condition] = []

    def render(self, camera: Camera, condition: Condition, pixels: Tensor | None = None) -> Rendering:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.asked.append(condition)
        colour = self.picture(camera, condition)
        return Rendering(colour, torch.ones(colour.shape[:2]), torch.ones(colour.shape[:2]))

    def render_batch(self, batch: PixelBatch, generator: torch.Generator) -> list[Rendering]:
        raise NotImplementedError


@dataclass(frozen=True)
class Layer:
    """A convolution of a backbone with a ReLU behind it: its number among torchvision's `features`, channels, geometry.

    `pool` is the side of the max-pooling (stride 2) before it, `tapped` whether LPIPS looks at its ReLU.
    """

    number: int
    inputs: int
    outputs: int
    side: int
    stride: int = 1
    padding: int = 1
    pool: int = 0
    tapped: bool = True


ALEX = (
    Layer(0, 3, 64, side=11, stride=4, padding=2),
    Layer(3, 64, 192, side=5, padding=2, pool=3),
    Layer(6, 192, 384, side=3, pool=3),
    Layer(8, 384, 256, side=3),
    Layer(10, 256, 256, side=3),
)
VGG = (
    Layer(0, 3, 64, side=3, tapped=False),
    Layer(2, 64, 64, side=3),
    Layer(5, 64, 128, side=3, pool=2, tapped=False),
    Layer(7, 128, 128, side=3),
    Layer(10, 128, 256, side=3, pool=2, tapped=False),
    Layer(12, 256, 256, side=3, tapped=False),
    Layer(14, 256, 256, side=3),
    Layer(17, 256, 512, side=3, pool=2, tapped=False),
    Layer(19, 512, 512, side=3, tapped=False),
    Layer(21, 512, 512, side=3),
    Layer(24, 512, 512, side=3, pool=2, tapped=False),
    Layer(26, 512, 512, side=3, tapped=False),
    Layer(28, 512, 512, side=3),
)


def write_backbone(path: Path, layers: tuple[Layer, ...], seed: int) -> Path:
    """Random weights in the form of torchvision's files (of the classifier, which LPIPS leaves out, a stub)."""
    generator = torch.Generator().manual_seed(seed)
    state = {"classifier.6.bias": torch.zeros(1000)}
    for layer in layers:
        fan = layer.inputs * layer.side**2
        shape = (layer.outputs, layer.inputs, layer.side, layer.side)
        state[f"features.{layer.number}.weight"] = torch.randn(shape, generator=generator) * (2 / fan) ** 0.5
        state[f"features.{layer.number}.bias"] = 0.1 * torch.randn(layer.outputs, generator=generator)
    torch.save(state, path)
    return path
