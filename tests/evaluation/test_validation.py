"""Validation while training goes on: the frame's own expression, every frame, plain PSNR (spec 8.1, B5)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerface.training.validation import Validation
from nerface.types import Rendering
from tests.evaluation.fakes import FakeAvatar

CPU = torch.device("cpu")


class Reader(FakeAvatar):
    """Draws the frame of the split that has just this pose and this expression, some levels too bright."""

    offsets: tuple[float, ...] = ()

    def render(self, camera, condition, pixels=None):
        self.asked.append(condition)
        split = self.split
        same = [
            np.array_equal(pose, camera.camera_to_head.numpy()) and np.array_equal(row, condition.expression.numpy())
            for pose, row in zip(split.camera_to_head, split.expressions)
        ]
        row = same.index(True)  # fails where pose and expression are of different frames
        colour = torch.from_numpy(split[row].image[pixels[:, 0], pixels[:, 1]]) / 255 + self.offsets[row]
        return Rendering(colour, torch.ones(len(pixels)), torch.ones(len(pixels)))


def test_validation_draws_each_frame_with_its_own_expression(captured):
    held_out = replace(captured, splits={"train": captured.train, "val": captured.splits["test"]})
    avatar = Reader(held_out, lambda camera, condition: condition.background)
    avatar.split = held_out.splits["val"]
    avatar.offsets = (-0.01, -0.1, -0.01, -0.1, -0.1, -0.01)
    validation = Validation(held_out, CPU, seed=0)
    figures = validation.measure(avatar, "fp32")
    assert len(validation) == len(avatar.asked) == 6
    asked = torch.stack([condition.expression for condition in avatar.asked]).numpy()
    assert np.array_equal(asked, avatar.split.expressions)
    assert not np.array_equal(asked[0], held_out.train.expressions[-1])  # what the seed validates with
    expected = []
    for row, frame in enumerate(avatar.split):
        drawn = np.clip(frame.image / 255 + avatar.offsets[row], 0, 1)
        expected.append(-10 * np.log10(np.mean((drawn - frame.image / 255) ** 2)))
    assert figures["validation_psnr"] == pytest.approx(np.mean(expected), abs=1e-3)
