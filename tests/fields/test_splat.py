"""The splat avatar: it learns, draws the same in training and out of it, and heeds its settings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerface.cameras import all_pixels
from nerface.data import Dataset, load_dataset
from nerface.errors import UserError
from nerface.fields import Avatar, Subject, build_avatar
from nerface.fields.base import PixelBatch
from nerface.fields.splat import BACKDROP_DEPTH, SplatAvatar
from nerface.training.begin import describe, make_optimizer
from nerface.training.corrections import FrameCorrections
from nerface.training.frames import FrameStore
from nerface.training.loop import training_step
from nerface.types import Camera, Condition
from tests.data.make import write_tiny_dataset
from tests.fields.splat_toys import toy_splat_avatar, toy_splat_config, toy_splat_run
from tests.toys import toy_subject

FRAMES = [3, 0]


def asked(avatar: SplatAvatar, seed: int = 0) -> tuple[Camera, Condition]:
    """The rest pose and a random condition before the avatar's own plate."""
    made = torch.Generator().manual_seed(seed)
    condition = Condition(
        torch.rand(len(avatar.expression_names), generator=made),
        torch.randn(avatar.latent_codes.shape[1], generator=made),
        avatar.plate(),
    )
    return Camera(avatar.subject.intrinsics, torch.tensor(avatar.subject.rest_pose)), condition


def picture(avatar: Avatar, camera: Camera, condition: Condition) -> torch.Tensor:
    with torch.no_grad():
        return avatar.render(camera, condition).colour


def turned(subject: Subject, frames: int) -> torch.Tensor:
    """Poses round the rest pose [F, 4, 4]."""
    poses = []
    for angle in torch.linspace(-0.2, 0.25, frames):
        turn = torch.eye(4)
        turn[0, 0] = turn[2, 2] = angle.cos()
        turn[0, 2], turn[2, 0] = angle.sin(), -angle.sin()
        poses.append(turn @ torch.tensor(subject.rest_pose))
    return torch.stack(poses)


def batch_of(avatar: SplatAvatar, frames: list[int], dtype: torch.dtype = torch.float32) -> PixelBatch:
    """Whole training frames, each with its own pose and expression, before the avatar's plate."""
    subject = avatar.subject
    inner, channels = subject.intrinsics, len(subject.expression_names)
    count = len(frames) * inner.width * inner.height
    expressions = torch.rand(subject.train_frames, channels, generator=torch.Generator().manual_seed(5))
    return PixelBatch(
        intrinsics=inner,
        frames=torch.tensor(frames),
        pixels=None,
        target=torch.rand(count, 3, generator=torch.Generator().manual_seed(4)).to(dtype),
        background=avatar.plate().flatten(0, 1).repeat(len(frames), 1).to(dtype),
        mask=None,
        camera_to_head=turned(subject, subject.train_frames)[frames].to(dtype),
        expression=expressions[frames].to(dtype),
    )


def drawn(avatar: SplatAvatar, batch: PixelBatch) -> torch.Tensor:
    """The batch's pictures [F, H, W, 3]."""
    with torch.no_grad():
        (found,) = avatar.render_batch(batch, torch.Generator())
    return found.colour.reshape(len(batch.frames), batch.intrinsics.height, batch.intrinsics.width, 3)


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
    found = picture(avatar, dataset.camera("train", 0), condition).cpu()
    return float(-10 * torch.log10((found - torch.from_numpy(frame.image) / 255).square().mean()))


@pytest.fixture
def person(tmp_path) -> Dataset:
    """A tiny person large enough that Gaussians are smaller than its head."""
    return load_dataset(write_tiny_dataset(tmp_path / "person", size=(40, 32)))


def test_fifty_steps_overfit_one_picture(person, device):
    dataset = only_first(person)
    avatar = fresh(dataset, start=300, most=300).to(device)
    before = level(avatar, dataset)
    learn(avatar, dataset, 50, frames=1)
    assert before > 12  # begun on the person, in its colours
    assert level(avatar, dataset) > before + 6
    assert level(avatar, dataset) > 26


