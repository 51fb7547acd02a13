"""Runs of the splat field: stopped and gone on exactly, through growth; small files; other fields' files refused."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import safetensors
import torch

from nerface.checkpoint import TrainingState, checkpoints, load_avatar, load_checkpoint, save_checkpoint
from nerface.config import RunConfig
from nerface.errors import UserError
from nerface.fields import splat_growth
from nerface.fields.splat import SplatAvatar
from nerface.presets import preset
from nerface.switches import SWITCHES, switched
from nerface.training.begin import decided
from nerface.training.log import read_log
from nerface.training.loop import train
from nerface.types import Camera, Condition
from tests.fields.splat_toys import toy_splat_avatar, toy_splat_config, toy_splat_run
from tests.toys import toy_run

STEPS = 24
GROWING = toy_splat_config(start=20, most=40, grow_every=4, grow_share=0.7)  # at steps 4, 8, 12, 16
STATE = TrainingState(17, 3.25)


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Growth from the fourth step on: the real start is at hundreds."""
    monkeypatch.setattr(splat_growth, "GROW_FROM", 4)


def growing_run(**training: object) -> RunConfig:
    whole = {"steps": STEPS, "learning_rate": 1e-2, "log_every": 6, "validate_every": 12, "save_every": 5}
    return toy_splat_run(GROWING, **{**whole, **training})


def stopping_at(steps: int):
    asked = count()
    return lambda: next(asked) >= steps


def curve(run: Path) -> list[dict[str, float]]:
    return [{name: value for name, value in line.items() if name != "seconds"} for line in read_log(run)]


def same_runs(one: Path, other: Path) -> None:
    """The same log, weights, memory of growth and optimiser, to the last bit."""
    assert curve(one) == curve(other)
    first, second = (load_checkpoint(next(checkpoints(run))) for run in (one, other))
    for whole, part in (
        (first.avatar.state_dict(), second.avatar.state_dict()),
        (first.optimizer, second.optimizer),
        (load_avatar(one).state_dict(), load_avatar(other).state_dict()),
    ):
        assert whole.keys() == part.keys()
        assert all(torch.equal(value, part[name]) for name, value in whole.items())


