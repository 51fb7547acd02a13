"""The conditional radiance field of NeRFace: position, expression and latent code in, density and colour out."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    trunk_layers: int = 6
    width: int = 256
    skip_layer: int | None = 3
    colour_layers: int = 3
    colour_width: int = 128
    position_frequencies: int = 10
    direction_frequencies: int = 4
    planes: PlanesConfig | None = None

    def __post_init__(self) -> None:
        if self.trunk_layers < 1 or self.colour_layers < 1:
            raise ValueError("a field needs at least one trunk layer and one colour layer")
        if self.width < 1 or self.colour_width < 1:
            raise ValueError(f"layers need at least one channel: width {self.width}, colour_width {self.colour_width}")
        if self.position_frequencies < 0 or self.direction_frequencies < 0:
            raise ValueError("numbers of frequencies cannot be negative")
        if self.skip_layer is not None and not 0 < self.skip_layer < self.trunk_layers:
            raise ValueError(f"skip_layer must be between 1 and {self.trunk_layers - 1}, or None: {self.skip_layer}")


class PaperField(nn.Module):
    """An MLP over [encoded position, condition], with the condition again at the skip (NeRFace sec. 3.2, spec 3.2).

    Layer names and column order are those of the released network, so its state dicts map one to one. Columns that are
    constant within a frame (condition) or along a ray (view direction) are multiplied once and added as a bias: the
    same sum, in another order.
    """

    def __init__(self, config: FieldConfig, condition_channels: int) -> None:
        super().__init__()
        self.config = config
        self.planes = BlendedPlanes(config.planes, condition_channels) if config.planes else None
        encoded = encoded_width(3, config.position_frequencies, include_input=True)
        encoded += self.planes.width if self.planes is not None else 0
        first, width, colour_width = encoded + condition_channels, config.width, config.colour_width
        directions = encoded_width(3, config.direction_frequencies, include_input=False)
        self.layers_xyz = nn.ModuleList()
        for layer in range(config.trunk_layers):
            inputs = first if layer == 0 else width + (first if layer == config.skip_layer else 0)
            self.layers_xyz.append(nn.Linear(inputs, width))
        self.fc_feat = nn.Linear(width, width)
        self.fc_alpha = nn.Linear(width, 1)
        self.layers_dir = nn.ModuleList(
            nn.Linear(width + directions if layer == 0 else colour_width, colour_width)
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

        `view_directions` are unit vectors; `condition` is [expression, latent] of each frame, the rays lying frame by
        frame in equal numbers.
        """
        rays, samples, frames = positions.shape[0], positions.shape[1], condition.shape[0]
        points = positions.reshape(frames, -1, 3)  # [F, R/F * S, 3]
        encoded = frequency_encoding(points, self.config.position_frequencies, include_input=True)
        if self.planes is not None:
            encoded = torch.cat([encoded, self.planes(points, condition)], dim=-1)
        hidden = encoded
        for index, layer in enumerate(self.layers_xyz):
            assert isinstance(layer, nn.Linear)
            if index in (0, self.config.skip_layer):
                parts = (encoded,) if index == 0 else (encoded, hidden)
                hidden = conditioned_linear(layer, parts, condition, after=encoded.shape[-1])
            else:
                hidden = layer(hidden)
            hidden = F.relu(hidden, inplace=True)  # [F, R/F * S, width]
        feature = self.fc_feat(hidden)
        sigma = self.fc_alpha(feature).reshape(rays, samples)
        colour = feature.reshape(rays, samples, -1)
        directions = frequency_encoding(view_directions, self.config.direction_frequencies, include_input=False)
        for index, layer in enumerate(self.layers_dir):
            assert isinstance(layer, nn.Linear)
            colour = conditioned_linear(layer, (colour,), directions) if index == 0 else layer(colour)
            colour = F.relu(colour, inplace=True)  # [R, S, colour_width]
        return sigma.float(), torch.sigmoid(self.fc_rgb(colour).float())


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