def test_training_and_drawing_give_the_same_picture(device):
    avatar = toy_splat_avatar().to(device)
    avatar.body_corrections.data.zero_()  # which new frames have none of
    batch = batch_of(avatar, FRAMES)
    batch = replace(
        batch,
        **{
            name: getattr(batch, name).to(device)
            for name in ("frames", "target", "background", "camera_to_head", "expression")
        },
    )
    (trained,) = avatar.render_batch(batch, torch.Generator())
    shape = (2, avatar.subject.intrinsics.height, avatar.subject.intrinsics.width)
    whole = trained.reshape(*shape)
    for number, frame in enumerate(FRAMES):
        camera = Camera(avatar.subject.intrinsics, batch.camera_to_head[number])
        condition = Condition(batch.expression[number], avatar.latent(f"frame:{frame}"), avatar.plate())
        with torch.no_grad():
            single = avatar.render(camera, condition)
        assert torch.allclose(single.colour, whole.colour[number], atol=1e-5)
        assert torch.allclose(single.opacity, whole.opacity[number], atol=1e-5)
        assert torch.allclose(single.depth, whole.depth[number], atol=1e-5)
    assert not torch.allclose(whole.colour[0], whole.colour[1], atol=1e-2)


def test_a_picture_does_not_depend_on_its_batch():
    avatar = toy_splat_avatar()
    both, alone = batch_of(avatar, FRAMES), batch_of(avatar, FRAMES[:1])
    assert torch.allclose(drawn(avatar, both)[0], drawn(avatar, alone)[0], atol=1e-5)
    assert torch.allclose(drawn(avatar, both)[1], drawn(avatar, batch_of(avatar, [2, FRAMES[1], 1]))[1], atol=1e-5)


def test_chosen_pixels_are_those_of_the_whole_picture():
    avatar = toy_splat_avatar()
    camera, condition = asked(avatar)
    pixels = all_pixels(camera.intrinsics)[torch.randperm(480, generator=torch.Generator().manual_seed(0))[:50]]
    with torch.no_grad():
        whole, some = avatar.render(camera, condition), avatar.render(camera, condition, pixels)
    rows, columns = pixels.unbind(-1)
    assert whole.colour.shape == (20, 24, 3)
    assert torch.equal(some.colour, whole.colour[rows, columns])
    assert torch.equal(some.opacity, whole.opacity[rows, columns])
    assert torch.equal(some.depth, whole.depth[rows, columns])


def test_another_size_of_picture_shows_the_same():
    avatar = toy_splat_avatar()
    avatar.gaussians.log_sizes.data += 1.0  # large against the pixels of either size
    camera, condition = asked(avatar)
    condition = replace(condition, background=None)
    small = picture(avatar, camera, condition)
    large = picture(avatar, Camera(camera.intrinsics.resized(72, 60), camera.camera_to_head), condition)
    assert large.shape == (60, 72, 3)
    # Whole-number pixel centres: pixel (r, c) of the small one lies at (3 r, 3 c) of the large one.
    assert (large[::3, ::3] - small).abs().mean() < 0.02
    assert (large[::3, ::3] - small).abs().mean() < 0.2 * (small - small.mean()).abs().mean()


def test_what_does_not_fit_is_refused():
    avatar = toy_splat_avatar()
    camera, condition = asked(avatar)
    for wrong in (
        replace(condition, expression=torch.zeros(7)),
        replace(condition, latent=torch.zeros(5)),
        replace(condition, background=torch.zeros(4, 4, 3)),
    ):
        with pytest.raises(UserError):
            avatar.render(camera, wrong)


def test_the_plate_shows_through_by_what_is_left_of_the_light():
    avatar = toy_splat_avatar()
    camera, condition = asked(avatar)
    with torch.no_grad():
        over, nothing = avatar.render(camera, condition), avatar.render(camera, replace(condition, background=None))
    through = 1 - nothing.opacity
    assert torch.allclose(over.colour, nothing.colour + through[..., None] * condition.background, atol=1e-6)
    assert torch.equal(over.opacity, nothing.opacity)
    assert 0.05 < nothing.opacity.mean() < 0.95
    empty = nothing.opacity < 1e-6
    assert empty.any()
    assert torch.allclose(nothing.depth[empty], torch.tensor(BACKDROP_DEPTH))
    solid = nothing.opacity > 0.98
    assert (nothing.depth[solid] < 0.7).all()


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


@pytest.mark.parametrize(
    ("settings", "expression_counts", "latent_counts"),
    [
        ({}, True, True),
        ({"use_expression": False}, False, True),
        ({"use_latent": False}, True, False),
        ({"use_expression": False, "use_latent": False}, False, False),
    ],
    ids=["full", "no expression", "no latent", "no dynamics"],
)
def test_what_is_switched_off_changes_nothing(settings, expression_counts, latent_counts):
    avatar = toy_splat_avatar(config=toy_splat_config(**settings))
    camera, condition = asked(avatar)
    one = picture(avatar, camera, condition)
    other = picture(avatar, camera, replace(condition, expression=1 - condition.expression))
    third = picture(avatar, camera, replace(condition, latent=condition.latent + 1))
    assert torch.equal(one, other) != expression_counts
    assert torch.equal(one, third) != latent_counts
    batch = batch_of(avatar, FRAMES)
    trained = drawn(avatar, batch)
    assert torch.equal(trained, drawn(avatar, replace(batch, expression=1 - batch.expression))) != expression_counts
    avatar.latent_codes.data += 1
    assert torch.equal(trained, drawn(avatar, batch)) != latent_counts


