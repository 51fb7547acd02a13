"""Gaussians multiply where pictures ask for it, to the number wanted, and a split hardly shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.spatial.transform import Rotation

from nerface.config import OPTIMIZERS
from nerface.fields import splat_growth
from nerface.fields.gaussian_set import GaussianSet
from nerface.fields.splat import SplatAvatar
from nerface.fields.splat_config import SplatConfig
from nerface.fields.splat_growth import TOO_LARGE, Growth, rotation_columns
from nerface.rendering.splatting import rasterise
from nerface.types import Camera, Condition
from tests.fields.splat_toys import toy_splat_avatar, toy_splat_config

STEPS = 40
LARGEST = 0.03


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Growth from the fourth step on: the real start is at hundreds."""
    monkeypatch.setattr(splat_growth, "GROW_FROM", 4)


def growing(start: int = 10, most: int = 22, **settings: float) -> SplatConfig:
    return toy_splat_config(start=start, most=most, grow_every=4, grow_share=0.5, largest=LARGEST, **settings)


class Set:
    """Random Gaussians with an optimiser, and steps that pull on them as told."""

    def __init__(self, config: SplatConfig, optimizer: str = "Adam") -> None:
        made = torch.Generator().manual_seed(2)
        self.config, self.parts, self.growth = config, GaussianSet(config, config.start), Growth(config.start)
        for value in self.parts.parameters():
            value.data = torch.randn(value.shape, generator=made)
        self.parts.log_sizes.data = torch.log(0.01 + 0.01 * torch.rand(config.start, 3, generator=made))
        self.optimizer = getattr(torch.optim, optimizer)([{"params": [v]} for v in self.parts.parameters()], lr=1e-9)

    def step(self, step: int, places: torch.Tensor | None = None, motions: torch.Tensor | None = None) -> None:
        """One step with gradients of these sizes on the moved means and on the motions, one number a Gaussian."""
        count = len(self.parts)
        places = torch.ones(count) if places is None else places
        motions = torch.ones(count) if motions is None else motions
        means = self.parts.means.expand(2, -1, -1) + 0
        self.growth.watch(means)
        rest = sum(value.sum() for value in self.parts.parameters())
        pull = (means * places[:, None]).sum() + (self.parts.motions * motions[:, None, None]).sum()
        self.optimizer.zero_grad()
        (pull + 0 * rest).backward()
        self.optimizer.step()
        self.growth.after_step(self.parts, self.optimizer, self.config, step, STEPS)


def test_the_wanted_number_is_reached_and_never_passed():
    made, counts = Set(growing()), []
    for step in range(STEPS):
        made.step(step)
        counts.append(len(made.parts))
    # A fifth of the way at steps 4, 8, .. 20, which is half of the run; then no more.
    assert counts == [10] * 7 + [13] * 4 + [16] * 4 + [19] * 4 + [22] * 21


def test_the_wanted_number_is_reached_where_steps_do_not_come_out_even():
    made = Set(replace(growing(), grow_every=3))
    for step in range(STEPS):
        made.step(step)
    assert len(made.parts) == 22


def test_no_gaussian_is_split_twice_at_once():
    made, counts = Set(growing(start=10, most=100)), []
    for step in range(20):
        made.step(step)
        counts.append(len(made.parts))
    assert counts[3::4] == [10, 20, 40, 78, 100]  # wanted: 10, 32, 55, 78, 100


@pytest.mark.parametrize("by", ["places", "motions"])
def test_the_gaussian_with_the_largest_gradients_is_split(by):
    made = Set(growing(start=10, most=14))
    before, sizes = made.parts.means.detach().clone(), made.parts.log_sizes.detach().clone()
    pull = torch.ones(10)
    pull[6] = 50.0
    for step in range(8):
        made.step(step, **{by: pull})
    assert len(made.parts) == 11
    after = made.parts.means.detach()
    same = torch.arange(10) != 6
    assert torch.allclose(after[:10][same], before[same], atol=1e-6)
    assert torch.allclose((after[6] + after[10]) / 2, before[6], atol=1e-6)
    apart = (after[6] - after[10]).norm()
    assert 0.3 * sizes[6].exp().max() < apart < 3 * sizes[6].exp().max()
    assert (made.parts.log_sizes[6] < sizes[6]).all()
    assert torch.equal(made.parts.log_sizes[6], made.parts.log_sizes[10])


def test_gradients_are_those_since_the_last_split():
    """What pulled before a split says nothing of the next."""
    made = Set(growing(start=10, most=14))
    for step in range(12):
        pull = torch.ones(len(made.parts))
        pull[3 if step < 8 else 5] = 50.0
        before = made.parts.means.detach().clone()
        made.step(step, places=pull)
    moved = (made.parts.means.detach()[: len(before)] - before).norm(dim=-1) > 1e-4
    assert moved.nonzero().flatten().tolist() == [5]


