"""SE(3)'s exponential against closed forms, and poses that learn what they should."""

from __future__ import annotations

import math

import torch

from nerface.fields.pose_correction import corrected, rigid_motions


def test_a_turn_about_an_axis():
    angle = 0.3
    found = rigid_motions(torch.tensor([[0.0, 0.0, angle, 0.0, 0.0, 0.0]], dtype=torch.float64))[0]
    c, s = math.cos(angle), math.sin(angle)
    expected = torch.tensor([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64)
    assert torch.allclose(found, expected, atol=1e-12)


def test_a_screw_by_the_closed_form():
    # Modern Robotics eq. 3.88: the translation of exp is G(angle) v with G = I a + (1 - cos a) [w] + (a - sin a) [w]^2.
    w, v, a = torch.tensor([0.6, 0.0, 0.8]).double(), torch.tensor([0.1, -0.2, 0.05]).double(), 0.7
    hat = torch.tensor([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]]).double()
    rotation = torch.eye(3).double() + math.sin(a) * hat + (1 - math.cos(a)) * hat @ hat
    shift = (torch.eye(3).double() * a + (1 - math.cos(a)) * hat + (a - math.sin(a)) * hat @ hat) @ v / a
    found = rigid_motions(torch.cat([a * w, v])[None])[0]
    assert torch.allclose(found[:3, :3], rotation, atol=1e-12)
    assert torch.allclose(found[:3, 3], shift, atol=1e-12)


def test_no_correction_is_none_and_has_a_gradient():
    twists = torch.zeros(2, 6, dtype=torch.float64, requires_grad=True)
    poses = torch.eye(4, dtype=torch.float64).expand(2, 4, 4)
    moved = corrected(poses, twists)
    assert torch.equal(moved, poses)
    moved[:, 0, 3].sum().backward()
    assert twists.grad is not None
    assert torch.equal(twists.grad[:, 3], torch.ones(2, dtype=torch.float64))
    assert torch.autograd.gradcheck(rigid_motions, torch.randn(3, 6, dtype=torch.float64, requires_grad=True))
