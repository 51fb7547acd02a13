"""How far from the mean expression the training frames went, all channels together."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

RIDGE = 0.1  # of the mean variance: directions in which hardly anything happened do not count as very far
SHARE = 0.95  # of the training frames lie within the reach
MARGIN = 0.25  # of the reach: how far beyond it an expression may go
ENDLESS = 1e6  # standard deviations: the reach where nothing is known of training


class ExpressionReach(nn.Module):
    """Holds standardised expressions softly within the distances from the mean that training saw.

    Channels that are each within their own range may still be far out together: one squinting eye where both eyes
    always squinted. Distance is that of Mahalanobis along the training expressions' principal components.
    """

    axes: Tensor
    length: Tensor

    def __init__(self, components: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("axes", torch.zeros(components, channels))
        self.register_buffer("length", torch.tensor(ENDLESS))

    @torch.no_grad()
    def begin(self, rows: Float[Tensor, "frames expression"]) -> None:
        """Learn the reach of the standardised training expressions `rows`."""
        _, sizes, axes = torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False)
        variances = sizes.square() / max(len(rows), 1)
        count = min(len(self.axes), len(axes))
        scale = (variances + RIDGE * variances.mean().clamp(min=1e-12)).rsqrt()[:count, None]
        self.axes.zero_()
        self.axes[:count] = axes[:count] * scale
        self.length.copy_(torch.quantile((rows @ self.axes.T).norm(dim=-1), SHARE).clamp(min=1e-3))

    def forward(self, rows: Float[Tensor, "frames expression"]) -> Float[Tensor, "frames expression"]:
        """The rows, those beyond the reach drawn towards the mean: by `MARGIN` of it at most they pass it."""
        distance = (rows @ self.axes.T).norm(dim=-1, keepdim=True)
        beyond = (distance - self.length).clamp(min=0.0)
        margin = MARGIN * self.length
        short = beyond - margin * torch.tanh(beyond / margin)  # exactly 0 within the reach
        return rows * (1 - short / distance.clamp(min=1e-6))
