"""Where a condition puts the Gaussians, and rows that move house with what the optimiser remembers of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.spatial.transform import Rotation

from nerface.fields.gaussian_set import START_OPACITY, GaussianSet, StartingPoints
from nerface.fields.splat_config import SplatConfig
from nerface.rendering.splatting import Gaussians
from tests.fields.splat_toys import toy_splat_config
from tests.rendering.splats import quaternion_matrices

COUNT, BASIS = 7, 3
STILL = torch.zeros(1, 3)  # seen from where it is seen at rest
BODY = (
    torch.from_numpy(Rotation.from_rotvec([[0.1, -0.3, 0.2], [0.0, 0.5, -0.1]]).as_matrix()).float(),
    torch.tensor([[0.02, -0.01, 0.03], [-0.04, 0.0, 0.01]]),
)


def gaussians_of(config: SplatConfig | None = None, *, follows: float | None = None, moves: bool = True) -> GaussianSet:
    """Gaussians of which every parameter is random; `follows` the head as told, `moves` False: maps of zero."""
    made = torch.Generator().manual_seed(5)
    parts = GaussianSet(config or toy_splat_config(basis=BASIS, moves_opacity=True), COUNT)
    for name, value in parts.named_parameters():
        value.data = torch.randn(value.shape, generator=made) * (1.0 if moves or "motions" not in name else 0.0)
    parts.means.data *= 0.1
    parts.colours.data = 0.3 + 0.3 * torch.rand(COUNT, 3, generator=made)
    parts.view_colours.data *= 0.05
    parts.colour_motions.data *= 0.05
    if follows is not None:
        parts.follow_logits.data.fill_(follows).logit_()
    return parts


def moved(parts: GaussianSet, weights: torch.Tensor, body=None, sight: torch.Tensor = STILL) -> Gaussians:
    found = parts.moved(weights, sight.expand(len(weights), 3), body)
    return Gaussians(**{name: value.detach() for name, value in vars(found).items()})


def covariances(gaussians: Gaussians) -> torch.Tensor:
    """R S S R^T of every Gaussian [F, N, 3, 3]."""
    spread = quaternion_matrices(gaussians.rotations) * gaussians.scales[:, None, :]
    return spread @ spread.mT


def test_weights_of_zero_give_the_resting_set():
    parts = gaussians_of()
    found = moved(parts, torch.zeros(2, BASIS))
    for frame in range(2):
        assert torch.allclose(found.means[frame], parts.means, atol=1e-7)
        assert torch.allclose(found.opacities[frame], torch.sigmoid(parts.opacity_logits))
        assert torch.allclose(found.colours[frame], parts.colours)
    assert torch.allclose(found.scales, parts.log_sizes.exp())
    turns = quaternion_matrices(found.rotations)
    assert torch.allclose(turns, quaternion_matrices(parts.turns).expand_as(turns), atol=1e-6)


def test_means_are_linear_in_small_weights():
    parts = gaussians_of(follows=1 - 1e-7)
    weights = 1e-2 * torch.eye(BASIS)
    rest = moved(parts, torch.zeros(1, BASIS)).means
    each = moved(parts, weights).means - rest
    assert torch.allclose(each, 1e-2 * parts.config.reach * parts.motions.detach().movedim(1, 0), atol=2e-6)
    both = moved(parts, (weights[0] + 2 * weights[1])[None]).means - rest
    assert torch.allclose(both[0], each[0] + 2 * each[1], atol=4e-6)
    assert each.abs().max() > 2e-4


def test_colours_and_opacity_logits_are_linear_in_weights():
    parts = gaussians_of(follows=1 - 1e-7)
    weights = torch.tensor([[0.5, -0.3, 0.2]])
    found = moved(parts, weights)
    colours = parts.colours + torch.einsum("fk,nkc->fnc", weights, parts.colour_motions)
    assert torch.allclose(found.colours, colours, atol=1e-6)
    logits = parts.opacity_logits + weights @ parts.opacity_motions.T
    assert torch.allclose(found.opacities.logit(), logits, atol=1e-3)


def test_no_mean_goes_beyond_its_reach():
    parts = gaussians_of(follows=1 - 1e-7)
    found = moved(parts, 1000 * torch.eye(BASIS))
    travel = (found.means - parts.means).abs()
    assert travel.max() <= parts.config.reach + 1e-6
    assert travel.max() > 0.99 * parts.config.reach


def test_colours_never_fall_below_black():
    parts = gaussians_of()
    found = moved(parts, -100 * torch.ones(1, BASIS))
    assert found.colours.min() == 0


def test_what_the_configuration_leaves_out_moves_nothing():
    off = toy_splat_config(basis=BASIS, moves_colour=False, moves_opacity=False, view_colours=False, body=False)
    parts = gaussians_of(off)
    found = moved(parts, torch.ones(2, BASIS), BODY, torch.tensor([[0.2, 0.1, -0.1]]))
    assert torch.allclose(found.colours, parts.colours.expand_as(found.colours))
    assert torch.allclose(found.opacities, torch.sigmoid(parts.opacity_logits).expand(2, -1))
    assert torch.allclose(found.means[0], moved(parts, torch.ones(1, BASIS)).means[0])
    assert parts.colour_motions.numel() == parts.opacity_motions.numel() == parts.follow_logits.numel() == 0


def test_colours_change_with_the_direction_of_sight_for_the_head_alone():
    sight, still = torch.tensor([[0.1, -0.2, 0.05], [0.0, 0.3, 0.1]]), torch.zeros(2, BASIS)
    head, body = gaussians_of(follows=1 - 1e-7), gaussians_of(follows=1e-7)
    wanted = head.colours + torch.einsum("fd,ncd->fnc", sight, head.view_colours)
    assert torch.allclose(moved(head, still, BODY, sight).colours, wanted.clamp(min=0), atol=1e-5)
    assert torch.allclose(moved(body, still, BODY, sight).colours, body.colours.expand(2, -1, -1), atol=1e-5)


def test_what_follows_the_body_stands_at_its_place_and_is_turned_with_it():
    parts = gaussians_of(follows=1e-7)
    rest, found = moved(parts, torch.zeros(2, BASIS)), moved(parts, torch.zeros(2, BASIS), BODY)
    rotation, shift = BODY
    assert torch.allclose(found.means, rest.means @ rotation.mT + shift[:, None], atol=1e-5)
    wanted = rotation[:, None] @ covariances(rest) @ rotation[:, None].mT
    assert torch.allclose(covariances(found), wanted, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(covariances(found), covariances(rest), rtol=1e-2, atol=1e-3)


def test_expressions_move_gaussians_as_far_as_they_follow_the_head():
    weights, still = torch.ones(1, BASIS), torch.zeros(1, BASIS)
    change = {}
    for follows in (1e-7, 0.25, 1 - 1e-7):
        parts = gaussians_of(follows=follows)
        rest, found = moved(parts, still), moved(parts, weights)
        change[follows] = (found.means - rest.means, found.colours - rest.colours)
    for none, quarter, whole in zip(*change.values()):
        assert none.abs().max() < 1e-6
        assert torch.allclose(quarter, 0.25 * whole, atol=1e-6)
        assert whole.abs().max() > 0.01


def test_expressions_move_before_the_body_does():
    parts = gaussians_of(follows=0.5)
    weights = torch.ones(2, BASIS)
    rotation, shift = BODY
    there = moved(parts, weights).means
    wanted = 0.5 * there + 0.5 * (there @ rotation.mT + shift[:, None])
    assert torch.allclose(moved(parts, weights, BODY).means, wanted, atol=1e-5)


def test_what_follows_the_head_does_not_move_with_the_body():
    parts = gaussians_of(follows=1 - 1e-7)
    rest, found = moved(parts, torch.zeros(2, BASIS)), moved(parts, torch.zeros(2, BASIS), BODY)
    assert torch.allclose(found.means, rest.means, atol=1e-5)
    assert torch.allclose(covariances(found), covariances(rest), rtol=1e-4, atol=1e-5)


def test_between_head_and_body_a_gaussian_goes_part_of_the_way():
    parts = gaussians_of(follows=0.25)
    rest, found = moved(parts, torch.zeros(2, BASIS)), moved(parts, torch.zeros(2, BASIS), BODY)
    whole = moved(gaussians_of(follows=1e-7), torch.zeros(2, BASIS), BODY)
    assert torch.allclose(found.means - rest.means, 0.75 * (whole.means - rest.means), atol=1e-5)
    # Turned by about three quarters of the body's angle.
    angles = []
    for gaussians in (found, whole):
        turns = quaternion_matrices(gaussians.rotations) @ quaternion_matrices(rest.rotations).mT
        angles.append(Rotation.from_matrix(turns.reshape(-1, 3, 3).numpy()).magnitude())
    assert angles[0] == pytest.approx(0.75 * angles[1], rel=0.03)


def test_the_first_gaussians_are_round_and_move_by_nothing():
    made = torch.Generator().manual_seed(1)
    points = StartingPoints(
        places=torch.randn(9, 3, generator=made),
        colours=torch.rand(9, 3, generator=made),
        sizes=0.01 + 0.02 * torch.rand(9, generator=made),
        follows=torch.linspace(0.05, 0.95, 9),
    )
    parts = gaussians_of()
    parts.begin(points)
    assert len(parts) == 9
    found = moved(parts, torch.ones(2, BASIS), sight=torch.tensor([[0.3, 0.0, -0.1]]))
    assert torch.allclose(found.means, points.places.expand(2, -1, -1))
    assert torch.allclose(found.colours, points.colours.expand(2, -1, -1))
    assert torch.allclose(found.scales, points.sizes[:, None].expand(9, 3))
    assert torch.allclose(found.opacities, torch.full((2, 9), START_OPACITY))
    assert torch.allclose(parts.follows(), points.follows)
    assert torch.allclose(covariances(found)[0, 3], points.sizes[3] ** 2 * torch.eye(3), atol=1e-8)


def with_memory(parts: GaussianSet, kind: str = "Adam", **settings: float) -> torch.optim.Optimizer:
    """An optimiser that has seen two steps, different for every row."""
    groups = [{"params": [value], "rate": 2.0} for value in parts.parameters() if value.numel()]
    optimizer = getattr(torch.optim, kind)(groups, lr=1e-3, **settings)
    for step in range(2):
        optimizer.zero_grad()
        slopes = [step + torch.arange(value.numel()).reshape(value.shape) for value in parts.parameters()]
        sum((value * slope).sum() for value, slope in zip(parts.parameters(), slopes)).backward()
        optimizer.step()
    return optimizer


def test_selected_rows_take_their_memory_along():
    parts = gaussians_of()
    optimizer = with_memory(parts)
    before = {name: value.detach().clone() for name, value in parts.named_parameters()}
    memory = {
        name: {key: value.clone() for key, value in optimizer.state[parameter].items()}
        for name, parameter in parts.named_parameters()
    }
    rows = torch.tensor([5, 0, 2, 2])
    parts.select(rows, optimizer)
    assert len(parts) == 4
    held = {id(value) for group in optimizer.param_groups for value in group["params"]}
    assert len(optimizer.state) == len(memory)
    for name, value in parts.named_parameters():
        assert torch.equal(value.detach(), before[name][rows]), name
        assert id(value) in held
        for key in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(optimizer.state[value][key], memory[name][key][rows])
            assert not torch.equal(memory[name][key][rows][0], memory[name][key][rows][1])
        assert optimizer.state[value]["step"] == memory[name]["step"]
    assert all(group["rate"] == 2.0 for group in optimizer.param_groups)


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "RAdam", "NAdam", "Adamax", "Adagrad", "RMSprop", "SGD"])
def test_every_optimiser_steps_on_after_a_selection(kind):
    parts = gaussians_of()
    optimizer = with_memory(parts, kind)
    parts.select(torch.tensor([1, 1, 4, 6, 0]), optimizer)
    before = parts.means.detach().clone()
    optimizer.zero_grad()
    parts.means.sum().backward()
    optimizer.step()
    assert (parts.means != before).all()


def test_room_for_another_number_of_gaussians():
    parts = gaussians_of()
    parts.resize(3)
    assert len(parts) == 3
    other = GaussianSet(parts.config, 3)
    assert {name: value.shape for name, value in parts.named_parameters()} == {
        name: value.shape for name, value in other.named_parameters()
    }


def test_the_reach_is_the_configuration_s():
    config = toy_splat_config(basis=BASIS)
    near, far = (gaussians_of(replace(config, reach=reach)) for reach in (0.01, 0.02))
    weights = torch.tensor([[0.3, 0.2, -0.1]])
    travel = [(moved(parts, weights).means - parts.means).detach() for parts in (near, far)]
    assert torch.allclose(2 * travel[0], travel[1], atol=1e-6)
