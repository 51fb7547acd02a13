"""Where to look along a ray: stratified depths first, then depths drawn where the first pass found something."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

INNER_WEIGHT_FLOOR = 1e-5  # NeRFace adds it to every coarse weight before drawing (spec 4.4, step 5)


def stratified_depths(
    near: Float[Tensor, " rays"],
    far: Float[Tensor, " rays"],
    count: int,
    generator: torch.Generator | None,
    disparity: bool = False,
) -> Float[Tensor, "rays samples"]:
    """`count` depths from `near` to `far` of each ray, ascending.

    Without a generator they are evenly spaced, both ends included, in depth or in `disparity` 1/t. With one, each is
    drawn uniformly from its cell; cells end half-way between neighbours, the first begins at `near` and the last ends
    at `far` (NeRF eq. 2, with NeRFace's cells; spec 4.4, step 1).
    """
    steps = torch.linspace(0.0, 1.0, count, device=near.device)
    if disparity:
        t_mid = 1.0 / (1.0 / near[:, None] * (1.0 - steps) + 1.0 / far[:, None] * steps)  # [R, S]
    else:
        t_mid = near[:, None] + (far - near)[:, None] * steps
    if generator is None:
        return t_mid
    middle = 0.5 * (t_mid[:, 1:] + t_mid[:, :-1])
    t_edges = torch.cat([t_mid[:, :1], middle, t_mid[:, -1:]], dim=-1)  # [R, S+1]
    chance = torch.rand(t_mid.shape, generator=generator, device=near.device)
    return t_edges[:, :-1] + (t_edges[:, 1:] - t_edges[:, :-1]) * chance


def importance_depths(
    t_mid: Float[Tensor, "rays samples"],
    weights: Float[Tensor, "rays samples"],
    count: int,
    generator: torch.Generator | None,
) -> Float[Tensor, "rays drawn"]:
    """`count` depths by the inverse CDF of the inner coarse `weights`, over cells between the samples' mid-points.

    The first and last weight are left out (spec 4.4, step 5); without a generator the draws are evenly spaced in
    [0, 1]. Detached: no gradient flows into where samples lie.
    """
    with torch.no_grad():
        t_edges = 0.5 * (t_mid[:, 1:] + t_mid[:, :-1])  # [R, S-1]
        chance = weights[:, 1:-1] + INNER_WEIGHT_FLOOR  # [R, S-2]
        cdf = torch.cumsum(chance / chance.sum(-1, keepdim=True), dim=-1)
        cdf = torch.cat([torch.zeros_like(cdf[:, :1]), cdf], dim=-1)  # [R, S-1]
        if generator is None:
            u = torch.linspace(0.0, 1.0, count, device=t_mid.device).expand(t_mid.shape[0], count)
        else:
            u = torch.rand((t_mid.shape[0], count), generator=generator, device=t_mid.device)
        above = torch.searchsorted(cdf, u.contiguous(), right=True)
        below = (above - 1).clamp(min=0)
        above = above.clamp(max=cdf.shape[-1] - 1)
        cdf_below, cdf_above = cdf.gather(-1, below), cdf.gather(-1, above)
        span = cdf_above - cdf_below
        span = torch.where(span < 1e-5, torch.ones_like(span), span)
        low, high = t_edges.gather(-1, below), t_edges.gather(-1, above)
        return low + (u - cdf_below) / span * (high - low)
