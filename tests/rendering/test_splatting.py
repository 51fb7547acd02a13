"""The torch rasteriser of Gaussians: closed forms, a loop over Gaussians, exact gradients, conventions, errors."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from nerface.cameras import project
from nerface.rendering import splatting_reference
from nerface.rendering.splatting import Gaussians, Splatted, rasterise
from nerface.types import Camera, Intrinsics
from tests.rendering.splats import camera, cloud, converted, looped, poses

FRONT = torch.eye(4, dtype=torch.float64)[None]  # at the origin, looking along -z


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def balls(centres: list[list[float]], scale: float, opacities: list[float], colours: list[list[float]]) -> Gaussians:
    """Round Gaussians of one size, for one picture."""
    count = len(centres)
    return Gaussians(
        torch.tensor([centres], dtype=torch.float64),
        torch.tensor([[[1.0, 0, 0, 0]] * count], dtype=torch.float64),
        torch.full((count, 3), scale, dtype=torch.float64),
        torch.tensor([opacities], dtype=torch.float64),
        torch.tensor([colours], dtype=torch.float64),
    )


def values(splatted: Splatted) -> torch.Tensor:
    return torch.cat([splatted.colour, splatted.opacity[..., None], splatted.depth[..., None]], dim=-1)


def test_one_round_gaussian_at_chosen_pixels(device):
    # On the axis the image of a ball of deviation s at distance d is a disc of variance (f s / d)^2 + 0.3.
    inner = Intrinsics(100.0, 80.0, 0.5, 0.25, 40, 32)  # the axis meets pixel column 20, row 8
    ball = balls([[0.0, 0.0, -0.5]], 0.02, [0.7], [[0.9, 0.1]])
    drawn = rasterise(converted(ball, device=device), FRONT.to(device), inner, "torch")
    across, down = (100 * 0.02 / 0.5) ** 2 + 0.3, (80 * 0.02 / 0.5) ** 2 + 0.3
    for column, row in ((20, 8), (24, 8), (20, 13), (15, 4), (29, 9)):
        alpha = 0.7 * math.exp(-0.5 * ((column - 20) ** 2 / across + (row - 8) ** 2 / down))
        assert float(drawn.opacity[0, row, column]) == pytest.approx(alpha, rel=1e-9)
        assert drawn.colour[0, row, column].tolist() == pytest.approx([0.9 * alpha, 0.1 * alpha], rel=1e-9)
        assert float(drawn.depth[0, row, column]) == pytest.approx(0.5 * alpha, rel=1e-9)
    # exp(-power) < 1/255/0.7 beyond 3.22 deviations: skipped, not faint.
    assert float(drawn.opacity[0, 8, 20 + math.ceil(3.23 * math.sqrt(across))]) == 0
    assert float(drawn.opacity[0, 8, 20 + math.floor(3.20 * math.sqrt(across))]) > 1 / 255


def test_it_appears_where_the_camera_projects_its_centre():
    generator = seeded(2)
    inner, pose = camera(48), poses(1, generator)
    ball = balls([[0.03, -0.05, 0.02]], 0.012, [0.9], [[1.0]])
    drawn = rasterise(ball, pose, inner, "torch")
    u, v, depth = project(Camera(inner, pose[0]), ball.means[0])[0].tolist()
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    weight = drawn.opacity[0] / drawn.opacity[0].sum()
    assert float((weight * columns).sum()) == pytest.approx(u, abs=0.02)
    assert float((weight * rows).sum()) == pytest.approx(v, abs=0.02)
    assert float(drawn.depth.sum() / drawn.opacity.sum()) == pytest.approx(depth, abs=1e-9)


@pytest.mark.parametrize("near_first", [True, False])
def test_two_that_overlap_blend_front_to_back(near_first):
    inner = Intrinsics(60.0, 60.0, 0.5, 0.5, 16, 16)
    near, far = ([0.0, 0.0, -0.4], 0.6, [1.0, 0.0]), ([0.01, 0.0, -0.6], 0.8, [0.0, 1.0])
    order = [near, far] if near_first else [far, near]
    drawn = rasterise(balls(*_columns(order)), FRONT, inner, "torch")
    shift = 60 * 0.01 / 0.6
    slope = 60 * 0.01 / 0.6**2  # how far a step along the axis moves the second one's image
    front = 0.6 * math.exp(-0.5 * 4 / ((60 * 0.02 / 0.4) ** 2 + 0.3))
    variance = (60 * 0.02 / 0.6) ** 2 + (slope * 0.02) ** 2 + 0.3
    back = 0.8 * math.exp(-0.5 * (2 - shift) ** 2 / variance)
    assert drawn.colour[0, 8, 10].tolist() == pytest.approx([front, (1 - front) * back], rel=1e-9)
    assert float(drawn.opacity[0, 8, 10]) == pytest.approx(1 - (1 - front) * (1 - back), rel=1e-9)
    assert float(drawn.depth[0, 8, 10]) == pytest.approx(0.4 * front + 0.6 * (1 - front) * back, rel=1e-9)


def _columns(order: list[tuple[list[float], float, list[float]]]) -> tuple:
    centres, opacities, colours = zip(*order)
    return list(centres), 0.02, list(opacities), list(colours)


def test_a_pixel_ends_before_its_transmittance_is_used_up():
    # 0.9 three times leaves 1e-3; a fourth of 0.9 would leave 1e-4 or less and is not drawn, nor what lies behind.
    inner = Intrinsics(60.0, 60.0, 0.5, 0.5, 8, 8)
    centres = [[0.0, 0.0, -0.3 - 0.1 * step] for step in range(5)]
    stack = balls(centres, 5.0, [0.9, 0.9, 0.9, 0.9001, 0.9], [[1.0]] * 5)
    drawn = rasterise(stack, FRONT, inner, "torch")
    assert float(drawn.opacity[0, 4, 4]) == pytest.approx(1 - 1e-3, rel=1e-9)
    assert float(drawn.depth[0, 4, 4]) == pytest.approx(0.9 * 0.3 + 0.09 * 0.4 + 0.009 * 0.5, rel=1e-9)
    opaque = rasterise(balls([[0.0, 0.0, -0.3]], 5.0, [1.0], [[1.0]]), FRONT, inner, "torch")
    assert float(opaque.opacity[0, 4, 4]) == pytest.approx(0.999, rel=1e-9)


SCENES = {
    "small": {"scale": 0.004},
    "mixed": {"scale": 0.02},
    "big": {"scale": 0.15},
    "thin": {"scale": 0.02, "thin": True},
    "dense": {"scale": 0.06, "opaque": True},
    "all about": {"scale": 0.03, "spread": 0.6},  # beside, behind and around the camera
}


def scene(name: str, pictures: int, count: int) -> Gaussians:
    recipe = dict(SCENES[name])
    thin, opaque = recipe.pop("thin", False), recipe.pop("opaque", False)
    gaussians = cloud(pictures, count, seeded(len(name)), **recipe)
    if thin:
        gaussians = replace(gaussians, scales=gaussians.scales * torch.tensor([8.0, 0.05, 1.0], dtype=torch.float64))
    return replace(gaussians, opacities=gaussians.opacities.sqrt().sqrt()) if opaque else gaussians


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("size", [(24, 24), (19, 37)], ids=["square", "odd"])
def test_tiles_equal_a_loop_over_gaussians(name, size):
    inner, pose = camera(size[1], width=size[0]), poses(2, seeded(1))
    gaussians = scene(name, 2, 80)
    drawn, expected = rasterise(gaussians, pose, inner, "torch"), looped(gaussians, pose, inner)
    assert float(expected.opacity.max()) > 0.05
    assert torch.allclose(values(drawn), values(expected), atol=1e-9)
    assert float(drawn.opacity.min()) >= 0
    assert float(drawn.opacity.max()) <= 1
    single = rasterise(converted(gaussians, dtype=torch.float32), pose.float(), inner, "torch")
    assert single.colour.dtype == torch.float32
    assert float((values(single) - values(expected)).abs().mean()) < 1e-5


@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1)], ids=["plain", "mirrored", "upside down"])
@pytest.mark.parametrize("name", ["mixed", "dense", "all about"])
def test_gradients_equal_those_of_the_loop(name, signs):
    inner, start = camera(20, fx=signs[0] * 26.0, fy=signs[1] * 23.0), poses(2, seeded(1))
    upstream = torch.randn(2, 20, 20, 6, generator=seeded(5), dtype=torch.float64)
    found = []
    for draw in (lambda *scene: rasterise(*scene, "torch"), looped):
        gaussians, pose = converted(scene(name, 2, 60), grad=True), start.clone().requires_grad_()
        (values(draw(gaussians, pose, inner)) * upstream).sum().backward()
        found.append([value.grad for value in vars(gaussians).values()] + [pose.grad[:, :3]])
    for own, expected in zip(*found):
        assert float(expected.abs().max()) > 1e-3
        assert torch.allclose(own, expected, atol=1e-9 * float(expected.abs().max()), rtol=1e-7)


@pytest.mark.parametrize("fx", [14.0, -14.0])
def test_gradients_are_exact(fx):
    # Wide Gaussians of middling opacity: every alpha stays off the thresholds, where the picture jumps.
    inner, generator = Intrinsics(fx, 13.0, 0.48, 0.53, 6, 9), seeded(3)  # more than a tile high
    gaussians = cloud(2, 4, generator, scale=0.2, spread=0.03)
    gaussians = replace(
        gaussians,
        opacities=0.3 + 0.4 * gaussians.opacities,
        scales=gaussians.scales.clamp(0.15, 0.4),
        colours=gaussians.colours[..., :2],
    )
    inputs = [value.requires_grad_() for value in (*vars(gaussians).values(), poses(2, generator))]

    def draw(*fields: torch.Tensor) -> torch.Tensor:
        return values(rasterise(Gaussians(*fields[:5]), fields[5], inner, "torch"))

    opacity = draw(*inputs)[..., -2].detach()
    assert 0.01 < float(opacity.min()) < float(opacity.max()) < 0.99
    assert torch.autograd.gradcheck(draw, inputs, atol=1e-6)


def test_what_is_clamped_or_unseen_has_no_gradient():
    inner = Intrinsics(60.0, 60.0, 0.5, 0.5, 8, 8)
    centres = [[0.0, 0.0, -0.4], [0.0, 0.0, 0.4], [0.0, 0.0, -0.001], [0.0, 0.0, 0.0], [9.0, 0.0, -0.4]]
    gaussians = converted(balls(centres, 5.0, [1.0, 0.5, 0.5, 0.5, 0.0], [[1.0]] * 5), grad=True)
    pose = FRONT.clone().requires_grad_()
    drawn = rasterise(gaussians, pose, inner, "torch")
    drawn.colour.sum().backward()
    for value in (*vars(gaussians).values(), pose):
        assert torch.isfinite(value.grad).all()
    assert gaussians.opacities.grad[0].tolist() == [0.0] * 5  # the first: alpha is held at 0.999
    assert gaussians.colours.grad[0, :, 0].tolist() == pytest.approx([0.999 * 64, 0, 0, 0, 0])


def test_gradients_where_the_light_is_long_used_up():
    # Behind fifteen opaque ones float32 has no transmittance left to divide by.
    inner = Intrinsics(60.0, 60.0, 0.5, 0.5, 8, 8)
    stack = balls([[0.0, 0.0, -0.3 - 0.01 * step] for step in range(60)], 5.0, [0.5] + [1.0] * 59, [[1.0]] * 60)
    gaussians = converted(stack, grad=True, dtype=torch.float32)
    rasterise(gaussians, FRONT.float(), inner, "torch").depth.sum().backward()
    for value in vars(gaussians).values():
        assert torch.isfinite(value.grad).all()
    # depth = a d0 + (1 - a) 0.999 d1: what is behind the second is not drawn.
    assert float(gaussians.opacities.grad[0, 0]) == pytest.approx(64 * (0.3 - 0.999 * 0.31), rel=1e-4)
    assert gaussians.means.grad[0, 2:].abs().max() == 0


def test_what_touches_the_camera_is_not_drawn():
    inner = Intrinsics(60.0, 60.0, 0.5, 0.5, 8, 8)
    for depth, seen in ((0.0099, False), (0.0101, True)):
        drawn = rasterise(balls([[0.0, 0.0, -depth]], 0.001, [0.7], [[1.0]]), FRONT, inner, "torch")
        assert (float(drawn.opacity[0, 4, 4]) > 0.5) == seen


def test_how_the_work_is_cut_changes_nothing(monkeypatch):
    inner, start = camera(30, width=41), poses(2, seeded(1))
    found = []
    for tile, chunk, kept in ((8, 2**18, 2**26), (4, 2**9, 0), (16, 2**12, 2**13), (64, 1, 2**26)):
        monkeypatch.setattr(splatting_reference, "TILE_SIZE", {"cpu": tile})
        monkeypatch.setattr(splatting_reference, "CHUNK_PAIRS", {"cpu": chunk})
        monkeypatch.setattr(splatting_reference, "LEAST_CHUNK_PAIRS", {"cpu": min(chunk, 2**8)})
        monkeypatch.setattr(splatting_reference, "KEPT_PAIRS", kept)
        gaussians, pose = converted(scene("mixed", 2, 60), grad=True), start.clone().requires_grad_()
        drawn = values(rasterise(gaussians, pose, inner, "torch"))
        drawn.square().sum().backward()
        found.append([drawn, pose.grad, *(value.grad for value in vars(gaussians).values())])
    for other in found[1:]:
        for own, expected in zip(other, found[0]):
            assert torch.allclose(own, expected, rtol=1e-9, atol=1e-9 * float(expected.detach().abs().max()))


def test_a_negative_focal_length_mirrors_the_picture():
    generator = seeded(4)
    gaussians, pose = cloud(1, 60, generator, spread=0.3), poses(1, generator)
    plain = Intrinsics(30.0, 28.0, 0.5, 0.5, 24, 24)
    centred = replace(plain, cx=11.5 / 24, cy=11.5 / 24)
    drawn = rasterise(gaussians, pose, centred, "torch")
    mirrored = rasterise(gaussians, pose, replace(centred, fx=-30.0), "torch")
    flipped = rasterise(gaussians, pose, replace(centred, fy=-28.0), "torch")
    assert torch.allclose(values(mirrored), values(drawn).flip(2), atol=1e-12)
    assert torch.allclose(values(flipped), values(drawn).flip(1), atol=1e-12)


def test_nothing_to_draw_is_an_empty_picture(device):
    inner, pose = camera(20), poses(2, seeded(1)).to(device)
    empty = converted(cloud(2, 0, seeded(0)), grad=True, device=device)
    behind = cloud(2, 5, seeded(0))
    behind = converted(replace(behind, means=behind.means + pose[:1, :3, 2].cpu() * 5), grad=True, device=device)
    for gaussians in (empty, behind):
        drawn = rasterise(gaussians, pose, inner, "torch")
        assert drawn.colour.shape == (2, 20, 20, 4)
        assert values(drawn).abs().sum() == 0
        values(drawn).sum().backward()
        assert gaussians.means.grad.abs().sum() == 0


def test_a_gaussian_that_is_not_a_number_is_left_out():
    gaussians, pose, inner = cloud(1, 8, seeded(0)), poses(1, seeded(1)), camera(20)
    means, scales = gaussians.means.clone(), gaussians.scales.clone()
    means[0, 2], scales[5] = math.nan, math.inf
    drawn = rasterise(replace(gaussians, means=means, scales=scales), pose, inner, "torch")
    opacities = gaussians.opacities.clone()
    opacities[0, [2, 5]] = 0.0
    assert torch.equal(values(drawn), values(rasterise(replace(gaussians, opacities=opacities), pose, inner, "torch")))


def test_equal_depths_are_drawn_in_their_order():
    inner = Intrinsics(60.0, 60.0, 0.5, 0.5, 8, 8)
    twins = balls([[0.0, 0.0, -0.4]] * 40, 5.0, [0.5] * 40, [[float(n)] for n in range(40)])
    drawn = rasterise(twins, FRONT, inner, "torch")
    expected = sum(n * 0.5 ** (n + 1) for n in range(13))  # thirteen leave 1.2e-4
    assert float(drawn.colour[0, 4, 4, 0]) == pytest.approx(expected, rel=1e-9)


def test_any_number_of_channels_and_half_precision():
    inner, pose = camera(20), poses(1, seeded(1)).float()
    gaussians = converted(cloud(1, 30, seeded(0)), dtype=torch.float32)
    wide = replace(gaussians, colours=gaussians.colours.repeat(1, 1, 5))
    drawn, half = rasterise(wide, pose, inner), converted(wide, dtype=torch.bfloat16)
    assert drawn.colour.shape == (1, 20, 20, 20)
    assert torch.equal(drawn.colour[..., 4:8], drawn.colour[..., :4])
    rounded = rasterise(half, pose, inner)
    assert rounded.colour.dtype == torch.float32
    assert torch.equal(rounded.colour, rasterise(converted(half, dtype=torch.float32), pose, inner).colour)


def test_an_unknown_rasteriser_is_refused():
    with pytest.raises(ValueError, match="auto, torch, gsplat: fast"):
        rasterise(cloud(1, 2, seeded(0)), FRONT, camera(), "fast")
