"""The conditional radiance field of NeRFace: position, expression and latent code in, density and colour out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nerface.fields.encodings import encoded_width, frequency_encoding
from nerface.fields.planes import BlendedPlanes, PlanesConfig


@dataclass(frozen=True)
class FieldConfig:
    """Sizes of one field. The defaults are the released NeRFace network (568,708 parameters with 76 + 32 channels).

    `skip_layer` is the trunk layer that sees the encoded input again (the released code: the 4th, index 3; None for no
    skip). `direction_frequencies` 0 leaves the view direction out. `planes`, where given, adds features looked up in
    planes that the expression blends: not in the paper, but learned far sooner by a small network.

    What the seed's other network classes do differently (spec 3.3) is here too. `position_input` and `direction_input`
    put raw values before their waves, `position_log` and `direction_log` space frequencies by powers of two (else
    evenly). `linear_first` leaves out the first layer's ReLU; `feature_relu` adds one to the feature; `density_from` is
    "feature" or "trunk". `expression_layers` are the widths of linear layers that compress the expression first, with a
    ReLU after each if `expression_relu`. `colour_expression` shows the expression to the first colour layer as well;
    `sees_latent` False leaves the latent code out.
    """

    trunk_layers: int = 6
    width: int = 256
    skip_layer: int | None = 3
    colour_layers: int = 3
    colour_width: int = 128
    position_frequencies: int = 10
    direction_frequencies: int = 4
    planes: PlanesConfig | None = None
    position_input: bool = True
    direction_input: bool = False
    position_log: bool = True
    direction_log: bool = True
    linear_first: bool = False
    feature_relu: bool = False
    density_from: str = "feature"
    colour_expression: bool = False
    expression_layers: tuple[int, ...] = ()
    expression_relu: bool = False
    sees_latent: bool = True

    def __post_init__(self) -> None:
        if self.trunk_layers < 1 or self.colour_layers < 1:
            raise ValueError("a field needs at least one trunk layer and one colour layer")
        if self.width < 1 or self.colour_width < 1:
            raise ValueError(f"layers need at least one channel: width {self.width}, colour_width {self.colour_width}")
        if self.position_frequencies < 0 or self.direction_frequencies < 0:
            raise ValueError("numbers of frequencies cannot be negative")
        if self.skip_layer is not None and not 0 < self.skip_layer < self.trunk_layers:
            raise ValueError(f"skip_layer must be between 1 and {self.trunk_layers - 1}, or None: {self.skip_layer}")
        if self.density_from not in ("feature", "trunk"):
            raise ValueError(f"density_from must be feature or trunk: {self.density_from}")
        if any(width < 1 for width in self.expression_layers):
            raise ValueError(f"expression_layers need at least one channel each: {self.expression_layers}")
        if not self.position_input and self.position_frequencies == 0:
            raise ValueError("a field needs position_input or position_frequencies")

    @property
    def direction_width(self) -> int:
        """How many columns the view direction has."""
        return encoded_width(3, self.direction_frequencies, self.direction_input)


class PaperField(nn.Module):
    """An MLP over [encoded position, condition], with the condition again at the skip (NeRFace sec. 3.2, spec 3.2).

    Layer names and column order are those of the released network, so its state dicts map one to one. Columns that are
    constant within a frame (condition) or along a ray (view direction) are multiplied once and added as a bias: the
    same sum, in another order.
    """

    def __init__(self, config: FieldConfig, expression_channels: int, latent_channels: int) -> None:
        super().__init__()
        self.config = config
        self.channels = (expression_channels, latent_channels)
        code = config.expression_layers[-1] if config.expression_layers else expression_channels
        condition = code + (latent_channels if config.sees_latent else 0)
        widths = (expression_channels, *config.expression_layers)
        self.layers_expr = nn.ModuleList(nn.Linear(inputs, outputs) for inputs, outputs in pairwise(widths))
        self.planes = BlendedPlanes(config.planes, condition) if config.planes else None
        encoded = encoded_width(3, config.position_frequencies, config.position_input)
        encoded += self.planes.width if self.planes is not None else 0
        first, width, colour_width = encoded + condition, config.width, config.colour_width
        beside = config.direction_width + (code if config.colour_expression else 0)
        self.layers_xyz = nn.ModuleList()
        for layer in range(config.trunk_layers):
            inputs = first if layer == 0 else width + (first if layer == config.skip_layer else 0)
            self.layers_xyz.append(nn.Linear(inputs, width))
        self.fc_feat = nn.Linear(width, width)
        self.fc_alpha = nn.Linear(width, 1)
        self.layers_dir = nn.ModuleList(
            nn.Linear(width + beside if layer == 0 else colour_width, colour_width)
            for layer in range(config.colour_layers)
        )
        self.fc_rgb = nn.Linear(colour_width, 3)

    def forward(
        self,
        positions: Float[Tensor, "rays samples 3"],
        view_directions: Float[Tensor, "rays 3"],
        condition: Float[Tensor, "frames condition"],
    ) -> tuple[Float[Tensor, "rays samples"], Float[Tensor, "rays samples 3"]]:
        """Raw density (before the ReLU of the renderer) and colour in [0, 1] at `positions` in head space.

        `view_directions` are unit vectors (or the seed's three numbers, see `PaperConfig.direction`); `condition` is
        [expression, latent] of each frame, the rays lying frame by frame in equal numbers.
        """
        config = self.config
        rays, samples, frames = positions.shape[0], positions.shape[1], condition.shape[0]
        code, condition = self._coded(condition)
        points = positions.reshape(frames, -1, 3)  # [F, R/F * S, 3]
        encoded = frequency_encoding(points, config.position_frequencies, config.position_input, config.position_log)
        if self.planes is not None:
            encoded = torch.cat([encoded, self.planes(points, condition)], dim=-1)
        hidden = encoded
        for index, layer in enumerate(self.layers_xyz):
            assert isinstance(layer, nn.Linear)
            if index in (0, config.skip_layer):
                parts = (encoded,) if index == 0 else (encoded, hidden)
                hidden = conditioned_linear(layer, parts, condition, after=encoded.shape[-1])
            else:
                hidden = layer(hidden)
            if index > 0 or not config.linear_first:
                hidden = F.relu(hidden, inplace=True)  # [F, R/F * S, width]
        feature = self.fc_feat(hidden)
        if config.feature_relu:
            feature = F.relu(feature)
        sigma = self.fc_alpha(feature if config.density_from == "feature" else hidden).reshape(rays, samples)
        colour = feature.reshape(rays, samples, -1)
        beside = frequency_encoding(
            view_directions, config.direction_frequencies, config.direction_input, config.direction_log
        )
        if config.colour_expression:
            beside = torch.cat([beside, code.float().repeat_interleave(rays // frames, dim=0)], dim=-1)
        for index, layer in enumerate(self.layers_dir):
            assert isinstance(layer, nn.Linear)
            colour = conditioned_linear(layer, (colour,), beside) if index == 0 else layer(colour)
            colour = F.relu(colour, inplace=True)  # [R, S, colour_width]
        return sigma.float(), torch.sigmoid(self.fc_rgb(colour).float())

    def _coded(
        self, condition: Float[Tensor, "frames condition"]
    ) -> tuple[Float[Tensor, "frames code"], Float[Tensor, "frames coded"]]:
        """The (compressed) expression, and with it all columns that are shared by the points of a frame."""
        code, latent = condition.split(self.channels, dim=-1)
        for layer in self.layers_expr:
            code = F.relu(layer(code)) if self.config.expression_relu else layer(code)
        return code, torch.cat([code.to(latent.dtype), latent], dim=-1) if self.config.sees_latent else code


def conditioned_linear(
    layer: nn.Linear, parts: tuple[Tensor, ...], shared: Float[Tensor, "groups C"], after: int | None = None
) -> Float[Tensor, "groups members out"]:
    """`layer` applied to the concatenation of `parts` [G, M, ...] and `shared` [G, C], without building it.

    The columns of `shared` stand behind the first `after` columns of the parts (None: behind all of them). They are
    multiplied once a group instead of once a member.
    """
    own = layer.in_features - shared.shape[-1]
    begin = own if after is None else after
    end = begin + shared.shape[-1]
    bias = F.linear(shared, layer.weight[:, begin:end], layer.bias)  # [G, out]
    weight = torch.cat([layer.weight[:, :begin], layer.weight[:, end:]], dim=-1)
    values = parts[0] if len(parts) == 1 else torch.cat([part.to(parts[-1].dtype) for part in parts], dim=-1)
    if bias.shape[0] == 1:
        return F.linear(values, weight, bias[0])
    return F.linear(values, weight) + bias[:, None]
