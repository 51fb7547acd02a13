"""The nouns keep their shapes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from nerface.types import Intrinsics, Rays, Rendering, concatenate


def rendering(start: int, count: int) -> Rendering:
    values = torch.arange(start, start + count, dtype=torch.float32)
    return Rendering(values[:, None].expand(count, 3), values + 0.25, values + 0.5)


def test_concatenated_and_reshaped_renderings_keep_every_value():
    whole = concatenate([rendering(0, 4), rendering(4, 2)]).reshape(2, 3)
    assert whole.colour.shape == (2, 3, 3)
    assert whole.colour[1, 0].tolist() == [3, 3, 3]
    assert whole.opacity.tolist() == [[0.25, 1.25, 2.25], [3.25, 4.25, 5.25]]
    assert whole.depth[1, 2] == 5.5


def test_dataclasses_are_frozen_and_checked_in_tests():
    rays = Rays(torch.zeros(7, 3), torch.ones(7, 3), None)
    assert len(rays) == 7
    with pytest.raises(dataclasses.FrozenInstanceError):
        rays.origins = torch.ones(7, 3)
    with pytest.raises(TypeError, match="directions"):
        Rays(torch.zeros(7, 3), torch.ones(6, 3), None)


def test_resizing_there_and_back_is_the_same_camera():
    camera = Intrinsics(-300.0, 290.0, 0.4, 0.6, 64, 48)
    assert camera.resized(32, 12) == Intrinsics(-150.0, 72.5, 0.4, 0.6, 32, 12)
    assert camera.resized(32, 12).resized(64, 48) == camera
