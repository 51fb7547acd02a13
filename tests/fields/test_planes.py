"""The blended planes: look-ups by hand, borders, and gradients."""

from __future__ import annotations

import torch

from nerface.fields.planes import BlendedPlanes, PlanesConfig

CONFIG = PlanesConfig(resolution=5, channels=2, basis=3, basis_resolution=4, extent=0.3)


def planes(seed: int = 0) -> BlendedPlanes:
    torch.manual_seed(seed)
    return BlendedPlanes(CONFIG, 6)


def test_texels_are_found_where_they_lie():
    module = planes()
    with torch.no_grad():
        module.basis.zero_()
    # Corners of the square are the outermost texels; the first axis of a plane runs along its columns.
    points = 0.3 * torch.tensor([[[-1.0, 1.0, 0.0], [0.5, 0.0, -1.0]]])
    found = module(points, torch.zeros(1, 6))[0, :, 6:].reshape(2, 3, 2)
    static = module.static.detach()
    assert torch.allclose(found[0, 0], static[0, :, 4, 0], atol=1e-6)  # xy: x -> column 0, y -> row 4
    assert torch.allclose(found[0, 1], static[1, :, 2, 0], atol=1e-6)  # xz
    assert torch.allclose(found[0, 2], static[2, :, 2, 4], atol=1e-6)  # yz: y -> column 4
    assert torch.allclose(found[1, 1], static[1, :, 0, 3], atol=1e-6)


def test_points_beyond_the_extent_take_the_border():
    module, condition = planes(), torch.randn(1, 6)
    inside = torch.tensor([[[0.3, -0.3, 0.1], [0.3, 0.3, 0.3]]])
    outside = torch.tensor([[[0.9, -5.0, 0.1], [0.31, 0.5, 7.0]]])
    assert torch.allclose(module(inside, condition), module(outside, condition), atol=1e-6)


def test_the_basis_is_blended_by_a_linear_map_of_the_condition():
    module = planes()
    points, condition = 0.2 * torch.randn(2, 7, 3), torch.randn(2, 6)
    found = module(points, condition)
    assert found.shape == (2, 7, module.width)
    mix = torch.cat([torch.ones(2, 1), module.weights(condition)], dim=-1)
    for frame in range(2):
        blended = (mix[frame, :, None] * module.basis).sum(0)
        alone = planes()
        with torch.no_grad():
            alone.basis[0], alone.basis[1:] = blended, 0
        assert torch.allclose(alone(points[frame : frame + 1], torch.zeros(1, 6))[0], found[frame], atol=1e-5)


def test_gradients_reach_every_part_and_the_condition():
    module = planes()
    condition = torch.randn(2, 6, requires_grad=True)
    module(0.2 * torch.randn(2, 50, 3), condition).square().sum().backward()
    for value in (*module.parameters(), condition):
        assert value.grad is not None
        assert value.grad.abs().sum() > 0


def test_gradients_are_those_of_finite_differences():
    module = planes().double()
    points = (0.2 * torch.randn(2, 3, 3, dtype=torch.float64)).requires_grad_()
    condition = torch.randn(2, 6, dtype=torch.float64)

    def features(points, static, basis, weight):
        names = {"static": static, "basis": basis, "weights.weight": weight, "weights.bias": module.weights.bias}
        return torch.func.functional_call(module, names, (points, condition))

    inputs = (points, module.static, module.basis, module.weights.weight)
    assert torch.autograd.gradcheck(features, inputs, eps=1e-6, atol=1e-6)
