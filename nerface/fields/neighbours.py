"""Gaussians that lie side by side move alike: skin does, and what noise in the scores teaches does not."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor, nn

from nerface.fields.gaussian_set import GaussianSet

NEAREST = 6  # of each Gaussian, at its resting place
SAMPLE = 4096  # Gaussians looked at in a step
TINY = 1e-8


class Neighbours(nn.Module):
    """Who lies beside whom, found anew whenever Gaussians are split; part of a checkpoint, not of an avatar file."""

    near: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.begin(count)

    def begin(self, count: int) -> None:
        """Make room for the neighbours of `count` Gaussians, each its own until they are found."""
        device = self.near.device if "near" in self._buffers else None
        self.register_buffer("near", torch.arange(count, device=device)[:, None].repeat(1, NEAREST))

    @torch.no_grad()
    def find(self, means: Float[Tensor, "gaussians 3"]) -> None:
        """Look up the neighbours of Gaussians resting at `means`."""
        self.begin(len(means))
        count = min(NEAREST, len(means) - 1)
        places = means.detach().cpu().numpy()
        if count > 0 and np.isfinite(places).all():  # of a diverged run they are not: the loop says so
            _, near = cKDTree(places).query(places, k=count + 1)
            self.near[:, :count] = torch.from_numpy(near[:, 1:]).to(self.near)

    def sample(self, generator: torch.Generator) -> Int[Tensor, " sample"]:
        """About `SAMPLE` Gaussians, every so many of all."""
        stride = max(1, len(self.near) // SAMPLE)
        rows = torch.arange(0, len(self.near) - stride + 1, stride, device=self.near.device)
        return rows + torch.randint(stride, (1,), generator=generator, device=self.near.device)

    def unlikeness(self, parts: GaussianSet, rows: Int[Tensor, " sample"]) -> Float[Tensor, ""]:
        """Mean length of the difference of neighbours' maps of place and colour: a total variation, so that borders
        such as between the lips cost no more than slopes do (Rudin et al. 1992). Of the Gaussians `rows`.
        """
        near = self.near[rows]
        total = parts.motions.new_zeros(())
        for maps in (parts.motions, parts.colour_motions):
            if maps.shape[1]:
                flat = maps.flatten(1)
                difference = flat[rows][:, None] - flat[near]
                total = total + (difference.square().sum(dim=-1) + TINY).sqrt().mean()
        return total
