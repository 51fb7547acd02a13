"""The splat avatar: it learns, draws the same in training and out of it, and heeds its settings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nerface.cameras import all_pixels
from nerface.errors import UserError
from nerface.fields import Avatar, body_frame, gaussian_set
from nerface.fields.base import PixelBatch
from nerface.fields.splat import BACKDROP_DEPTH, SplatAvatar
from nerface.rendering import splatting_projection
from nerface.types import Camera, Condition
from tests.fields.splat_toys import batch_of, toy_splat_avatar, toy_splat_config, turned

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


def drawn(avatar: SplatAvatar, batch: PixelBatch) -> torch.Tensor:
    """The batch's pictures [F, H, W, 3]."""
    with torch.no_grad():
        (found,) = avatar.render_batch(batch, torch.Generator())
    return found.colour.reshape(len(batch.frames), batch.intrinsics.height, batch.intrinsics.width, 3)


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


def test_training_goes_on_after_pictures_in_inference_mode():
    for kept in (gaussian_set._product_form, body_frame._constant, splatting_projection._view_constants):
        kept.cache_clear()
    avatar = toy_splat_avatar()
    camera, condition = asked(avatar)
    with torch.inference_mode():
        avatar.render(camera, condition)
    (found,) = avatar.render_batch(batch_of(avatar, FRAMES), torch.Generator())
    found.colour.sum().backward()
    assert avatar.gaussians.turns.grad.abs().max() > 0
