"""Corrections of single frames: what is learned, what is kept out, and what a dataset decides."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nerface.checkpoint import load_avatar
from nerface.data import load_dataset
from nerface.data.images import read_image, write_png
from nerface.training.begin import FRAMES_TO_REFINE, decided, make_optimizer
from nerface.training.corrections import (
    SHIFT_SIGMA,
    TURN_SIGMA,
    FrameCorrections,
    drift_basis,
    frame_times,
    habit_columns,
    spanned,
)
from nerface.training.frames import FrameStore
from nerface.training.loop import train, training_step
from tests.data.make import write_tiny_dataset
from tests.toys import AVATAR, avatar_for, toy_run

CPU = torch.device("cpu")


@pytest.fixture
def tracked(tmp_path):
    """A dataset whose poses were tracked."""
    return told(write_tiny_dataset(tmp_path / "tracked", frames=12), poses="estimated")


def told(folder, **keys):
    """The dataset with keys added to the head of every table."""
    for file in folder.glob("transforms_*.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))
    return load_dataset(folder)


def test_drift_is_what_changes_slowly():
    times = np.sort(np.random.default_rng(0).uniform(0, 20, 300))
    basis = drift_basis(times, period=8.0)
    assert np.allclose(basis.T @ basis, np.eye(basis.shape[1]))

    def left(signal):
        rest = signal - basis @ (basis.T @ signal)
        return np.linalg.norm(rest) / np.linalg.norm(signal)

    assert left(np.ones(300)) < 1e-9
    assert left(np.cos(np.pi * times / 20)) < 0.02  # half a wave over the clip
    assert left(np.sin(2 * np.pi * times / 16 + 1.0)) < 0.15
    assert left(np.sin(2 * np.pi * times / 2 + 1.0)) > 0.95
    assert left(np.random.default_rng(1).normal(size=300)) > 0.95


def test_a_short_or_single_moment_has_a_basis():
    assert drift_basis(np.zeros(3), 8.0).shape == (3, 1)
    assert drift_basis(np.array([0.0]), 8.0).shape == (1, 1)


def test_habits_of_the_tracker_are_spanned_but_not_what_single_frames_miss():
    random = np.random.default_rng(0)
    poses = np.repeat(np.eye(4)[None], 200, axis=0)
    turns = Rotation.from_rotvec(0.1 * random.normal(size=(200, 3)))
    poses[:, :3, :3] = turns.as_matrix()
    poses[:, :3, 3] = turns.apply([0.0, 0.0, 0.5]) + 0.01 * random.normal(size=(200, 3))
    expressions = random.normal(size=(200, 5)) * [1.0, 0.5, 0.2, 0.0, 0.1]
    basis = spanned(habit_columns(poses, expressions), most=50)
    assert np.allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-9)

    def left(signal):
        signal = signal - signal.mean()
        return np.linalg.norm(signal - basis @ (basis.T @ signal)) / np.linalg.norm(signal)

    assert left(turns.as_rotvec()[:, 1]) < 0.05  # an under-reported yaw
    assert left(expressions[:, 0]) < 1e-6  # a pose that leans on the jaw
    assert left(random.normal(size=200)) > 0.9
    assert habit_columns(poses[:1], expressions[:1]).shape == (1, 0)


def test_training_takes_the_common_part_out(tiny_dataset, tmp_path):
    avatar = replace(AVATAR, refine_poses=True)
    trained = train(tiny_dataset, tmp_path / "run", toy_run(avatar, corrections_start=2)).avatar
    twists = trained.pose_corrections.detach()
    assert float(twists.abs().max()) > 1e-3  # something was learned
    rules = FrameCorrections(tiny_dataset, toy_run().training, CPU)
    assert float((rules.drift.T @ twists).abs().max()) < 1e-6
    assert float(twists.mean(dim=0).abs().max()) < 1e-6
    line = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])
    assert line["pose_turn_deg"] > 0
    assert line["pose_shift"] > 0


def test_the_prior_is_one_at_a_usual_error(tiny_dataset):
    avatar = avatar_for(tiny_dataset, replace(AVATAR, refine_poses=True, refine_colours=True))
    rules = FrameCorrections(tiny_dataset, toy_run(pose_penalty=2.0, colour_penalty=0.5).training, CPU)
    frames = torch.tensor([0, 2])
    assert float(rules.penalty(avatar, frames).detach()) == 0
    avatar.pose_corrections.data[:] = torch.tensor([TURN_SIGMA] * 3 + [SHIFT_SIGMA] * 3)
    assert float(rules.penalty(avatar, frames).detach()) == pytest.approx(2.0)
    avatar.pose_corrections.data[:] = 0
    avatar.colour_corrections.data[0] = 0.02
    assert float(rules.penalty(avatar, frames).detach()) == pytest.approx(0.25)


def test_the_dataset_decides_unless_told(tracked, tmp_path):
    open_run = toy_run(replace(AVATAR, refine_poses=None, refine_colours=None))
    plain = load_dataset(write_tiny_dataset(tmp_path / "exact"))
    assert decided(open_run, plain).avatar == replace(AVATAR, refine_poses=False, refine_colours=False)
    assert decided(open_run, tracked).avatar.refine_poses is True
    assert decided(toy_run(AVATAR), tracked).avatar.refine_poses is False  # the user said no


def brightened(folder, gains):
    """The dataset with training frames multiplied by gains, and the gains stored as capture stores them."""
    file = folder / "transforms_train.json"
    value = json.loads(file.read_text())
    for frame, gain in zip(value["frames"], gains):
        path = next(folder.glob(f"{frame['file_path']}.*"))
        image = read_image(path) * np.array(gain)
        write_png(path, image.clip(0, 255).round().astype(np.uint8))
        frame["exposure"] = list(gain)
    file.write_text(json.dumps(value))
    return load_dataset(folder)


def test_gains_of_frames_begin_as_captured_and_stay_out_of_pictures(tmp_path):
    plain = load_dataset(write_tiny_dataset(tmp_path / "plain", frames=9))
    gains = 0.6 + 0.05 * np.arange(3 * len(plain.train)).reshape(-1, 3) % 0.4
    dataset = brightened(write_tiny_dataset(tmp_path / "bright", frames=9), gains.tolist())
    config = decided(toy_run(replace(AVATAR, refine_poses=None, refine_colours=None), steps=1), dataset)
    assert config.avatar.refine_colours is True
    trained = train(dataset, tmp_path / "run", config).avatar
    assert np.allclose(trained.colour_corrections.detach().exp(), gains, atol=1e-3)
    colour = torch.rand(8, 3)
    seen = trained.recorded(colour, torch.tensor([1, 3])).detach()
    assert torch.allclose(seen[:4], colour[:4] * torch.tensor(gains[1], dtype=torch.float32), atol=1e-3)
    assert torch.allclose(seen[4:], colour[4:] * torch.tensor(gains[3], dtype=torch.float32), atol=1e-3)


def test_wrong_gains_are_mended(tmp_path):
    """Half of the frames are darker than the dataset says: the pictures tell by how much."""
    folder = write_tiny_dataset(tmp_path / "person", frames=9)
    count = len(load_dataset(folder).train)
    gains = np.where(np.arange(count)[:, None] % 2, 0.7, 1.0) * np.ones(3)
    brightened(folder, gains.tolist())
    text = (folder / "transforms_train.json").read_text()
    value = json.loads(text)
    for frame in value["frames"]:
        frame["exposure"] = [1.0, 1.0, 1.0]
    (folder / "transforms_train.json").write_text(json.dumps(value))
    dataset = load_dataset(folder)
    run = toy_run(
        replace(AVATAR, refine_colours=True),
        steps=150,
        learning_rate=3e-3,
        colour_learning_rate=2.0,
        colour_penalty=0.0,
        corrections_start=0,
    )
    trained = train(dataset, tmp_path / "run", run).avatar
    learned = trained.colour_corrections.detach().exp().numpy()
    ratio = learned[1::2].mean(axis=0) / learned[::2].mean(axis=0)
    assert np.allclose(ratio, 0.7, atol=0.06)


def test_a_gain_of_nothing_is_refused(tmp_path):
    folder = write_tiny_dataset(tmp_path / "person")
    file = folder / "transforms_train.json"
    for wrong, words in (([1.0, 0.0, 1.0], "three gains above 0"), ([1.0, 1.0], "three gains above 0"), ("a", "array")):
        value = json.loads(file.read_text())
        value["frames"][0]["exposure"] = wrong
        file.write_text(json.dumps(value))
        with pytest.raises(Exception, match=words):
            load_dataset(folder)


def test_the_last_steps_go_on_exactly_with_corrections(tracked, tmp_path):
    config = toy_run(
        replace(AVATAR, refine_poses=True, refine_colours=True), steps=8, save_every=4, corrections_start=1
    )
    train(tracked, tmp_path / "whole", config)
    asked = iter([False] * 5 + [True])
    train(tracked, tmp_path / "part", config, stop=lambda: next(asked))
    train(tracked, tmp_path / "part", config, resume=True)
    whole, part = load_avatar(tmp_path / "whole").state_dict(), load_avatar(tmp_path / "part").state_dict()
    assert float(whole["pose_corrections"].abs().max()) > 0
    assert all(torch.equal(value, part[key]) for key, value in whole.items())


def test_only_frames_of_a_step_move(tiny_dataset):
    avatar = avatar_for(tiny_dataset, replace(AVATAR, refine_poses=True))
    settings = toy_run(corrections_start=0, frames=2, drift_period=1e9).training
    optimizer, rules = make_optimizer(avatar, settings), FrameCorrections(tiny_dataset, settings, CPU)
    rules.drift = torch.zeros_like(rules.drift)
    for step in range(3):
        before = avatar.pose_corrections.detach().clone()
        training_step(avatar, optimizer, FrameStore(tiny_dataset, CPU), rules, settings, step)
        assert int((avatar.pose_corrections != before).any(dim=-1).sum()) == 2


def test_the_number_of_frames_of_a_step(tiny_dataset, tracked):
    free = replace(toy_run().training, frames=None)
    run = replace(toy_run(replace(AVATAR, refine_poses=None)), training=free)
    assert decided(run, tiny_dataset).training.frames == 1
    assert decided(run, tracked).training.frames == FRAMES_TO_REFINE
    assert decided(toy_run(frames=3), tracked).training.frames == 3


def test_masks_hold_density_where_poses_were_tracked(tiny_dataset, tracked):
    run = toy_run(mask_penalty=None)
    assert decided(run, tiny_dataset).training.mask_penalty == 0.0
    assert decided(run, tracked).training.mask_penalty > 0
    assert decided(toy_run(mask_penalty=0.0), tracked).training.mask_penalty == 0.0


def test_gains_that_are_noise_are_left_alone(tmp_path):
    """A locked camera's gains differ by what coding does; white that was never filmed has none."""
    open_run = toy_run(replace(AVATAR, refine_colours=None))
    folder = write_tiny_dataset(tmp_path / "locked", frames=9)
    count = len(load_dataset(folder).train)
    value = json.loads((folder / "transforms_train.json").read_text())
    for frame, gain in zip(value["frames"], np.linspace(0.998, 1.002, count)):
        frame["exposure"] = [gain] * 3
    (folder / "transforms_train.json").write_text(json.dumps(value))
    assert decided(open_run, load_dataset(folder)).avatar.refine_colours is False
    gains = np.linspace(0.8, 1.0, 3 * count).reshape(-1, 3)
    varied = brightened(write_tiny_dataset(tmp_path / "varied", frames=9), gains.tolist())
    assert decided(open_run, varied).avatar.refine_colours is True
    white = replace(open_run, data=replace(open_run.data, white_background=True))
    assert decided(white, varied).avatar.refine_colours is False


