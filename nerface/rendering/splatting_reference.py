"""The rasteriser of Gaussians in plain torch: reference of the fast one, and what runs on a CPU.

Tiles with lists of similar length are blended together, a chunk at a time, with a hand-written backward pass: about
eight passes over (tile, pixel, Gaussian) forward and ten backward, none of them a comparison or a selection, which
torch runs ten times slower on a CPU than arithmetic. Gradients do not pass through the choice of what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import threshold

from nerface.precision import full_precision
from nerface.rendering.splatting_projection import (
    LEAST_ALPHA,
    Gaussians,
    Splatted,
    as_working,
    footprints,
    head_to_view,
)
from nerface.rendering.splatting_tiles import Grid, TileLists, tile_lists
from nerface.types import Intrinsics

GREATEST_ALPHA = 0.999
LOG_GREATEST_ALPHA = math.log(GREATEST_ALPHA)
LEAST_TRANSMITTANCE = 1e-4  # a Gaussian that would leave no more than this ends its pixel, undrawn
TILE_SIZE = {"cpu": 8, "cuda": 16}  # pixels
CHUNK_PAIRS = {"cpu": 2**18, "cuda": 2**24}  # (pixel, Gaussian) pairs at a time: what a CPU's cache holds
LEAST_CHUNK_PAIRS = {"cpu": 2**14, "cuda": 2**20}  # below this, starting operations costs more than padding
LIST_RATIO = 0.8  # lists in one chunk are at least this share of the longest
LEAST_LOG_ALPHA = -20.0  # exp is some ten times slower where it underflows
KEPT_PAIRS = 2**26  # pairs whose weights are kept for the backward pass (0.5 GB); the rest is computed again


def rasterise_torch(
    gaussians: Gaussians, camera_to_head: Float[Tensor, "pictures 4 4"], intrinsics: Intrinsics
) -> Splatted:
    """What `splatting.rasterise` gives, on any device and in float32 or float64."""
    device = gaussians.means.device
    with full_precision(device):
        gaussians = as_working(gaussians)
        view = head_to_view(camera_to_head.to(gaussians.means.dtype), intrinsics)
        seen = footprints(gaussians, view, intrinsics)
        grid = Grid(camera_to_head.shape[0], intrinsics.height, intrinsics.width, TILE_SIZE[device.type])
        # Opacities too small to be drawn have no logarithm, or one with an endless slope.
        log_opacities = gaussians.opacities.clamp_min(0.5 * LEAST_ALPHA).log()[..., None]
        splats = torch.cat([seen.centres, seen.conics, log_opacities], dim=-1)
        depths = seen.depths[..., None]
        features = torch.cat([gaussians.colours, torch.ones_like(depths), depths], dim=-1)
        tiles = _Blend.apply(splats.flatten(0, 1), features.flatten(0, 1), tile_lists(seen, grid), grid)
        picture = grid.to_pictures(tiles)
    return Splatted(picture[..., :-2], picture[..., -2], picture[..., -1])


@dataclass(frozen=True)
class _Chunk:
    """Tiles blended together: `tiles` [T], and `entries` [T, K] of the lists, E (one past the end) for no entry."""

    tiles: Int[Tensor, " tiles"]
    entries: Int[Tensor, "tiles list"]

    def gather(self, rows: Float[Tensor, "entries values"]) -> Float[Tensor, "tiles list values"]:
        return rows.index_select(0, self.entries.view(-1)).view(*self.entries.shape, -1)

    def scatter(self, rows: Float[Tensor, "entries values"], found: Float[Tensor, "tiles list values"]) -> None:
        rows.index_copy_(0, self.entries.view(-1), found.flatten(0, 1))


@dataclass(frozen=True)
class _Weights:
    """`weights` [T, P, K], `left` [T, P, K] transmittance behind each entry, `free` (not clamped) or None for all."""

    weights: Float[Tensor, "tiles pixels list"]
    left: Float[Tensor, "tiles pixels list"]
    free: Float[Tensor, "tiles pixels list"] | None


def _chunks(lists: TileLists, grid: Grid) -> Iterator[_Chunk]:
    """The tiles that have entries, longest lists first, in chunks of similar length."""
    device = lists.counts.device
    order = torch.argsort(lists.counts, descending=True)
    lengths = lists.counts[order].cpu()
    ascending = lengths.flip(0)
    pixels, start, end = grid.size**2, 0, int((lengths > 0).sum())
    while start < end:
        longest = int(lengths[start])
        similar = len(lengths) - int(torch.searchsorted(ascending, LIST_RATIO * longest))
        most = start + max(1, CHUNK_PAIRS[device.type] // (pixels * longest))
        least = start + max(1, LEAST_CHUNK_PAIRS[device.type] // (pixels * longest))
        stop = min(most, max(similar, least), end)
        tiles = order[start:stop]
        steps = torch.arange(longest, device=device)
        entries = lists.starts[tiles, None] + steps
        yield _Chunk(tiles, torch.where(steps < lists.counts[tiles, None], entries, lists.splats.shape[0]))
        start = stop


def _pixel_basis(size: int, like: Tensor) -> Float[Tensor, "pixels 6"]:
    """1, u, v, u^2, uv, v^2 of a tile's pixels, (u, v) counted from its middle so that they stay small."""
    steps = torch.arange(size, device=like.device, dtype=like.dtype) - 0.5 * (size - 1)
    v, u = torch.meshgrid(steps, steps, indexing="ij")
    u, v = u.reshape(-1), v.reshape(-1)
    return torch.stack([torch.ones_like(u), u, v, u * u, u * v, v * v], dim=-1)


