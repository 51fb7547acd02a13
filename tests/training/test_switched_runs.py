"""Runs with the paper's and the released code's switches: what each learns, and what it leaves alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from nerface.cameras import project
from nerface.checkpoint import load_avatar, load_checkpoint
from nerface.config import OPTIMIZERS, DataConfig, RunConfig
from nerface.data import Dataset, load_dataset
from nerface.errors import UserError
from nerface.fields.pose_correction import corrected
from nerface.switches import switched
from nerface.training import begin
from nerface.training.begin import load_for
from nerface.training.log import read_log
from nerface.training.loop import TrainingResult, train
from nerface.types import Camera, Condition, Intrinsics
from tests.data.make import write_tiny_dataset
from tests.toys import AVATAR, toy_run

SOLID = replace(AVATAR, sampling=replace(AVATAR.sampling, density="softplus"))


def learnt_plate(run: Path, dataset: Dataset) -> float:
    """Mean absolute error of a run's learned plate where no head ever is, in [0, 1]."""
    plate = load_avatar(run).plate().numpy()
    never = np.asarray(dataset.train.masks).max(axis=0) == 0
    return float(np.abs(plate - dataset.background / 255.0)[never].mean())


@pytest.mark.parametrize("factor", [0.0, 1.0], ids=["trainable", "supervised"])
def test_a_known_background_is_learned(factor, tmp_path, monkeypatch):
    """F13: from grey to the plate that is in every picture beside the head, supervised or not."""
    dataset = load_dataset(write_tiny_dataset(tmp_path / "person"))
    monkeypatch.setattr(begin, "best_still_image", lambda split: np.full(split.images.shape[1:], 128, dtype=np.uint8))
    config = switched(toy_run(steps=150, rays=256, learning_rate=2e-2, log_every=150), ["trainable_background"])
    config = replace(config, training=replace(config.training, background_penalty=factor))
    train(dataset, tmp_path / "short", replace(config, training=replace(config.training, steps=1)))
    train(dataset, tmp_path / "long", config)
    assert learnt_plate(tmp_path / "short", dataset) > 0.1
    assert learnt_plate(tmp_path / "long", dataset) < 0.03
    assert any("bg_loss" in line for line in read_log(tmp_path / "long")) == (factor > 0)


def test_the_learned_background_begins_as_the_mean_picture(tiny_dataset, tmp_path):
    config = switched(toy_run(steps=1, learning_rate=1e-9), ["trainable_background"])
    plate = train(tiny_dataset, tmp_path / "run", config).avatar.plate()
    mean = np.asarray(tiny_dataset.train.images, dtype=np.float64).mean(axis=0) / 255
    assert np.abs(plate.numpy() - mean).max() < 0.51 / 255


def test_without_a_background_the_field_paints_it(tmp_path):
    """F14: trains and renders, also on a dataset that has no plate at all."""
    folder = write_tiny_dataset(tmp_path / "person")
    (folder / "bg" / "00050.png").unlink()
    with pytest.raises(UserError, match="00050"):
        load_for(toy_run(), folder)
    field = replace(AVATAR.coarse, width=32, position_frequencies=6)
    avatar = replace(SOLID, coarse=field, fine=field, sampling=replace(SOLID.sampling, coarse=12, fine=12))
    config = switched(toy_run(avatar, steps=150, rays=256, frames=4, learning_rate=1e-2), ["no_background"])
    dataset = load_for(config, folder)
    assert dataset.background is None
    short = replace(config, training=replace(config.training, steps=1))
    before = backdrop_error(train(dataset, tmp_path / "short", short), dataset)
    assert backdrop_error(train(dataset, tmp_path / "long", config), dataset) < 0.6 * before


def backdrop_error(result: TrainingResult, dataset: Dataset) -> float:
    """Mean absolute error of a held-out frame's top rows, which show backdrop alone."""
    frame = dataset.splits["val"][0]
    condition = Condition(torch.from_numpy(frame.expression.copy()), result.avatar.latent("mean"))
    with torch.no_grad():
        drawn = result.avatar.render(dataset.camera("val", 0), condition).colour.numpy()
    return float(np.abs(drawn - frame.image / 255.0)[:2].mean())


