from __future__ import annotations

import numpy as np
import pytest
import torch

from nerface.driving.latents import sequence_latents
from nerface.errors import UserError
from tests.toys import toy_avatar


@pytest.fixture(scope="module")
def avatar():
    return toy_avatar()  # five training frames


def test_one_code_for_all_frames(avatar):
    codes = avatar.latent_codes.detach()
    for choice, code in (("mean", codes.mean(dim=0)), ("zero", torch.zeros(4)), ("frame:3", codes[3])):
        torch.testing.assert_close(sequence_latents(avatar, choice, 2), code.expand(2, 4))


def test_a_walk_shows_every_training_code_in_turn(avatar):
    codes = avatar.latent_codes.detach()
    torch.testing.assert_close(sequence_latents(avatar, "walk", 7), torch.cat([codes, codes[:2]]))


def test_each_training_frame_has_its_own_code(avatar):
    rows = np.array([4, 0, 2])
    torch.testing.assert_close(sequence_latents(avatar, "per-frame", 3, rows), avatar.latent_codes.detach()[[4, 0, 2]])
    for wrong in (None, np.array([0, 1, 5])):
        with pytest.raises(UserError, match="--split train"):
            sequence_latents(avatar, "per-frame", 3, wrong)


def test_a_code_that_does_not_exist(avatar):
    with pytest.raises(UserError, match=r"'frame:5' is not known: use walk, per-frame, mean, zero, or frame:K"):
        sequence_latents(avatar, "frame:5", 3)