def _from_tile_middle(
    splats: Float[Tensor, "entries 6"], tiles: Int[Tensor, " entries"], grid: Grid
) -> tuple[Float[Tensor, " entries"], Float[Tensor, " entries"]]:
    """Each entry's centre (x, y) from the middle of its tile."""
    number = torch.arange(grid.tiles, device=tiles.device)
    row = torch.div(number, grid.columns, rounding_mode="floor")
    corners = torch.stack([number - row * grid.columns, row % grid.rows], dim=-1)
    middles = (corners * grid.size + 0.5 * (grid.size - 1)).to(splats.dtype).index_select(0, tiles)
    x, y = (splats[:, :2] - middles).T.contiguous()
    return x, y


def _coefficients(
    splats: Float[Tensor, "entries 6"], x: Float[Tensor, " entries"], y: Float[Tensor, " entries"]
) -> Float[Tensor, "entries 6"]:
    """log alpha as a polynomial in the pixel basis: log opacity - 1/2 (p - c)^T conic (p - c), multiplied out."""
    _, _, xx, xy, yy, log_opacity = splats.T.contiguous()
    slope_x, slope_y = xx * x + xy * y, xy * x + yy * y
    constant = log_opacity - 0.5 * (slope_x * x + slope_y * y)
    return torch.stack([constant, slope_x, slope_y, -0.5 * xx, -xy, -0.5 * yy], dim=-1)


def _coefficients_backward(
    gradient: Float[Tensor, "entries 6"],
    splats: Float[Tensor, "entries 6"],
    x: Float[Tensor, " entries"],
    y: Float[Tensor, " entries"],
) -> Float[Tensor, "entries 6"]:
    """The gradient of `_coefficients` with respect to the splats (their centres move with x, y)."""
    one, u, v, uu, uv, vv = gradient.T.contiguous()
    _, _, xx, xy, yy, _ = splats.T.contiguous()
    from_x, from_y = u - one * x, v - one * y
    return torch.stack(
        [
            xx * from_x + xy * from_y,
            xy * from_x + yy * from_y,
            x * (u - 0.5 * one * x) - 0.5 * uu,
            y * from_x + x * v - uv,
            y * (v - 0.5 * one * y) - 0.5 * vv,
            one,
        ],
        dim=-1,
    )


def _weights(coefficients: Float[Tensor, "tiles list 6"], basis: Float[Tensor, "pixels 6"], clamp: bool) -> _Weights:
    """Front-to-back weights alpha_k * prod_{j<k} (1 - alpha_j) of every pixel (Kerbl et al., equation 3)."""
    tiles, length, _ = coefficients.shape
    pixels = basis.expand(tiles, *basis.shape)
    log_alpha = torch.bmm(pixels, coefficients.transpose(1, 2))
    free = (log_alpha <= LOG_GREATEST_ALPHA).to(log_alpha.dtype) if clamp else None
    alpha = log_alpha.clamp_(LEAST_LOG_ALPHA, LOG_GREATEST_ALPHA).exp_()
    alpha = threshold(alpha, LEAST_ALPHA, 0.0, inplace=True)
    passed = alpha.new_empty(tiles, basis.shape[0], length + 1)
    passed[..., 0] = 1.0
    torch.sub(1.0, alpha, out=passed[..., 1:])
    left = passed.cumprod_(dim=-1)[..., 1:]
    if bool((left[..., -1] <= LEAST_TRANSMITTANCE).any()):
        # 1 where the pixel still goes on, 0 from where it has ended.
        alpha *= threshold(left, LEAST_TRANSMITTANCE, 0.0).ceil_()
        left.clamp_(min=0.1 * LEAST_TRANSMITTANCE)  # divided by in the backward pass, where the weight is 0
    return _Weights(alpha.mul_(passed[..., :-1]), left, free)


