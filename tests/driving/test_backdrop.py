from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from nerface.driving.backdrop import covering, read_backdrop, require_backdrop
from nerface.errors import UserError
from tests.toys import AVATAR, toy_avatar


@pytest.mark.parametrize(
    ("word", "colour"), [("black", 0), ("White", 1), ("ff8000", (1, 128 / 255, 0)), ("#0000FF", (0, 0, 1))]
)
def test_colours(word, colour):
    picture = read_backdrop(word, 5, 3)
    assert picture.shape == (3, 5, 3)
    torch.testing.assert_close(picture, torch.tensor(colour, dtype=torch.float32).expand(3, 5, 3))


def test_a_picture_covers_the_frame_and_is_cut_evenly(tmp_path):
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 10:30] = 255, 0, 0  # BGR blue in the middle
    cv2.imwrite(str(tmp_path / "wide.png"), wide)
    picture = read_backdrop(str(tmp_path / "wide.png"), 20, 10)
    torch.testing.assert_close(picture, torch.tensor([0.0, 0, 1]).expand(10, 20, 3))
    grey = np.tile(np.arange(0, 160, 2, dtype=np.uint8)[:, None, None], (1, 40, 3))  # 80 rows
    half = covering(grey, 20, 20)
    assert half.shape == (20, 20, 3)
    assert abs(int(half[0, 0, 0]) - 41) <= 2  # the row a quarter down
    assert abs(int(half[-1, 0, 0]) - 117) <= 2
    assert covering(grey, 100, 30).shape == (30, 100, 3)


def test_transparent_pictures_lie_on_white(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:, 2:, 3] = 255
    cv2.imwrite(str(tmp_path / "clear.png"), pixels)
    picture = read_backdrop(str(tmp_path / "clear.png"), 4, 4)
    assert picture[:, :2].min() == 1
    assert picture[:, 2:].max() == 0


def test_backdrops_that_cannot_be_had(tmp_path):
    with pytest.raises(UserError, match=r"beach\.png is missing: --background takes"):
        read_backdrop(str(tmp_path / "beach.png"), 4, 4)
    (tmp_path / "note.png").write_text("no picture")
    with pytest.raises(UserError, match="does not decode"):
        read_backdrop(str(tmp_path / "note.png"), 4, 4)


def test_an_avatar_without_a_background_cannot_be_given_one():
    require_backdrop(toy_avatar())
    require_backdrop(toy_avatar(dataclasses.replace(AVATAR, background="trainable")))
    with pytest.raises(UserError, match="trained without a background"):
        require_backdrop(toy_avatar(dataclasses.replace(AVATAR, background="none")))