def test_switched_off_codes_stay_zero_and_only_codes_in_use_move(tiny_dataset, tmp_path):
    off = train(tiny_dataset, tmp_path / "off", switched(toy_run(SOLID, steps=5), ["no_latent"])).avatar
    assert torch.equal(off.latent_codes, torch.zeros_like(off.latent_codes))
    one = train(tiny_dataset, tmp_path / "one", toy_run(SOLID, steps=1, frames=1)).avatar
    assert int((one.latent_codes != 0).any(dim=-1).sum()) == 1


def test_half_of_the_training_frames(tmp_path):
    folder = write_tiny_dataset(tmp_path / "person", frames=14)
    dataset = load_for(switched(toy_run(), ["half_data"]), folder)
    whole = load_dataset(folder)
    assert (len(whole.train), len(dataset.train)) == (11, 6)
    assert dataset.train.source_frames.tolist() == whole.train.source_frames[:6].tolist()
    assert len(dataset.splits["test"]) == len(whole.splits["test"])
    known = dataset.index_map[dataset.index_map[:, 1] >= 0]
    assert [int(dataset.train.source_frames[row]) for _, row in known] == known[:, 0].tolist()
    assert len(load_for(switched(toy_run(), ["quarter_data"]), folder).train) == 3


def test_a_share_is_taken_in_time_where_the_split_is_shuffled(tmp_path):
    """The seed writes training pictures in a random order; the index map knows when each was taken."""
    folder = write_tiny_dataset(tmp_path / "person", frames=14)
    whole = load_dataset(folder)
    order = np.random.default_rng(0).permutation(11)
    shuffle(folder, order)
    dataset = load_dataset(folder, train_share=0.5)
    taken = set(dataset.train.source_frames.tolist())
    assert taken == set(whole.train.source_frames[:6].tolist())
    assert dataset.train.source_frames.tolist() != sorted(taken)  # the stored order is kept
    known = dataset.index_map[dataset.index_map[:, 1] >= 0]
    assert [int(dataset.train.source_frames[row]) for _, row in known] == known[:, 0].tolist()


def shuffle(folder: Path, order: np.ndarray) -> None:
    file = folder / "transforms_train.json"
    value = json.loads(file.read_text())
    value["frames"] = [value["frames"][row] for row in order]
    file.write_text(json.dumps(value))
    index_map = np.load(folder / "index_map.npy")
    place = np.argsort(order)
    index_map[:, 1] = [place[int(row)] if row >= 0 else -1 for row in index_map[:, 1]]
    np.save(folder / "index_map.npy", index_map)


@pytest.mark.parametrize("transparent", [False, True], ids=["masks", "alpha"])
def test_the_person_on_white(transparent, tmp_path):
    """F15: by person masks, or by the transparency of the pictures."""
    folder = write_tiny_dataset(tmp_path / "person")
    whole = load_dataset(folder)
    if transparent:
        for row in range(len(whole.train)):
            picture = cv2.cvtColor(whole.train[row].image, cv2.COLOR_RGB2BGRA)
            picture[:, :, 3] = whole.train[row].mask
            cv2.imwrite(str(folder / f"train/f_{row:04d}.png"), picture)
    dataset = load_dataset(folder, white_background=True)
    assert int(dataset.background.min()) == 255
    for frame, plain in zip(dataset.train, whole.train):
        assert bool((frame.image[plain.mask == 0] == 255).all())
        assert np.array_equal(frame.image[plain.mask == 255], plain.image[plain.mask == 255])
    again = load_dataset(folder) if not transparent else None  # the two readings do not share a cache
    assert again is None or np.array_equal(again.train[0].image, whole.train[0].image)


def test_white_needs_to_know_the_person(tmp_path):
    folder = write_tiny_dataset(tmp_path / "person")
    for file in folder.glob("transforms_*.json"):
        file.write_text(file.read_text().replace("mask_path", "other_path"))
    with pytest.raises(UserError, match="neither transparency nor a person mask"):
        load_dataset(folder, white_background=True)


