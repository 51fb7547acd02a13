"""Training of the splat avatar: it learns one picture, gradients reach all they should, and nothing else moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerface.data import Dataset, load_dataset
from nerface.fields import build_avatar
from nerface.fields.splat import SplatAvatar
from nerface.training.begin import describe, make_optimizer
from nerface.training.corrections import FrameCorrections
from nerface.training.frames import FrameStore
from nerface.training.loop import training_step
from nerface.types import Condition
from tests.data.make import write_tiny_dataset
from tests.fields.splat_toys import batch_of, toy_splat_avatar, toy_splat_config, toy_splat_run
from tests.toys import toy_subject

FRAMES = [3, 0]


def only_first(dataset: Dataset, **more: object) -> Dataset:
    """The dataset with one training frame."""
    split = dataset.train
    parts = {name: None if value is None else value[:1] for name, value in vars(split).items()}
    return replace(dataset, splits={"train": replace(split, **parts)}, **more)


def fresh(dataset: Dataset, **settings: object) -> SplatAvatar:
    """An avatar as training begins with it."""
    torch.manual_seed(0)
    avatar = build_avatar(toy_splat_config(**settings), describe(dataset))
    assert isinstance(avatar, SplatAvatar)
    if dataset.background is not None:
        avatar.set_background(
            torch.from_numpy(np.array(dataset.background)), torch.from_numpy(np.array(dataset.background_unseen))
        )
    avatar.prepare(dataset, torch.Generator().manual_seed(0))
    return avatar


def learn(avatar: SplatAvatar, dataset: Dataset, steps: int, **training: object) -> None:
    settings = toy_splat_run(avatar.config, steps=steps, learning_rate=1e-2, decay_steps=steps, **training).training
    frames = FrameStore(dataset, avatar.device, masks=bool(settings.mask_penalty))
    corrections, optimizer = FrameCorrections(dataset, settings, avatar.device), make_optimizer(avatar, settings)
    for step in range(steps):
        training_step(avatar, optimizer, frames, corrections, settings, step)


def level(avatar: SplatAvatar, dataset: Dataset) -> float:
    """PSNR in dB of the first training frame, drawn as any other picture is."""
    frame = dataset.train[0]
    condition = Condition(torch.from_numpy(frame.expression.copy()), avatar.latent("frame:0"), avatar.plate())
    found = avatar.render(dataset.camera("train", 0), condition).colour.detach().cpu()
    return float(-10 * torch.log10((found - torch.from_numpy(frame.image) / 255).square().mean()))


@pytest.fixture
def person(tmp_path) -> Dataset:
    """A tiny person large enough that Gaussians are smaller than its head."""
    return load_dataset(write_tiny_dataset(tmp_path / "person", size=(40, 32)))


def test_fifty_steps_overfit_one_picture(person, device):
    dataset = only_first(person)
    free = {"motion_penalty": 0.0, "smoothness": 0.0}  # which are there against just this
    avatar = fresh(dataset, start=300, most=300, **free).to(device)
    before = level(avatar, dataset)
    learn(avatar, dataset, 50, frames=1)
    assert before > 12  # begun on the person, in its colours
    assert level(avatar, dataset) > before + 6
    assert level(avatar, dataset) > 26


def test_where_the_plate_was_never_seen_the_person_becomes_opaque(person):
    """Colours alone do not ask for it: the plate here is the very picture."""
    frame = person.train[0]
    inside = frame.mask > 127
    found = []
    for unseen in (np.zeros_like(inside), inside):
        dataset = only_first(person, background=frame.image, background_unseen=unseen)
        avatar = fresh(dataset, start=150, most=150)
        learn(avatar, dataset, 40, frames=1, mask_penalty=0.0)
        condition = Condition(torch.from_numpy(frame.expression.copy()), avatar.latent("frame:0"), avatar.plate())
        with torch.no_grad():
            opacity = avatar.render(dataset.camera("train", 0), condition).opacity
        found.append(float(opacity[torch.from_numpy(inside)].mean()))
    assert found[1] > 0.9
    assert found[0] < found[1] - 0.1


def corrected_avatar() -> SplatAvatar:
    return toy_splat_avatar(config=toy_splat_config(refine_poses=True, refine_colours=True))


def test_gradients_reach_the_poses_of_the_frames_in_use():
    avatar = corrected_avatar()
    batch = batch_of(avatar, FRAMES)
    (found,) = avatar.render_batch(batch, torch.Generator())
    (avatar.recorded(found.colour, batch.frames) - batch.target).square().mean().backward()
    for value in (avatar.pose_corrections, avatar.body_corrections, avatar.latent_codes, avatar.colour_corrections):
        assert torch.isfinite(value.grad).all()
        used = (value.grad != 0).any(dim=-1)
        assert used.nonzero().flatten().tolist() == sorted(FRAMES)
    for name, value in avatar.named_parameters():
        assert value.grad is None or torch.isfinite(value.grad).all(), name


@pytest.mark.parametrize("name", ["pose_corrections", "body_corrections", "latent_codes", "body.answer"])
def test_gradients_are_those_of_finite_differences(name):
    avatar = corrected_avatar().double()
    batch = batch_of(avatar, FRAMES, torch.float64)
    value = avatar.get_parameter(name)
    if name != "body.answer":
        value.data.mul_(0.1)

    def loss() -> torch.Tensor:
        (found,) = avatar.render_batch(batch, torch.Generator())
        return (found.colour - batch.target).square().mean()

    loss().backward()
    gradient, step = value.grad[0].clone(), 1e-6
    with torch.no_grad():
        for part in range(value.shape[1]):
            value[0, part] += step
            above = loss()
            value[0, part] -= 2 * step
            below = loss()
            value[0, part] += step
            assert float(gradient[part]) == pytest.approx(float(above - below) / (2 * step), rel=2e-2, abs=2e-5)
    assert gradient.abs().max() > 1e-4


def test_learning_rates_of_every_kind_of_parameter():
    """Every parameter is in one group, and means are moved far more slowly than colours."""
    avatar = toy_splat_avatar(config=toy_splat_config(background="trainable"))
    optimizer = make_optimizer(avatar, toy_splat_run().training)
    found = {id(value): group["rate"] for group in optimizer.param_groups for value in group["params"]}
    assert len(found) == sum(len(group["params"]) for group in optimizer.param_groups)
    assert set(found) == {id(value) for value in avatar.parameters() if value.numel()}
    assert found[id(avatar.gaussians.means)] < 0.1 * found[id(avatar.gaussians.colours)]


def test_rates_scale_the_run_s_rate(tiny_dataset):
    avatar = fresh(tiny_dataset)
    before = {name: value.detach().clone() for name, value in avatar.gaussians.named_parameters()}
    learn(avatar, tiny_dataset, 1, frames=2)
    # The first step of Adam is as long as the rate, for every parameter that has a gradient.
    moved = {name: (value - before[name]).detach().abs() for name, value in avatar.gaussians.named_parameters()}
    assert float(moved["means"].max() / moved["colours"].max()) == pytest.approx(0.02, rel=0.05)


def test_the_penalty_is_what_the_configuration_says():
    subject = toy_subject(width=24, height=20)
    only = {"motion_penalty": 0.0, "smoothness": 0.0, "size_penalty": 0.0, "body_penalty": 0.0}
    avatar = toy_splat_avatar(subject, config=toy_splat_config(**only))
    batch = batch_of(avatar, FRAMES)
    assert float(avatar.penalty(batch).detach()) == 0
    motion = toy_splat_avatar(subject, config=toy_splat_config(**{**only, "motion_penalty": 1.0}))
    before = float(motion.penalty(batch).detach())
    motion.gaussians.motions.data *= 2
    motion.gaussians.colour_motions.data *= 2
    assert float(motion.penalty(batch).detach()) == pytest.approx(4 * before)
    size = toy_splat_avatar(subject, config=toy_splat_config(**{**only, "size_penalty": 1.0}, largest=0.03))
    size.gaussians.log_sizes.data.fill_(float(np.log(0.03)) - 1e-4)
    assert float(size.penalty(batch).detach()) == 0
    size.gaussians.log_sizes.data += float(np.log(2.0))
    assert float(size.penalty(batch).detach()) == pytest.approx(np.log(2.0) ** 2, rel=1e-2)
    body = toy_splat_avatar(subject, config=toy_splat_config(**{**only, "body_penalty": 1.0}))
    before = float(body.penalty(batch).detach())
    body.body_corrections.data[1] += 1.0  # a frame that is not in the batch
    assert float(body.penalty(batch).detach()) == before
    body.body_corrections.data *= 3
    assert float(body.penalty(batch).detach()) == pytest.approx(9 * before, rel=1e-4)