class _Blend(torch.autograd.Function):
    """Splats [M, 6] (centre, conic, log opacity) and features [M, F] to tiles [tiles, pixels, F]."""

    @staticmethod
    def forward(ctx: Any, splats: Tensor, features: Tensor, lists: TileLists, grid: Grid) -> Tensor:
        x, y = _from_tile_middle(own := splats.index_select(0, lists.splats), lists.tiles, grid)
        # One row more, for the places of a chunk that no entry fills: an alpha of e^-1000 = 0.
        coefficients = torch.cat([_coefficients(own, x, y), splats.new_tensor([[-1000.0, 0, 0, 0, 0, 0]])])
        listed = torch.cat([features.index_select(0, lists.splats), features.new_zeros(1, features.shape[1])])
        basis = _pixel_basis(grid.size, splats)
        clamp = bool((own[:, 5] > LOG_GREATEST_ALPHA).any())
        drawn = splats.new_zeros(grid.tiles, grid.size**2, features.shape[1])
        kept: list[_Weights | None] = []
        chunks = list(_chunks(lists, grid))
        spare = KEPT_PAIRS if any(ctx.needs_input_grad) else 0
        for chunk in chunks:
            found = _weights(chunk.gather(coefficients), basis, clamp)
            drawn[chunk.tiles] = torch.bmm(found.weights, chunk.gather(listed))
            spare -= found.weights.numel()
            kept.append(found if spare >= 0 else None)
        ctx.save_for_backward(splats, drawn)
        ctx.rest = (lists, clamp, chunks, kept, coefficients, listed, basis, x, y)
        return drawn

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        splats, drawn = ctx.saved_tensors
        lists, clamp, chunks, kept, coefficients, listed, basis, x, y = ctx.rest
        to_coefficients, to_listed = torch.zeros_like(coefficients), torch.zeros_like(listed)
        totals = (drawn * gradient).sum(-1)  # what every pixel gets from all its entries
        with full_precision(splats.device):
            for chunk, found in zip(chunks, kept):
                found = found or _weights(chunk.gather(coefficients), basis, clamp)
                own, total = gradient[chunk.tiles], totals[chunk.tiles]
                chunk.scatter(to_listed, torch.bmm(found.weights.transpose(1, 2), own))
                to_log_alpha = _log_alpha_gradient(found, torch.bmm(own, chunk.gather(listed).transpose(1, 2)), total)
                pixels = basis.expand(chunk.tiles.shape[0], *basis.shape)
                chunk.scatter(to_coefficients, torch.bmm(to_log_alpha.transpose(1, 2), pixels))
        to_own = _coefficients_backward(to_coefficients[:-1], splats.index_select(0, lists.splats), x, y)
        to_splats = torch.zeros_like(splats).index_add_(0, lists.splats, to_own)
        to_features = listed.new_zeros(splats.shape[0], listed.shape[1]).index_add_(0, lists.splats, to_listed[:-1])
        return to_splats, to_features, None, None


def _log_alpha_gradient(
    found: _Weights, pulls: Float[Tensor, "tiles pixels list"], total: Float[Tensor, "tiles pixels"]
) -> Float[Tensor, "tiles pixels list"]:
    """weight_k * (pull_k - sum of what lies behind k / transmittance left by k), pull_k = feature_k . gradient.

    d weight_k / d log alpha_k = weight_k, and every weight behind falls by alpha_k / (1 - alpha_k) of itself, which
    is weight_k / (transmittance left by k). Overwrites `pulls`.
    """
    front = pulls * found.weights
    behind = torch.sub(total[..., None], front.cumsum_(dim=-1), out=front)
    pulls.sub_(behind.div_(found.left)).mul_(found.weights)
    return pulls if found.free is None else pulls.mul_(found.free)