def test_a_split_moves_the_halves_along_the_longest_axis():
    made = Set(growing(start=10, most=14))
    made.parts.log_sizes.data[4] = torch.log(torch.tensor([0.004, 0.02, 0.004]))
    turn = Rotation.from_rotvec([0.3, 0.8, -0.4])
    made.parts.turns.data[4] = 2.5 * torch.from_numpy(turn.as_quat()[[3, 0, 1, 2]]).float()
    pull = torch.ones(10)
    pull[4] = 50.0
    for step in range(8):
        made.step(step, places=pull)
    apart = (made.parts.means[4] - made.parts.means[10]).detach()
    along = torch.from_numpy(turn.as_matrix()[:, 1]).float()
    assert float((apart @ along).abs() / apart.norm()) == pytest.approx(1.0, abs=1e-5)


def test_axes_of_turned_gaussians():
    turns = Rotation.from_rotvec([[0.3, -0.8, 0.4], [1.0, 2.0, -1.0], [0.0, 0.0, 0.0]])
    quaternions = torch.from_numpy(turns.as_quat()[:, [3, 0, 1, 2]]) * torch.tensor([[3.0], [0.2], [1.0]])
    for axis in range(3):
        found = rotation_columns(quaternions, torch.full((3,), axis))
        assert torch.allclose(found, torch.from_numpy(turns.as_matrix()[:, :, axis]), atol=1e-6)


def test_transparent_and_oversized_gaussians_are_taken_out():
    made = Set(growing(start=10, most=22, least_opacity=0.05))
    made.parts.opacity_logits.data = torch.linspace(0.0, 1.0, 10)
    made.parts.opacity_logits.data[3] = torch.tensor(0.04).logit()
    made.parts.log_sizes.data[5, 1] = float(torch.tensor(1.01 * TOO_LARGE * LARGEST).log())
    made.parts.log_sizes.data[7, 0] = float(torch.tensor(0.99 * TOO_LARGE * LARGEST).log())
    gone = made.parts.means.detach()[[3, 5]]
    kept = made.parts.means.detach()[7]
    pull = torch.ones(10)
    pull[[3, 5]] = 100.0
    pull[7] = 0.0
    for step in range(4):
        made.step(step, places=pull)
    assert len(made.parts) == 10  # the number wanted, from splits of others
    distances = torch.cdist(gone, made.parts.means.detach())
    assert distances.min() > 0.05
    assert torch.cdist(kept[None], made.parts.means.detach()).min() < 1e-6


def view(avatar: SplatAvatar) -> torch.Tensor:
    camera = Camera(avatar.subject.intrinsics.resized(96, 80), torch.tensor(avatar.subject.rest_pose))
    channels = len(avatar.expression_names)
    condition = Condition(torch.full((channels,), 0.3), avatar.latent("mean"))
    with torch.no_grad():
        pose, gaussians = avatar.condition_gaussians(camera, condition)
        drawn = rasterise(gaussians, pose, camera.intrinsics)
    return torch.cat([drawn.colour[0], drawn.opacity[0, ..., None]], dim=-1)


def test_a_split_keeps_the_picture_nearly_unchanged():
    avatar = toy_splat_avatar(config=toy_splat_config(start=50, most=60, grow_every=4, largest=0.1, least_opacity=0.0))
    avatar.gaussians.log_sizes.data -= 0.3
    optimizer = torch.optim.Adam(avatar.parameters(), lr=1e-3)
    before = view(avatar)
    avatar.growth.place_gradients += torch.rand(50, generator=torch.Generator().manual_seed(0))
    chosen = avatar.growth.place_gradients.topk(10).indices
    avatar.adapt(optimizer, torch.Generator(), 11, 24)  # all ten that are still to come
    assert len(avatar.gaussians) == 60
    change = (view(avatar) - before).abs().mean()
    # Measured against what these Gaussians are in the picture at all.
    with torch.no_grad():
        avatar.gaussians.opacity_logits[50:] = -20.0
        avatar.gaussians.opacity_logits[chosen] = -20.0
    assert 0 < change < 0.35 * (view(avatar) - before).abs().mean()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_training_goes_on_with_the_new_gaussians(kind):
    made = Set(growing(), kind)
    old = list(made.parts.parameters())
    for step in range(8):
        made.step(step)
    assert len(made.parts) == 13
    groups = [value for group in made.optimizer.param_groups for value in group["params"]]
    assert {id(value) for value in groups} == {id(value) for value in made.parts.parameters()}
    assert not {id(value) for value in old} & {id(value) for value in groups}
    assert set(made.optimizer.state) <= set(groups)
    for group in made.optimizer.param_groups:
        group["lr"] = 0.1
    before = made.parts.means.detach().clone()
    made.step(8)
    assert (made.parts.means != before).all()


def test_the_optimiser_remembers_nothing_of_new_gaussians():
    made = Set(growing(start=10, most=14))
    for step in range(8):
        made.step(step)
    for value in made.parts.parameters():
        if value.numel():
            for key in ("exp_avg", "exp_avg_sq"):
                assert (made.optimizer.state[value][key][10:] == 0).all()
    remembered = made.optimizer.state[made.parts.means]["exp_avg"]
    assert remembered.shape == (11, 3)
    assert (remembered[:10] != 0).all()


def test_outside_training_nothing_is_watched():
    made = Set(growing())
    with torch.no_grad():
        made.growth.watch(made.parts.means.expand(2, -1, -1) + 0)
    made.growth.after_step(made.parts, made.optimizer, made.config, 0, STEPS)
    assert (made.growth.place_gradients == 0).all()
    assert len(made.growth.place_gradients) == 10
