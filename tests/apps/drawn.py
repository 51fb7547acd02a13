"""The renderer taken out of `render` and `reenact`: what would have been drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import nerface.apps.driving_job as job
from nerface.data import load_dataset
from nerface.training.loop import train
from tests.data.make import write_tiny_dataset
from tests.toys import toy_run


class Drawn:
    """What was handed to the renderer."""

    def __init__(self):
        self.avatar = self.options = None
        self.views = []

    def __call__(self, avatar, views, path, options, progress):
        self.avatar, self.views, self.options = avatar, list(views), options
        return path

    @property
    def poses(self):
        return np.stack([view.camera.camera_to_head.numpy() for view in self.views])

    @property
    def expressions(self):
        return np.stack([view.expression.numpy() for view in self.views])

    @property
    def latents(self):
        return torch.stack([view.latent for view in self.views])


def take_over(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Put a `Drawn` in the renderer's place."""
    drawn = Drawn()
    monkeypatch.setattr(job, "render_video", drawn)
    return drawn


def make_clip(folder: Path) -> Path:
    """`person` of 24 frames and `run`, an avatar of it, in `folder`."""
    dataset = load_dataset(write_tiny_dataset(folder / "person", frames=24))
    train(dataset, folder / "run", toy_run(steps=2))
    return folder
