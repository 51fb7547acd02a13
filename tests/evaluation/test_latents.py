"""With which latent code an evaluation draws a frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerface.errors import UserError
from nerface.evaluation import EvaluationOptions, evaluate
from nerface.evaluation.latents import resolve_latent
from tests.evaluation.fakes import FakeAvatar

CODES = 33  # of the fixture's training frames
HELD_OUT = 17  # the val frame: no code of its own


def plate_only(dataset):
    return FakeAvatar(dataset, lambda camera, condition: condition.background)


def drawn_with(captured, folder, **options):
    avatar = plate_only(captured)
    evaluate(avatar, captured, folder, EvaluationOptions(video=False, save_images=False, **options))
    return avatar, [condition.latent for condition in avatar.asked]


def test_a_frame_of_the_video_by_the_index_map(captured):
    assert resolve_latent("mean", captured, CODES) == "mean"
    assert resolve_latent("video:10", captured, CODES) == "frame:10"
    assert resolve_latent("video:20", captured, CODES) == "frame:19"
    for wrong in (f"video:{HELD_OUT}", "video:99", "video:x", "video:"):
        with pytest.raises(UserError, match="video"):
            resolve_latent(wrong, captured, CODES)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("mean", lambda codes: codes.mean(dim=0)),
        ("zero", lambda codes: torch.zeros(3)),
        ("frame:4", lambda codes: codes[4]),
        ("video:20", lambda codes: codes[19]),
    ],
)
def test_one_code_for_all_frames(captured, tmp_path, choice, expected):
    avatar, latents = drawn_with(captured, tmp_path / "eval", latent=choice, frames=2)
    assert len(latents) == 2
    assert all(torch.equal(latent, expected(avatar.latent_codes)) for latent in latents)


def test_per_frame_codes_of_training_frames(captured, tmp_path):
    avatar, latents = drawn_with(captured, tmp_path / "eval", latent="per-frame", split="train", frames=5)
    assert torch.equal(torch.stack(latents), avatar.latent_codes[:5])


@pytest.mark.parametrize("split", ["val", "test"])
def test_frames_without_codes_of_their_own_name_the_way_out(captured, tmp_path, split):
    options = EvaluationOptions(split=split, latent="per-frame")
    with pytest.raises(UserError, match=f"'{split}' have no codes of their own; use mean, zero, frame:K or video:K"):
        evaluate(plate_only(captured), captured, tmp_path / "eval", options)
    assert not (tmp_path / "eval").exists()


def test_per_frame_codes_need_the_dataset_of_the_training(captured, tmp_path):
    avatar = plate_only(captured)
    avatar.latent_codes = torch.nn.Parameter(avatar.latent_codes[:20])
    with pytest.raises(UserError, match="33 training frames, the avatar 20 codes"):
        evaluate(avatar, captured, tmp_path / "eval", EvaluationOptions(split="train", latent="per-frame"))


def test_unknown_codes_leave_no_folder(captured, tmp_path):
    for wrong in ("frame:99", "mode", "frame:"):
        with pytest.raises(UserError, match="not known"):
            evaluate(plate_only(captured), captured, tmp_path / "eval", EvaluationOptions(latent=wrong))
    assert not (tmp_path / "eval").exists()


def test_an_index_map_of_the_wrong_length_is_told_where_it_matters(captured, tmp_path):
    """Of another dataset, cut short or too long: its rows would name the wrong codes."""
    whole = captured.index_map
    longer = np.concatenate([whole, [[34, 33]]])
    for wrong, count in ((whole[:12], 12), (longer, 34)):
        dataset = replace(captured, index_map=wrong)
        with pytest.raises(UserError, match=f"lists {count} training frames, the avatar has 33 latent codes"):
            resolve_latent("video:10", dataset, CODES)
        _, latents = drawn_with(dataset, tmp_path / str(count), latent="frame:10", frames=1)  # not looked at
        assert len(latents) == 1


def test_an_index_map_that_points_outside_the_train_split(captured):
    damaged = captured.index_map.copy()
    damaged[10, 1] = 40
    dataset = replace(captured, index_map=damaged)
    with pytest.raises(UserError, match="leads to row 40 of the train split, the avatar has codes 0 to 32"):
        resolve_latent("video:10", dataset, CODES)
    assert resolve_latent("video:11", dataset, CODES) == "frame:11"
    with pytest.raises(UserError, match=r"index_map.npy, which is missing"):
        resolve_latent("video:10", replace(captured, index_map=None), CODES)


def test_an_index_map_that_knows_a_frame_twice(captured):
    twice = captured.index_map.copy()
    twice[11, 0] = 10
    with pytest.raises(UserError, match="leads to row 10, 11"):
        resolve_latent("video:10", replace(captured, index_map=twice), CODES)
