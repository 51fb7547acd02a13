"""An avatar without a field: it gives what a function says, for tests of everything above the seam."""

from __future__ import annotations

from collections.abc import Callable

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
