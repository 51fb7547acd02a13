"""The Gaussians of a person: what each of them is, and where a condition puts them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nerface.fields.body_frame import quaternions
from nerface.fields.splat_config import SplatConfig
from nerface.rendering.splatting import Gaussians


@dataclass(frozen=True)
class StartingPoints:
    """What N Gaussians begin as: places in head space, colours in [0, 1], sizes in head units, and how much each
    follows the head, in (0, 1)."""

    places: Float[Tensor, "gaussians 3"]
    colours: Float[Tensor, "gaussians 3"]
    sizes: Float[Tensor, " gaussians"]
    follows: Float[Tensor, " gaussians"]


START_OPACITY = 0.3


class GaussianSet(nn.Module):
    """N Gaussians, every parameter with one row for each.

    `means` [N, 3] in head space (of those that follow the body: at the rest pose), `turns` [N, 4] quaternions (w, x, y,
    z), `log_sizes` [N, 3] logarithms of standard deviations, `opacity_logits` [N], `colours` [N, 3], `view_colours`
    [N, 3, 3] (colour, direction), `motions` [N, K, 3], `colour_motions` [N, K, 3], `opacity_motions` [N, K],
    `follow_logits` [N]. What the configuration leaves out has no columns.
    """

    means: nn.Parameter
    turns: nn.Parameter
    log_sizes: nn.Parameter
    opacity_logits: nn.Parameter
    colours: nn.Parameter
    view_colours: nn.Parameter
    motions: nn.Parameter
    colour_motions: nn.Parameter
    opacity_motions: nn.Parameter
    follow_logits: nn.Parameter

    def __init__(self, config: SplatConfig, count: int) -> None:
        super().__init__()
        self.config = config
        basis, colour_basis = config.basis, config.basis if config.moves_colour else 0
        shapes = {
            "means": (3,),
            "turns": (4,),
            "log_sizes": (3,),
            "opacity_logits": (),
            "colours": (3,),
            "view_colours": (3, 3 if config.view_colours else 0),
            "motions": (basis, 3),
            "colour_motions": (colour_basis, 3),
            "opacity_motions": (basis if config.moves_opacity else 0,),
            "follow_logits": () if config.body else (0,),
        }
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(count, *shape)))

    def __len__(self) -> int:
        return int(self.means.shape[0])

    @torch.no_grad()
    def begin(self, points: StartingPoints) -> None:
        """Become round, rather transparent Gaussians at `points`, moved by nothing."""
        self.resize(len(points.places))
        for parameter in self.parameters():
            parameter.zero_()
        self.means.copy_(points.places)
        self.turns[:, 0] = 1.0
        self.log_sizes.copy_(points.sizes.log()[:, None].expand(-1, 3))
        self.opacity_logits.fill_(float(torch.logit(torch.tensor(START_OPACITY))))
        self.colours.copy_(points.colours)
        if self.config.body:
            self.follow_logits.copy_(points.follows.logit())

    def resize(self, count: int) -> None:
        """Make room for `count` Gaussians, of no particular value."""
        for name, parameter in list(self.named_parameters()):
            setattr(self, name, nn.Parameter(parameter.new_zeros(count, *parameter.shape[1:])))

    def follows(self) -> Float[Tensor, " gaussians"]:
        """How much each Gaussian follows the head (1) rather than the body (0)."""
        return torch.sigmoid(self.follow_logits) if self.config.body else torch.ones_like(self.means[:, 0])

    def moved(
        self,
        weights: Float[Tensor, "frames basis"],
        sight: Float[Tensor, "frames 3"],
        body: tuple[Float[Tensor, "frames 3 3"], Float[Tensor, "frames 3"]] | None,
    ) -> Gaussians:
        """The Gaussians of each frame in head space.

        `weights` are those of `ExpressionBasis`, `sight` the change of the direction from which the head is seen since
        the rest pose, `body` what `BodyFrame.in_head` gives (None: the body goes with the head).
        """
        frames, reach = weights.shape[0], self.config.reach
        shift = torch.einsum("fk,nkc->fnc", weights, self.motions)
        follows = self.follows()
        means = self.means + follows[:, None] * reach * torch.tanh(shift)
        colours = self.colours.expand(frames, -1, -1)
        if self.config.view_colours:
            colours = colours + follows[:, None] * torch.einsum("fd,ncd->fnc", sight, self.view_colours)
        if self.config.moves_colour:
            colours = colours + follows[:, None] * torch.einsum("fk,nkc->fnc", weights, self.colour_motions)
        logits = self.opacity_logits.expand(frames, -1)
        if self.config.moves_opacity:
            logits = logits + follows * (weights @ self.opacity_motions.T)
        turns = self.turns.expand(frames, -1, -1)
        if body is not None and self.config.body:
            resting, (rotation, shift) = (1 - follows)[:, None], body
            means = torch.lerp(means, torch.baddbmm(shift[:, None], means, rotation.mT), resting)
            turns = _turned(self.turns, resting, quaternions(rotation))
        return Gaussians(means, turns, self.log_sizes.exp(), torch.sigmoid(logits), colours.clamp(min=0.0))

    @torch.no_grad()
    def select(self, rows: Int[Tensor, " kept"], optimizer: torch.optim.Optimizer) -> None:
        """Keep the Gaussians `rows` (repeats are copies), and what `optimizer` remembers of them."""
        for name, old in list(self.named_parameters()):
            new = nn.Parameter(old[rows])
            state = optimizer.state.pop(old, None)
            if state is not None:
                optimizer.state[new] = {
                    key: value[rows] if by_row(value, old) else value for key, value in state.items()
                }
            for group in optimizer.param_groups:
                group["params"] = [new if parameter is old else parameter for parameter in group["params"]]
            setattr(self, name, new)


def by_row(value: Tensor | None, parameter: nn.Parameter) -> bool:
    """Whether what an optimiser remembers of a parameter is of its rows: the number of steps, for one, is not."""
    return value is not None and value.shape == parameter.shape


# The matrix of q -> p q (Hamilton product): entry (i, j) is p[_PICK[i][j]] * _SIGN[i][j].
_PICK = [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]
_SIGN = [[1.0, -1.0, -1.0, -1.0], [1.0, 1.0, -1.0, 1.0], [1.0, 1.0, 1.0, -1.0], [1.0, -1.0, 1.0, 1.0]]


def _turned(
    turns: Float[Tensor, "gaussians 4"], share: Float[Tensor, "gaussians 1"], full: Float[Tensor, "frames 4"]
) -> Float[Tensor, "frames gaussians 4"]:
    """Quaternions turned by a `share` of the rotation `full` of their frame (linear interpolation; any length)."""
    full = full / full.norm(dim=-1, keepdim=True)
    product = (full @ _product_form(full.device, full.dtype)).view(-1, 4, 4)  # [F, 4, 4]: transposed
    return torch.lerp(turns, turns @ product, share)


@functools.cache
def _product_form(device: torch.device, dtype: torch.dtype) -> Tensor:
    """[4, 16]: a quaternion p to the transposed matrix of q -> p q, row by row. Kept: a copy for every picture would
    make the GPU wait."""
    with torch.inference_mode(False):  # the first picture may be drawn in it, and training come later
        form = torch.zeros(4, 4, 4, dtype=dtype)
        for row in range(4):
            for column in range(4):
                form[_PICK[row][column], column, row] = _SIGN[row][column]
        return form.reshape(4, 16).to(device)
