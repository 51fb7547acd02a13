"""Where Gaussians are split and which are taken out, so that detail gathers where pictures ask for it."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nerface.fields.body_frame import rotations
from nerface.fields.gaussian_set import GaussianSet, by_row
from nerface.fields.splat_config import SplatConfig

GROW_FROM = 200  # steps: until then colours settle
MOTION_SHARE = 0.3  # of the choice by gradients of the motion map (GPAvatar sec. 3.3), the rest by those of places
# A Gaussian is split along its longest axis into two that cover it: a lone one's picture changes by 8 %.
SPLIT_DISTANCE, SPLIT_LENGTH, SPLIT_WIDTH, SPLIT_OPACITY = 0.5, 0.8, 0.95, 0.7
TOO_LARGE = 3.0  # times the configuration's `largest`


class Growth(nn.Module):
    """What is remembered of gradients since Gaussians were last split; part of a checkpoint, not of an avatar file."""

    place_gradients: Tensor
    motion_gradients: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.begin(count)

    def begin(self, count: int) -> None:
        """Remember nothing yet of `count` Gaussians."""
        device = self.place_gradients.device if "place_gradients" in self._buffers else None
        self.register_buffer("place_gradients", torch.zeros(count, device=device))
        self.register_buffer("motion_gradients", torch.zeros(count, device=device))
        self._watched: Tensor | None = None

    def watch(self, means: Float[Tensor, "frames gaussians 3"]) -> None:
        """Keep the gradient that will reach the moved `means`."""
        self._watched = None
        if means.requires_grad:
            means.retain_grad()
            self._watched = means

    @torch.no_grad()
    def after_step(
        self, parts: GaussianSet, optimizer: torch.optim.Optimizer, config: SplatConfig, step: int, steps: int
    ) -> bool:
        """Count the gradients of step `step` of `steps`, and change the Gaussians when it is time (True)."""
        if self._watched is not None and self._watched.grad is not None:
            self.place_gradients += self._watched.grad.norm(dim=-1).sum(dim=0)
        self._watched = None
        if parts.motions.grad is not None:
            self.motion_gradients += parts.motions.grad.flatten(1).norm(dim=-1)
        done, last = step + 1, config.grow_share * steps
        due = done % config.grow_every == 0 and GROW_FROM <= done <= last
        if due:
            final = done + config.grow_every > last  # `last` itself need not be a time to split
            share = 1.0 if final else (done - GROW_FROM) / (last - GROW_FROM)
            wanted = round(config.start + (config.most - config.start) * share)
            rows, split = self._choice(parts, config, wanted)
            parts.select(rows, optimizer)
            _separate(parts, optimizer, split)
            self.begin(len(parts))
        return due

    def _choice(
        self, parts: GaussianSet, config: SplatConfig, wanted: int
    ) -> tuple[Int[Tensor, " after"], Int[Tensor, "pairs 2"]]:
        """Which Gaussians there are afterwards, and which of these are the two halves of one that is split."""
        opacity, sizes = torch.sigmoid(parts.opacity_logits), parts.log_sizes.exp().amax(dim=-1)
        alive = torch.nonzero((opacity > config.least_opacity) & (sizes < TOO_LARGE * config.largest))[:, 0]
        count = min(max(wanted - len(alive), 0), len(alive))
        score = (1 - MOTION_SHARE) * _share(self.place_gradients[alive])
        score = score + MOTION_SHARE * _share(self.motion_gradients[alive])
        first = score.topk(count).indices
        second = torch.arange(len(alive), len(alive) + count, device=alive.device)
        return torch.cat([alive, alive[first]]), torch.stack([first, second], dim=-1)


def _share(values: Float[Tensor, " gaussians"]) -> Float[Tensor, " gaussians"]:
    return values / values.sum().clamp(min=1e-30)


def _separate(parts: GaussianSet, optimizer: torch.optim.Optimizer, pairs: Int[Tensor, "pairs 2"]) -> None:
    """Move the copies of each pair apart along their longest axis; Adam remembers nothing of the new ones."""
    if not len(pairs):
        return
    first, second = pairs.unbind(-1)
    sizes = parts.log_sizes[first]
    axis = sizes.argmax(dim=-1, keepdim=True)
    along = rotation_columns(parts.turns[first], axis[:, 0])
    offset = SPLIT_DISTANCE * sizes.gather(-1, axis).exp() * along
    smaller = sizes + torch.full_like(sizes, SPLIT_WIDTH).scatter(-1, axis, SPLIT_LENGTH).log()
    opacity = (SPLIT_OPACITY * torch.sigmoid(parts.opacity_logits[first])).logit()
    for rows, sign in ((first, 1.0), (second, -1.0)):
        parts.means[rows] += sign * offset
        parts.log_sizes[rows] = smaller
        parts.opacity_logits[rows] = opacity
    for parameter in parts.parameters():
        for value in optimizer.state.get(parameter, {}).values():
            if by_row(value, parameter):
                value[second] = 0


def rotation_columns(
    turns: Float[Tensor, "gaussians 4"], axis: Int[Tensor, " gaussians"]
) -> Float[Tensor, "gaussians 3"]:
    """Where each quaternion (w, x, y, z; any length) takes the unit vector of the chosen axis."""
    return rotations(turns)[torch.arange(len(turns), device=turns.device), :, axis]
