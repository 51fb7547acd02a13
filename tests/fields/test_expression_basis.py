"""From expressions to weights: soft limits, and directions that begin as principal components."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nerface.fields.expression_basis import LATENT_START, MARGIN, SPREAD_FLOOR, ExpressionBasis, soft_limits
from tests.toys import toy_subject

LOW, HIGH = torch.tensor([-1.0, 0.2, 0.0], dtype=torch.float64), torch.tensor([3.0, 0.7, 0.0], dtype=torch.float64)


def basis_of(expressions: torch.Tensor, directions: int, latent: int = 2) -> ExpressionBasis:
    """A basis begun from training `expressions`, whose statistics the subject knows."""
    spread = expressions.std(dim=0, unbiased=False)
    subject = replace(
        toy_subject(expressions.shape[1]),
        expression_mean=tuple(expressions.mean(dim=0).tolist()),
        expression_std=tuple(spread.tolist()),
        expression_min=tuple(expressions.amin(dim=0).tolist()),
        expression_max=tuple(expressions.amax(dim=0).tolist()),
    )
    torch.manual_seed(0)
    basis = ExpressionBasis(subject, latent, directions)
    basis.begin(expressions)
    return basis


def correlated(frames: int, channels: int) -> torch.Tensor:
    """Expressions of uneven spread that move together, as faces do."""
    made = torch.Generator().manual_seed(3)
    causes = torch.randn(frames, channels, generator=made) * torch.linspace(1.0, 0.2, channels)
    return 0.3 + 0.2 * causes @ torch.randn(channels, channels, generator=made)


def weights_of(basis: ExpressionBasis, expressions: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return basis(expressions, torch.zeros(len(expressions), basis.latent_directions.shape[1]))


def test_within_the_limits_nothing_changes():
    share = torch.linspace(0, 1, 21, dtype=torch.float64)[:, None]
    inside = LOW + share * (HIGH - LOW)
    assert torch.equal(soft_limits(inside, LOW, HIGH), inside)


def test_beyond_the_limits_the_margin_is_approached_and_never_passed():
    margin = MARGIN * torch.tensor([4.0, 0.5, SPREAD_FLOOR], dtype=torch.float64)
    for far in (0.01, 0.3, 1.0, 30.0, 1e6):
        above, below = soft_limits(HIGH + far, LOW, HIGH), soft_limits(LOW - far, LOW, HIGH)
        assert (above > HIGH).all()
        assert (below < LOW).all()
        assert (above <= HIGH + margin).all()
        assert (below >= LOW - margin).all()
        assert (above < HIGH + far).all()
    assert torch.allclose(soft_limits(HIGH + 1e3, LOW, HIGH), HIGH + margin)
    assert torch.allclose(soft_limits(LOW - 1e3, LOW, HIGH), LOW - margin)


@pytest.mark.parametrize("step", [1e-7, -1e-7])
def test_the_slope_is_one_at_the_limits(step):
    for limit in (LOW, HIGH):
        slope = (soft_limits(limit + step, LOW, HIGH) - soft_limits(limit, LOW, HIGH)) / step
        outwards = (limit + step < LOW) | (limit + step > HIGH)
        assert outwards.any()
        assert torch.allclose(slope, torch.ones_like(slope), atol=1e-5)


def test_the_order_of_values_is_kept():
    values = torch.linspace(-5, 8, 1301, dtype=torch.float64)[:, None].expand(-1, 3)
    rises = soft_limits(values, LOW, HIGH).diff(dim=0)
    assert (rises >= 0).all()
    near = ((values[1:] - LOW).abs() < 0.05) | ((values[1:] - HIGH).abs() < 0.05)
    assert (rises[near] > 0).all()


def test_training_expressions_begin_with_the_weights_of_their_principal_components():
    expressions = correlated(200, 6)
    weights = weights_of(basis_of(expressions, 4), expressions)
    assert weights.shape == (200, 4)
    spread = weights.std(dim=0, unbiased=False)
    standardised = (expressions - expressions.mean(dim=0)) / expressions.std(dim=0, unbiased=False)
    natural = torch.linalg.svdvals(standardised)[:4]
    # The first of unit variance, the others of their own share; the farthest frames are held back a little.
    assert torch.allclose(spread, natural / natural[0], rtol=0.03)
    assert float(spread[0]) < 1.001
    # Nearly principal components: the farthest frames are drawn a little towards the mean.
    assert torch.allclose(weights.mean(dim=0), torch.zeros(4), atol=0.01)
    covariance = weights.T @ weights / 200
    assert float((covariance - covariance.diagonal().diag()).abs().max()) < 0.02


@pytest.mark.parametrize(("frames", "channels"), [(3, 6), (50, 2), (2, 1)], ids=["frames", "channels", "both"])
def test_fewer_frames_or_channels_than_directions(frames, channels):
    expressions = correlated(frames, channels)
    basis = basis_of(expressions, 8)
    weights = weights_of(basis, expressions)
    spread = weights.std(dim=0, unbiased=False)
    assert torch.isfinite(weights).all()
    assert 0.8 < float(spread[0]) < 1.001
    assert (spread[min(frames, channels) :] < 0.5).all()  # what no component is there for stays as drawn, and small
    assert (basis.directions.detach()[min(frames, channels) :] != 0).any(dim=1).all()


@pytest.mark.parametrize("frames", [1, 20])
def test_expressions_that_never_change_are_not_blown_up(frames):
    still = torch.full((frames, 4), 0.4)
    basis = basis_of(still, 3)
    assert weights_of(basis, still).abs().max() < 1e-4
    assert weights_of(basis, still + 1.0).abs().max() < 10


def test_a_channel_that_never_changes_is_not_blown_up():
    expressions = correlated(60, 4)
    expressions[:, 2] = 0.1
    basis = basis_of(expressions, 4)
    asked = expressions[:1].clone()
    asked[:, 2] = 1.0
    change = weights_of(basis, asked) - weights_of(basis, expressions[:1])
    assert torch.isfinite(change).all()
    assert change.abs().max() < 2.0  # of weights that are about 1


def test_beyond_what_was_seen_weights_stay_bounded():
    expressions = correlated(60, 4)
    basis = basis_of(expressions, 3)
    far = [weights_of(basis, expressions[:1] + distance) for distance in (10.0, 1000.0)]
    assert torch.allclose(far[0], far[1], atol=1e-3)
    assert far[1].abs().max() < 12


def test_latent_codes_have_a_share_of_their_own():
    expressions = correlated(60, 4)
    basis = basis_of(expressions, 3, latent=2)
    codes = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    with torch.no_grad():
        found = basis(expressions[:2], codes) - basis(expressions[:2], torch.zeros(2, 2))
        assert torch.allclose(found, codes @ basis.latent_directions.T, atol=1e-5)
    assert 0 < basis.latent_directions.abs().max() < 5 * LATENT_START


def test_without_channels_the_latent_code_alone_moves():
    basis = ExpressionBasis(toy_subject(0), 2, 3)
    basis.begin(torch.zeros(4, 0))
    latent = torch.rand(2, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weights = basis(torch.zeros(2, 0), latent)
    assert torch.equal(weights, latent @ basis.latent_directions.T)
    assert weights.abs().max() > 0