# Before growth, right after it, between two growths, at the last step of growth and behind it; and all in one run.
@pytest.mark.parametrize("stops", [[3], [4], [10], [16], [19], [1, 4, 6, 8, 13, 21]], ids=str)
def test_a_stopped_run_goes_on_exactly_through_growth(stops, tiny_dataset, tmp_path):
    whole = train(tiny_dataset, tmp_path / "whole", growing_run())
    assert len(whole.avatar.gaussians) > 35
    done = 0
    for stop in stops:
        resume = done > 0
        train(tiny_dataset, tmp_path / "run", growing_run(), resume=resume, stop=stopping_at(stop - done))
        done = stop
    train(tiny_dataset, tmp_path / "run", growing_run(), resume=True)
    same_runs(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("name", ["AdamW", "NAdam", "Adagrad", "SGD"])
def test_other_optimisers_go_on_exactly_too(name, tiny_dataset, tmp_path):
    config = growing_run(optimizer=name)
    train(tiny_dataset, tmp_path / "whole", config)
    train(tiny_dataset, tmp_path / "run", config, stop=stopping_at(10))
    train(tiny_dataset, tmp_path / "run", config, resume=True)
    same_runs(tmp_path / "whole", tmp_path / "run")


def test_equal_seeds_give_equal_runs(tiny_dataset, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tiny_dataset, tmp_path / name, growing_run(seed=seed))
    same_runs(tmp_path / "a", tmp_path / "b")
    assert curve(tmp_path / "a") != curve(tmp_path / "c")


def test_a_run_begins_from_another_one_s_checkpoint(tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "whole", growing_run())
    train(tiny_dataset, tmp_path / "first", growing_run(), stop=stopping_at(10))
    start = load_checkpoint(next(checkpoints(tmp_path / "first")))
    second = train(tiny_dataset, tmp_path / "second", growing_run(), start=start).avatar.state_dict()
    wanted = load_checkpoint(next(checkpoints(tmp_path / "whole"))).avatar.state_dict()
    assert all(torch.equal(value, second[name]) for name, value in wanted.items())


def test_a_run_begins_from_an_avatar_file(tiny_dataset, tmp_path):
    """Without an optimiser, without what growth remembers, in half precision: training goes on and goes well."""
    train(tiny_dataset, tmp_path / "first", growing_run())
    start = load_checkpoint(tmp_path / "first" / "avatar.safetensors")
    more = replace(start.config, training=replace(start.config.training, steps=2 * STEPS))
    train(tiny_dataset, tmp_path / "second", more, start=start)
    before, after = (
        [line["loss"] for line in read_log(tmp_path / name) if "loss" in line] for name in ("first", "second")
    )
    assert after[-1] < before[0]
    assert after[0] < 1.1 * before[-1]


def test_training_on_from_an_avatar_file_knows_neighbours_again(tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "first", growing_run())
    whole = load_checkpoint(next(checkpoints(tmp_path / "first"))).avatar
    start = load_checkpoint(tmp_path / "first" / "avatar.safetensors")
    settings = replace(start.config.training, steps=STEPS + 1)
    train(tiny_dataset, tmp_path / "second", replace(start.config, training=settings), start=start)
    count = len(whole.gaussians)
    assert (start.avatar.neighbours.near != torch.arange(count)[:, None]).all()


def test_poses_are_corrected_in_runs_too(tiny_dataset, tmp_path):
    config = growing_run(corrections_start=0, frames=4, drift_period=1e9)
    config = replace(config, avatar=replace(config.avatar, refine_poses=True, refine_colours=True))
    avatar = train(tiny_dataset, tmp_path / "run", config).avatar
    assert (avatar.pose_corrections.detach().abs().amax(dim=0) > 0).all()
    assert (avatar.colour_corrections.detach().abs().amax(dim=0) > 0).all()
    assert "pose_turn_deg" in read_log(tmp_path / "run")[0]


def tensors_of(file: Path) -> dict[str, torch.Tensor]:
    with safetensors.safe_open(str(file), framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a mapping)


def drawn(avatar: SplatAvatar) -> torch.Tensor:
    subject = avatar.subject
    camera = Camera(subject.intrinsics, torch.tensor(subject.rest_pose))
    condition = Condition(torch.tensor(subject.expression_max), avatar.latent("mean"), avatar.plate())
    with torch.no_grad():
        return avatar.render(camera, condition).colour


def test_an_avatar_file_is_small_and_draws_the_same(tmp_path):
    avatar = toy_splat_avatar()
    avatar.growth.place_gradients += 1.0
    save_checkpoint(tmp_path / "a.safetensors", avatar, toy_splat_run(), STATE)
    stored = tensors_of(tmp_path / "a.safetensors")
    wanted = avatar.state_dict()
    for name, value in stored.items():
        own = name.removeprefix("model.")
        assert not own.startswith("growth.")
        half = own.startswith("gaussians.") and own != "gaussians.means"
        assert value.dtype == (torch.float16 if half else wanted[own].dtype), name
    loaded = load_avatar(tmp_path / "a.safetensors")
    assert isinstance(loaded, SplatAvatar)
    assert all(value.dtype != torch.float16 for value in loaded.state_dict().values())
    assert torch.equal(loaded.gaussians.means, avatar.gaussians.means)
    difference = (drawn(loaded) - drawn(avatar)).abs().max()
    assert 0 < difference < 2 / 255


def test_saving_what_was_loaded_gives_the_same_file(tmp_path):
    save_checkpoint(tmp_path / "a.safetensors", toy_splat_avatar(), toy_splat_run(), STATE)
    loaded = load_checkpoint(tmp_path / "a.safetensors")
    save_checkpoint(tmp_path / "b.safetensors", loaded.avatar, loaded.config, loaded.state)
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()


def test_a_checkpoint_is_bitwise_and_of_any_number_of_gaussians(tiny_dataset, tmp_path):
    result = train(tiny_dataset, tmp_path / "run", growing_run(), stop=stopping_at(10))
    stored = load_checkpoint(next(checkpoints(tmp_path / "run")))
    assert 20 < len(stored.avatar.gaussians) < 40
    wanted = result.avatar.state_dict()
    assert stored.avatar.state_dict().keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in stored.avatar.state_dict().items())
    assert (stored.avatar.growth.place_gradients > 0).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("model.gaussians.turns"), "weights do not fit .*turns"),
        (lambda tensors: tensors.pop("model.gaussians.means"), "weights do not fit"),
        (lambda tensors: tensors.update({"model.gaussians.means": torch.zeros(3, 3)}), "weights do not fit"),
        (lambda tensors: tensors.update({"model.gaussians.means": torch.zeros(())}), "weights do not fit"),
        (lambda tensors: tensors.update({"model.more": torch.zeros(1)}), "weights do not fit .*more"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(change, message, tmp_path):
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, toy_splat_avatar(), toy_splat_run(), STATE)
    with safetensors.safe_open(str(path), framework="pt") as opened:
        meta = opened.metadata()
    tensors = tensors_of(path)
    change(tensors)
    safetensors.torch.save_file(tensors, str(path), metadata=meta)
    with pytest.raises(UserError, match=message) as fault:
        load_checkpoint(path)
    assert "\n" not in str(fault.value)
    assert str(path) in str(fault.value)


