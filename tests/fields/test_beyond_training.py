"""What a splat avatar does beyond what training saw: held back, and told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerface.driving.paths import head_turn
from nerface.fields.expression_reach import MARGIN, ExpressionReach
from nerface.fields.held_back import held_back
from nerface.fields.sight import sight_limits
from nerface.types import Camera, Condition
from tests.fields.splat_toys import toy_splat_avatar, toy_splat_config
from tests.toys import toy_avatar, toy_subject


def test_channels_are_told_with_the_worst_first():
    asked = np.array([[0.0, 2.0, 0.51], [0.0, 3.0, 0.5], [0.0, 0.5, -4.0]])
    shown = np.array([[0.0, 1.1, 0.50], [0.0, 1.2, 0.5], [0.0, 0.5, -0.5]])
    found = held_back(asked, shown, (0.0, 0.0, 0.0), (1.0, 1.0, 0.5))
    assert [(each.channel, each.asked, each.shown, each.frames) for each in found] == [
        (2, -4.0, -0.5, 1),  # seven times its range; a fiftieth in frame 0 is nothing to speak of
        (1, 3.0, 1.2, 2),
    ]


def test_a_splat_avatar_tells_what_it_does_not_follow():
    subject = toy_subject()
    avatar = toy_splat_avatar(subject)
    low, high = np.array(subject.expression_min), np.array(subject.expression_max)
    rows = np.tile((low + high) / 2, (3, 1)).astype(np.float32)
    assert avatar.held_back(rows) == ()
    rows[1:, 2] = high[2] + 2 * (high[2] - low[2])
    (only,) = avatar.held_back(rows)
    assert (only.channel, only.frames) == (2, 2)
    assert only.asked == pytest.approx(float(rows[1, 2]))
    assert high[2] < only.shown <= high[2] + 0.25 * (high[2] - low[2]) + 1e-5
    assert toy_splat_avatar(subject, config=toy_splat_config(use_expression=False)).held_back(rows) == ()
    assert toy_avatar(subject=subject).held_back(rows) == ()  # the paper's field takes what it is given


def test_expressions_far_outside_draw_the_same_picture():
    subject = toy_subject(width=24, height=20)
    avatar = toy_splat_avatar(subject)
    camera = Camera(subject.intrinsics, torch.tensor(subject.rest_pose))
    pictures = [
        avatar.render(camera, Condition(torch.tensor([0.1, value, 0.1]), avatar.latent("mean"))).colour
        for value in (1.0, 5.0, 100.0)
    ]
    assert torch.allclose(pictures[1], pictures[2], atol=1e-4)
    assert not torch.allclose(pictures[0], pictures[1], atol=1e-3)


def test_the_limits_of_sight_hold_every_seen_direction():
    seen = (-25.0, 40.0, -10.0, 30.0)
    low, high = sight_limits(seen)
    generator = np.random.default_rng(0)
    for yaw, pitch in zip(generator.uniform(-25, 40, 50), generator.uniform(-10, 30, 50)):
        place = head_turn(yaw, pitch)[:3, 2]
        x, y, z = np.sin(np.radians(yaw)) * np.cos(np.radians(pitch)), np.sin(np.radians(pitch)), float(place[2])
        place = torch.tensor([x, y, z])
        assert (place >= low - 1e-3).all()
        assert (place <= high + 1e-3).all()
    assert float(high[1]) == pytest.approx(0.5)  # the sine of 30 degrees
    assert float(low[1]) == pytest.approx(-np.sin(np.radians(10)))
    assert float(high[2]) == pytest.approx(1.0, abs=1e-3)
    assert torch.allclose(sight_limits((-180.0, 180.0, -90.0, 90.0)), torch.tensor([[-1.0], [1.0]]), atol=1e-6)


def test_colours_change_no_more_beyond_the_seen_angles():
    subject = replace(toy_subject(width=24, height=20), seen_angles=(-10.0, 10.0, 0.0, 0.0))
    avatar = toy_splat_avatar(subject)
    rest = torch.tensor(subject.rest_pose)
    rest[:3, 3] = torch.tensor([0.0, 0.0, 0.5])

    def colours(yaw):
        pose = head_turn(yaw, 0.0) @ rest
        camera = Camera(subject.intrinsics, pose)
        return avatar.condition_gaussians(camera, Condition(torch.zeros(3), avatar.latent("mean")))[1].colours

    assert torch.allclose(colours(10.0)[..., 0], colours(10.5)[..., 0], atol=2e-3)
    assert (colours(10.0) - colours(0.0)).abs().max() > 0.02
    # Only z, whose change from 10 degrees on is that of the cosine's limit, has nothing more to give either.
    assert torch.allclose(colours(20.0), colours(50.0), atol=1e-5)


def test_the_reach_keeps_what_training_saw_and_joins_channels():
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(400, 1, generator=generator)
    rows = torch.cat([common, common, torch.randn(400, 1, generator=generator)], dim=1)
    rows = rows + 0.05 * torch.randn(400, 3, generator=generator)  # channels 0 and 1 always move together
    reach = ExpressionReach(3, 3)
    assert torch.equal(reach(100 * rows), 100 * rows)  # nothing known of training yet
    reach.begin(rows)
    assert ((reach(rows) == rows).all(dim=1).float().mean() - 0.95).abs() < 0.01
    together, alone = reach(torch.tensor([[2.0, 2.0, 0.0], [2.0, -2.0, 0.0]]))
    assert torch.allclose(together, torch.tensor([2.0, 2.0, 0.0]))
    assert alone.norm() < 0.75 * 8**0.5
    assert alone[0] == pytest.approx(-float(alone[1]))  # drawn straight towards the mean
    far = reach(torch.tensor([[1e4, 0.0, 0.0]]))
    assert float((far @ reach.axes.T).norm() / reach.length) == pytest.approx(1 + MARGIN, abs=1e-3)


def test_the_reach_of_still_channels_is_finite():
    reach = ExpressionReach(4, 3)
    reach.begin(torch.zeros(10, 3))
    assert torch.isfinite(reach(torch.ones(2, 3))).all()