def test_the_mean_of_gains_stays_as_captured(tmp_path):
    gains = np.tile([[0.9, 1.0, 1.1], [1.1, 1.0, 0.9]], (10, 1))
    dataset = brightened(write_tiny_dataset(tmp_path / "person", frames=9), gains.tolist())
    run = toy_run(replace(AVATAR, refine_colours=True), corrections_start=0, colour_learning_rate=1.0)
    learned = train(dataset, tmp_path / "run", run).avatar.colour_corrections.detach().numpy()
    assert np.abs(learned - np.log(dataset.train.exposures)).max() > 1e-3
    assert np.abs((learned - np.log(dataset.train.exposures)).mean(axis=0)).max() < 1e-5


def test_time_is_known_by_the_index_map(tmp_path):
    """NeRFace shuffles its training frames and stores no numbers of them: the map tells when each was taken."""
    folder = write_tiny_dataset(tmp_path / "person", frames=9)
    value = json.loads((folder / "transforms_train.json").read_text())
    for frame in value["frames"]:
        frame.pop("timestamp", None), frame.pop("source_frame", None)
    (folder / "transforms_train.json").write_text(json.dumps(value))
    count = len(value["frames"])
    order = np.random.default_rng(3).permutation(count)
    np.save(folder / "index_map.npy", np.stack([np.arange(count), order], axis=1).astype(np.float64))
    times = frame_times(load_dataset(folder))
    assert np.array_equal(np.argsort(times), order)
