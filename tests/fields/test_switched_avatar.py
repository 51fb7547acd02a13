"""The avatar's switches: what the fields are fed, what lies behind the person, where they believe to be seen from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nerface.cameras import all_pixels, pixel_directions, to_head_space
from nerface.fields import PaperAvatar
from nerface.types import Camera, Condition
from tests.toys import AVATAR, toy_avatar, toy_subject

SOLID = replace(AVATAR, sampling=replace(AVATAR.sampling, density="softplus"))


def asked(avatar: PaperAvatar, seed: int = 0) -> tuple[Camera, Condition]:
    made = torch.Generator().manual_seed(seed)
    subject = avatar.subject
    condition = Condition(
        torch.randn(len(subject.expression_names), generator=made),
        torch.randn(avatar.latent_codes.shape[1], generator=made),
        avatar.plate(),
    )
    return Camera(subject.intrinsics, torch.tensor(subject.rest_pose)), condition


def picture(avatar: PaperAvatar, camera: Camera, condition: Condition) -> torch.Tensor:
    with torch.no_grad():
        return avatar.render(camera, condition).colour


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
    avatar = toy_avatar(replace(SOLID, **settings))
    camera, condition = asked(avatar)
    one = picture(avatar, camera, condition)
    other = picture(avatar, camera, replace(condition, expression=condition.expression + 1))
    third = picture(avatar, camera, replace(condition, latent=condition.latent + 1))
    assert torch.equal(one, other) != expression_counts
    assert torch.equal(one, third) != latent_counts


def test_expression_inputs():
    subject = toy_subject()
    expression, latent = torch.tensor([[0.3, -0.6, 0.9]]), torch.zeros(1, 4)
    rows = {kind: toy_avatar(replace(AVATAR, expression_input=kind)) for kind in ("divided", "standardised", "raw")}
    found = {kind: avatar.condition_rows(expression, latent)[0, :3] for kind, avatar in rows.items()}
    assert torch.allclose(found["divided"], torch.tensor([0.1, -0.2, 0.3]))
    assert torch.allclose(found["raw"], expression[0])
    spread = (expression[0] - torch.tensor(subject.expression_mean)) / torch.tensor(subject.expression_std)
    assert torch.allclose(found["standardised"], spread)


def test_the_accidental_direction():
    """Spec 0.1: the third component of the un-normalised head-space direction, near and far."""
    avatar = toy_avatar(replace(AVATAR, direction="z_near_far"))
    camera, _ = asked(avatar)
    pixels = all_pixels(camera.intrinsics)
    _, directions = to_head_space(pixel_directions(camera.intrinsics, *pixels.unbind(-1)), camera.camera_to_head)
    told = avatar.view_input(directions)
    assert torch.equal(told[:, 0], directions[:, 2])
    assert torch.equal(told[:, 1:], torch.tensor([0.2, 0.8]).expand(len(pixels), 2))
    straight = toy_avatar().view_input(directions)
    assert torch.allclose(straight.norm(dim=-1), torch.ones(len(pixels)))


def test_seen_from_elsewhere_changes_the_direction_alone():
    """The picture stays where it is (opacity, which knows no direction); colours are those of the other side."""
    avatar = toy_avatar(SOLID)
    camera, condition = asked(avatar)
    turned = camera.camera_to_head.clone()
    turned[:3, :3] = torch.tensor([[0.8, 0.0, 0.6], [0.0, 1.0, 0.0], [-0.6, 0.0, 0.8]])
    with torch.no_grad():
        one = avatar.render(camera, condition)
        other = avatar.render(camera, replace(condition, viewed_from=turned))
        same = avatar.render(camera, replace(condition, viewed_from=camera.camera_to_head))
    assert torch.equal(one.colour, same.colour)
    assert not torch.allclose(one.colour, other.colour, atol=1e-5)
    assert torch.allclose(one.opacity, other.opacity, atol=1e-6)


def test_without_a_background_the_last_sample_keeps_its_colour():
    avatar = toy_avatar(replace(SOLID, background="none"))
    camera, condition = asked(avatar)
    assert torch.equal(picture(avatar, camera, condition), picture(avatar, camera, replace(condition, background=None)))
    with_plate = toy_avatar(SOLID)
    assert torch.equal(
        picture(avatar, camera, condition), picture(with_plate, camera, replace(condition, background=None))
    )


def test_a_learned_background_is_the_plate():
    avatar = toy_avatar(replace(SOLID, background="trainable"))
    height, width = avatar.background.shape[:2]
    avatar.trained_background.data = torch.rand(height, width, 3)
    assert torch.equal(avatar.plate(), avatar.trained_background.detach())
    assert "trained_background" in avatar.state_dict()
    assert "trained_background" not in toy_avatar().state_dict()


def test_the_size_of_the_chunks_changes_nothing_but_memory():
    avatar = toy_avatar(SOLID)
    camera, condition = asked(avatar)
    whole = picture(avatar, camera, condition)
    avatar.chunk_samples = 24
    assert torch.allclose(picture(avatar, camera, condition), whole, atol=1e-6)


def test_pictures_are_drawn_with_their_own_numbers_of_samples():
    more = replace(SOLID.sampling, drawn_coarse=24, drawn_fine=16)
    avatar, plain = toy_avatar(replace(SOLID, sampling=more)), toy_avatar(SOLID)
    asked_for = asked(avatar)
    assert not torch.allclose(picture(avatar, *asked_for), picture(plain, *asked_for), atol=1e-5)
    trained_so = toy_avatar(replace(SOLID, sampling=replace(SOLID.sampling, coarse=24, fine=16)))
    assert torch.equal(picture(avatar, *asked_for), picture(trained_so, *asked_for))


def test_a_query_is_what_the_renderer_sees():
    """A dense ray composited by hand from queries is the pixel that `render` draws."""
    dense = replace(AVATAR.sampling, density="softplus", coarse=400, fine=0)
    avatar = toy_avatar(replace(AVATAR, sampling=dense))
    camera, condition = asked(avatar)
    pixel = torch.tensor([[4, 6]])
    origin, direction = to_head_space(
        pixel_directions(camera.intrinsics, pixel[:, 0], pixel[:, 1]), camera.camera_to_head
    )
    depths = torch.linspace(0.2, 0.8, 400)
    with torch.no_grad():
        sigma, rgb = avatar.query(origin + depths[:, None] * direction, condition, direction.expand(400, 3))
        found = avatar.render(camera, condition, pixel)
    thickness = sigma[:-1] * (0.6 / 399) * direction.norm()
    light = torch.exp(-torch.cat([torch.zeros(1), thickness.cumsum(0)]))
    colour = ((light[:-1] - light[1:])[:, None] * rgb[:-1]).sum(0) + light[-1] * condition.background[4, 6]
    assert torch.allclose(found.colour[0], colour, atol=1e-4)
    points = (origin + 0.5 * direction).requires_grad_()
    avatar.query(points, condition)[0].sum().backward()
    assert float(points.grad.norm()) > 0