def test_another_field_s_run_is_refused(tiny_dataset, tmp_path):
    splat, paper = growing_run(), toy_run()
    for first, second in ((splat, paper), (paper, splat)):
        kinds = [config.preset for config in (first, second)]
        run, other = tmp_path / f"{kinds[0]}_run", tmp_path / f"{kinds[0]}_other"
        train(tiny_dataset, run, first, stop=stopping_at(2))
        with pytest.raises(UserError, match=f"kind {kinds[0]}, now {kinds[1]}") as resumed:
            train(tiny_dataset, run, second, resume=True)
        start = load_checkpoint(next(checkpoints(run)))
        with pytest.raises(UserError, match=f"of another field .*kind {kinds[0]}, now {kinds[1]}") as begun:
            train(tiny_dataset, other, second, start=start)
        assert "\n" not in str(resumed.value) + str(begun.value)
        assert not (other / "config.json").exists()


def test_settings_of_a_run_hold_the_kind(tiny_dataset, tmp_path):
    train(tiny_dataset, tmp_path / "run", growing_run(steps=1))
    stored = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert stored["avatar"]["kind"] == "splat"
    assert stored["training"]["rays"] is None


MEANINGLESS = ("paper_box", "paper_layers", "no_directions", "seed_directions")


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_works_or_says_why_not(name, tiny_dataset, tmp_path):
    if name in MEANINGLESS:
        with pytest.raises(UserError, match=f"the switch {name} is not for the field splat") as fault:
            switched(growing_run(), [name])
        assert "\n" not in str(fault.value)
        return
    config = switched(growing_run(steps=2), [name])
    if name != "white_background":  # which changes the pictures as they are read
        assert train(tiny_dataset, tmp_path / "run", config).finished
    assert (config == growing_run(steps=2)) == (name in ("full", "given_poses", "given_colours"))


@pytest.mark.parametrize("name", ["splat", "splat_tiny"])
def test_what_the_presets_leave_to_the_dataset(name, tiny_dataset):
    """Corrections where poses were tracked; the frames of a step stay the preset's, whatever `rays` is not."""
    config = preset(name)
    assert config.avatar.refine_poses is None
    plain = decided(config, replace(tiny_dataset, poses_estimated=False))
    tracked = decided(config, replace(tiny_dataset, poses_estimated=True))
    assert (plain.avatar.refine_poses, tracked.avatar.refine_poses) == (False, True)
    assert plain.avatar.refine_colours is False
    for found in (plain, tracked):
        assert found.training == config.training
        assert found.training.rays is None
        assert replace(found.avatar, refine_poses=None, refine_colours=None) == config.avatar
    open_frames = replace(config, training=replace(config.training, frames=None, mask_penalty=None))
    assert decided(open_frames, replace(tiny_dataset, poses_estimated=True)).training.frames == 8
    assert decided(open_frames, replace(tiny_dataset, poses_estimated=False)).training.frames == 1
    assert decided(open_frames, replace(tiny_dataset, poses_estimated=False)).training.mask_penalty == 0
