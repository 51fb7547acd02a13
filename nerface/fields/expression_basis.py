"""From a frame's condition to the few weights that move Gaussians."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerface.fields.base import Subject
from nerface.fields.expression_reach import ExpressionReach

SPREAD_FLOOR = 0.05  # channels that hardly move are not blown up by their tiny spread
LEFT_OVER = 0.1  # what is left of directions for which there is no component
LEAST_VARIANCE = 0.01  # of a standardised channel: where no expression ever changed, directions stay of a usual size
LATENT_START = 0.1  # spread of the latent codes' share of the map before training
MARGIN = 0.25  # of a channel's range: how far beyond what training saw an expression may go


class ExpressionBasis(nn.Module):
    """A learned linear map: standardised expression [E] and latent code [L] to weights [K] of about unit variance."""

    mean: Tensor
    spread: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, subject: Subject, latent_channels: int, basis: int) -> None:
        super().__init__()
        channels = len(subject.expression_names)
        self.directions = nn.Parameter(torch.randn(basis, channels) / max(channels, 1) ** 0.5)
        self.reach = ExpressionReach(basis, channels)
        self.latent_directions = nn.Parameter(LATENT_START * torch.randn(basis, latent_channels))
        self.register_buffer("mean", torch.tensor(subject.expression_mean), persistent=False)
        self.register_buffer("spread", torch.tensor(subject.expression_std).clamp(min=SPREAD_FLOOR), persistent=False)
        self.register_buffer("low", torch.tensor(subject.expression_min), persistent=False)
        self.register_buffer("high", torch.tensor(subject.expression_max), persistent=False)

    @torch.no_grad()
    def begin(self, expressions: Float[Tensor, "frames expression"]) -> None:
        """Take the principal components of training `expressions` as directions, the first of unit variance.

        The others keep their share of it: scaled to unit variance each, the weak ones, which are mostly the tracker's
        noise, would move Gaussians as quickly as jaw and smile do. Directions beyond the components there are stay as
        they were drawn, and small.
        """
        rows = (expressions.to(self.mean) - self.mean) / self.spread
        _, sizes, axes = torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False)
        variances = sizes.square() / max(len(rows), 1)
        count = min(len(self.directions), len(axes))
        self.reach.begin(rows)
        self.directions.mul_(LEFT_OVER)
        self.directions[:count] = axes[:count] * variances[:1].clamp(min=LEAST_VARIANCE).rsqrt()

    def limited(self, expression: Float[Tensor, "frames expression"]) -> Float[Tensor, "frames expression"]:
        """Expressions held softly within what training saw, each channel by itself (`soft_limits`) and all together
        (`ExpressionReach`)."""
        return self._standardised(expression) * self.spread + self.mean

    def _standardised(self, expression: Float[Tensor, "frames expression"]) -> Float[Tensor, "frames expression"]:
        within = soft_limits(expression, self.low, self.high)
        return self.reach((within - self.mean) / self.spread)

    def forward(
        self, expression: Float[Tensor, "frames expression"], latent: Float[Tensor, "frames latent"]
    ) -> Float[Tensor, "frames basis"]:
        """The weights of each frame."""
        return self._standardised(expression) @ self.directions.T + latent @ self.latent_directions.T


def soft_limits(
    value: Float[Tensor, "*frames channels"], low: Float[Tensor, " channels"], high: Float[Tensor, " channels"]
) -> Float[Tensor, "*frames channels"]:
    """`value` where it lies within [low, high]; beyond, it approaches `MARGIN` of the range further, and never passes.

    Smooth: the slope is 1 at the limits and falls from there (x -> m tanh(x / m) of what is beyond).
    """
    margin = MARGIN * (high - low).clamp(min=SPREAD_FLOOR)
    within = torch.minimum(torch.maximum(value, low), high)
    return within + margin * torch.tanh((value - within) / margin)