def test_without_a_backdrop_no_plate_is_seen_in_training_or_after():
    avatar = toy_splat_avatar(config=toy_splat_config(background="none"))
    camera, condition = asked(avatar)
    assert not avatar.has_backdrop
    assert torch.equal(picture(avatar, camera, condition), picture(avatar, camera, replace(condition, background=None)))
    batch = batch_of(avatar, FRAMES)
    assert torch.equal(drawn(avatar, batch), drawn(avatar, replace(batch, background=None)))


def test_a_learned_backdrop_is_seen_and_learns():
    avatar = toy_splat_avatar(config=toy_splat_config(background="trainable"))
    batch = batch_of(avatar, FRAMES)
    assert torch.equal(drawn(avatar, batch), drawn(avatar, replace(batch, background=None)))
    (found,) = avatar.render_batch(batch, torch.Generator())
    found.colour.sum().backward()
    through = (1 - found.opacity.detach()).reshape(2, 20, 24).sum(dim=0)
    assert torch.allclose(avatar.trained_background.grad, through[..., None].expand(20, 24, 3), atol=1e-4)


@pytest.mark.parametrize("body", [True, False])
def test_turning_the_head_leaves_the_body_where_it_is(body):
    avatar = toy_splat_avatar(config=toy_splat_config(body=body, view_colours=False))
    if body:
        avatar.body.answer.data.zero_()
        avatar.gaussians.follow_logits.data.fill_(-20.0)
    camera, condition = asked(avatar)
    other = Camera(camera.intrinsics, turned(avatar.subject, 3)[0])
    same = torch.allclose(picture(avatar, camera, condition), picture(avatar, other, condition), atol=1e-4)
    assert same == body
    if body:  # told to stand as before another camera, it does not stand still before this one
        moved = picture(avatar, other, replace(condition, body_from=camera.camera_to_head))
        assert not torch.allclose(moved, picture(avatar, camera, condition), atol=1e-2)


def test_seen_from_elsewhere_changes_the_colours_alone():
    avatar = toy_splat_avatar()
    camera, condition = asked(avatar)
    elsewhere = turned(avatar.subject, 3)[0]
    with torch.no_grad():
        one, same, other = (
            avatar.render(camera, replace(condition, viewed_from=pose))
            for pose in (None, camera.camera_to_head, elsewhere)
        )
    assert torch.equal(one.colour, same.colour)
    assert torch.equal(one.opacity, other.opacity)
    assert (one.colour - other.colour).abs().max() > 1e-3


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
    only = {"motion_penalty": 0.0, "size_penalty": 0.0, "body_penalty": 0.0}
    avatar = toy_splat_avatar(subject, config=toy_splat_config(**only))
    batch = batch_of(avatar, FRAMES)
    assert float(avatar.penalty(batch)) == 0
    motion = toy_splat_avatar(subject, config=toy_splat_config(**{**only, "motion_penalty": 1.0}))
    before = float(motion.penalty(batch))
    motion.gaussians.motions.data *= 2
    motion.gaussians.colour_motions.data *= 2
    assert float(motion.penalty(batch)) == pytest.approx(4 * before)
    size = toy_splat_avatar(subject, config=toy_splat_config(**{**only, "size_penalty": 1.0}, largest=0.03))
    size.gaussians.log_sizes.data.fill_(float(np.log(0.03)) - 1e-4)
    assert float(size.penalty(batch)) == 0
    size.gaussians.log_sizes.data += float(np.log(2.0))
    assert float(size.penalty(batch)) == pytest.approx(np.log(2.0) ** 2, rel=1e-2)
    body = toy_splat_avatar(subject, config=toy_splat_config(**{**only, "body_penalty": 1.0}))
    before = float(body.penalty(batch))
    body.body_corrections.data[1] += 1.0  # a frame that is not in the batch
    assert float(body.penalty(batch)) == before
    body.body_corrections.data *= 3
    assert float(body.penalty(batch)) == pytest.approx(9 * before, rel=1e-4)