def test_poses_are_refined_towards_the_truth(tmp_path):
    """One camera of seven stands wrong: its correction brings the head back to where the other frames have it."""
    folder, wrong = write_tiny_dataset(tmp_path / "person", frames=10, size=(32, 28)), 2
    truth = load_dataset(folder).train.camera_to_head
    file = folder / "transforms_train.json"
    value = json.loads(file.read_text())
    value["frames"][wrong]["transform_matrix"][0][3] += 0.03
    file.write_text(json.dumps(value))
    dataset = load_dataset(folder)
    field = replace(AVATAR.coarse, width=32, direction_frequencies=0)
    sampling = replace(SOLID.sampling, near=0.35, far=0.65, coarse=16, fine=8)
    avatar = replace(AVATAR, coarse=field, fine=field, sampling=sampling, use_latent=False, refine_poses=True)
    config = toy_run(
        avatar,
        steps=200,
        rays=512,
        frames=4,
        learning_rate=1e-2,
        pose_learning_rate=0.5,
        corrections_start=0,
        drift_period=1e9,
    )
    trained = train(dataset, tmp_path / "run", config).avatar
    learned = corrected(torch.from_numpy(dataset.train.camera_to_head), trained.pose_corrections.detach())
    before, after = columns(dataset.train.camera_to_head, truth), columns(learned.numpy(), truth)
    assert abs(before[wrong] - np.median(before)) > 2.5  # pixels
    assert abs(after[wrong] - np.median(after)) < 0.5 * abs(before[wrong] - np.median(before))
    stored = load_checkpoint(tmp_path / "run" / "avatar.safetensors").avatar
    assert torch.equal(stored.pose_corrections, trained.pose_corrections)


def columns(poses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """By how many pixels the front of the head lies to the right of where it is in truth."""
    inner = Intrinsics(1.6 * 32, 1.5 * 32, 0.48, 0.53, 32, 28)
    front, places = torch.tensor([[0.0, 0.0, 0.09]]), []
    for pose, true_pose in zip(poses, truth):
        both = [project(Camera(inner, torch.from_numpy(one.copy())), front) for one in (pose, true_pose)]
        places.append(float(both[0][0, 0] - both[1][0, 0]))
    return np.array(places)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_goes_on_exactly(name, tiny_dataset, tmp_path):
    config = toy_run(SOLID, steps=6, optimizer=name, save_every=3)
    train(tiny_dataset, tmp_path / "whole", config)
    asked = iter([False] * 3 + [True])
    train(tiny_dataset, tmp_path / "part", config, stop=lambda: next(asked))
    train(tiny_dataset, tmp_path / "part", config, resume=True)
    whole, part = load_avatar(tmp_path / "whole").state_dict(), load_avatar(tmp_path / "part").state_dict()
    assert all(torch.equal(value, part[key]) for key, value in whole.items())


def test_a_run_can_begin_from_a_checkpoint(tiny_dataset, tmp_path):
    """Six steps, then six more in another run from that checkpoint: the twelve of one run."""
    train(tiny_dataset, tmp_path / "whole", toy_run(SOLID, steps=12))
    train(tiny_dataset, tmp_path / "first", toy_run(SOLID, steps=6))
    start = load_checkpoint(next((tmp_path / "first" / "checkpoints").glob("*06.safetensors")))
    second = train(tiny_dataset, tmp_path / "second", toy_run(SOLID, steps=12), start=start).avatar.state_dict()
    whole = load_avatar(tmp_path / "whole").state_dict()
    assert all(torch.equal(value, second[key]) for key, value in whole.items())
    other = RunConfig("paper", AVATAR, toy_run().training)
    with pytest.raises(UserError, match="another field"):
        train(tiny_dataset, tmp_path / "third", other, start=start)
    fewer = load_dataset(write_tiny_dataset(tmp_path / "more", frames=9))
    with pytest.raises(UserError, match="4 training frames"):
        train(fewer, tmp_path / "fourth", toy_run(SOLID), start=start)


def test_data_settings_that_cannot_be():
    for setting, message in (({"test_skip": 0}, "test_skip"), ({"train_share": 0.0}, "train_share")):
        with pytest.raises(ValueError, match=message):
            DataConfig(**setting)
