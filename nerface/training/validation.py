"""PSNR on held-out frames while training goes on."""

from __future__ import annotations

import torch

from nerface.data.dataset import Dataset
from nerface.fields.base import Avatar
from nerface.precision import autocast
from nerface.types import Camera, Condition

PIXELS = 4096  # of every validation frame: the same ones each time


class Validation:
    """The `val` split at a fixed choice of pixels, drawn with the mean latent code and the frame's own expression."""

    def __init__(self, dataset: Dataset, device: torch.device, seed: int) -> None:
        self.split = dataset.splits.get("val")
        self.intrinsics = dataset.intrinsics
        self.device = device
        count = dataset.intrinsics.height * dataset.intrinsics.width
        chosen = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:PIXELS]
        self.pixels = torch.stack([chosen // dataset.intrinsics.width, chosen % dataset.intrinsics.width], dim=-1)

    def __len__(self) -> int:
        return 0 if self.split is None else len(self.split)

    @torch.no_grad()
    def psnr(self, avatar: Avatar, precision: str) -> float:
        """Mean over the frames of their PSNR in dB at the chosen pixels."""
        assert self.split is not None
        total = 0.0
        for frame in self.split:
            camera = Camera(self.intrinsics, torch.from_numpy(frame.camera_to_head.copy()).to(self.device))
            expression = torch.from_numpy(frame.expression.copy()).to(self.device)
            condition = Condition(expression, avatar.latent("mean"), avatar.plate())
            with autocast(self.device, precision):
                colour = avatar.render(camera, condition, self.pixels).colour
            target = torch.from_numpy(frame.image[self.pixels[:, 0], self.pixels[:, 1]]).to(self.device) / 255.0
            error = torch.mean((colour.clamp(0, 1) - target) ** 2).clamp(min=1e-12)
            total += float(-10 * torch.log10(error))
        return total / len(self)
