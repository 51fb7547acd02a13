"""Held-out frames while training goes on: PSNR and losses at chosen pixels, and pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from nerface.data.dataset import Dataset
from nerface.fields.base import Avatar
from nerface.precision import autocast
from nerface.types import Camera, Condition, Frame

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
    def measure(self, avatar: Avatar, precision: str) -> dict[str, float]:
        """Means over the frames: PSNR of the last rendering in dB, and the squared errors of the first and the last."""
        assert self.split is not None
        rows = []
        for frame in self.split:
            camera, condition = self._asked(frame, avatar)
            with autocast(self.device, precision):
                stages = avatar.render_stages(camera, condition, self.pixels)
            target = torch.from_numpy(frame.image[self.pixels[:, 0], self.pixels[:, 1]]).to(self.device) / 255.0
            errors = [torch.mean((stage.colour.clamp(0, 1) - target) ** 2).clamp(min=1e-12) for stage in stages]
            rows.append(torch.stack([-10 * torch.log10(errors[-1]), errors[0], errors[-1]]))
        level, coarse, fine = torch.stack(rows).mean(dim=0).tolist()
        total = fine if len(stages) == 1 else coarse + fine
        return {
            "validation_psnr": level,
            "validation_loss": total,
            "validation_coarse_loss": coarse,
            "validation_fine_loss": fine,
        }

    @torch.no_grad()
    def pictures(self, avatar: Avatar, precision: str) -> dict[str, Tensor]:
        """The first frame as pictures [C, H, W] in [0, 1], under the seed's names (spec 4.6)."""
        assert self.split is not None
        frame = self.split[0]
        camera, condition = self._asked(frame, avatar)
        with autocast(self.device, precision):
            stages = avatar.render_stages(camera, condition)
        colours = {
            "rgb_coarse": stages[0].colour,
            "rgb_fine": stages[-1].colour,
            "img_target": torch.from_numpy(frame.image) / 255.0,
            "background": avatar.plate(),
            "weights": 1.0 - stages[-1].opacity[..., None],
        }
        return {name: value.clamp(0, 1).movedim(-1, 0).cpu() for name, value in colours.items()}

    def _asked(self, frame: Frame, avatar: Avatar) -> tuple[Camera, Condition]:
        """A frame's own camera and expression, with the mean latent code over the avatar's plate."""
        camera = Camera(self.intrinsics, torch.from_numpy(frame.camera_to_head.copy()).to(self.device))
        expression = torch.from_numpy(frame.expression.copy()).to(self.device)
        return camera, Condition(expression, avatar.latent("mean"), avatar.plate())
