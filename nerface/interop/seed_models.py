"""The seed's network classes as configurations of one field, and the names of their tensors, both ways.

Facts of NeRFace's released `nerf/models.py` (spec 3.2, 3.3). A class is named once, in `MODELS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from nerface.errors import UserError
from nerface.fields import AvatarConfig, PaperConfig, kind_of
from nerface.fields.paper_field import FieldConfig

DEEPEST = 5  # trunk layers: with 6, the seed's short classes reach a skip that leaves out the latent code, and crash
SHALLOWEST = 2


@dataclass(frozen=True)
class SeedModel:
    """One of the seed's classes: `field` at the class's own sizes, and what the field's fixed numbers are not.

    `expression_input`: how coefficients enter ("divided" by 3, or "raw"). `sized`: `num_layers` and `hidden_size` of a
    config decide its sizes. `short`: its trunk begins with a layer of its own, "layer1", and has no skip.
    `expression_layer` is the name of the layer or layers that compress the expression, `spare` a layer that is stored
    but never used nor trained. `runs`: the seed's own scripts can train it.
    """

    name: str
    field: FieldConfig
    expression_input: str = "divided"
    sized: bool = False
    short: bool = False
    expression_layer: str = ""
    spare: str = ""
    runs: bool = True

    def field_at(self, layers: int, width: int) -> FieldConfig:
        """The field with a trunk of `layers` by `width`, where the class heeds them."""
        if not self.sized:
            return self.field
        return replace(self.field, trunk_layers=layers, width=width, colour_width=width // 2)


_SHORT = FieldConfig(
    trunk_layers=4, skip_layer=None, colour_layers=1, linear_first=True, feature_relu=True, density_from="trunk"
)

_KNOWN = (
    SeedModel("ConditionalBlendshapePaperNeRFModel", FieldConfig(), spare="layers_dir.3"),
    SeedModel("ConditionalBlendshapePaperSmallerNeRFModel", FieldConfig(trunk_layers=5, colour_expression=True)),
    SeedModel("ConditionalBlendshapeLearnableCodeNeRFModel", _SHORT, sized=True, short=True),
    SeedModel(
        "ConditionalCompressedBlendshapeLearnableCodeNeRFModel",
        replace(_SHORT, expression_layers=(10,)),
        expression_input="raw",
        sized=True,
        short=True,
        expression_layer="layer_expr",
    ),
    SeedModel(
        "ConditionalCompressedBlendshapeNeRFModel",
        replace(_SHORT, expression_layers=(38, 20, 20), expression_relu=True, sees_latent=False),
        expression_input="raw",
        sized=True,
        short=True,
        expression_layer="layers_expr",
    ),
    # Two of the seed's configs name it, but its trainer hands every class a latent code, and this one takes none.
    SeedModel("ConditionalBlendshapeNeRFModel", replace(_SHORT, sees_latent=False), sized=True, short=True, runs=False),
)

MODELS = {model.name: model for model in _KNOWN}

# Classes of the seed that its own scripts cannot build or call (spec 3.3), and that nothing here stands for.
NEVER_RAN = (
    "ConditionalBlendshapeNeRFModel_v2",
    "ConditionalNeRFModel",
    "ConditionalAutoEncoderNeRFModel",
    "VeryTinyNeRFModel",
    "MultiHeadNeRFModel",
    "ReplicateNeRFModel",
    "PaperNeRFModel",
    "FlexibleNeRFModel",
    "ImageEncoder",
    "DiscriminatorModel",
)


def paper_config(avatar: AvatarConfig, owner: object) -> PaperConfig:
    """The settings `avatar` of `owner` (a file, in errors), which are of the paper's field: the seed has no other.

    Raises `UserError` for those of another field.
    """
    if not isinstance(avatar, PaperConfig):
        raise UserError(
            f"{owner} is of the {kind_of(avatar)} field, NeRFace's code cannot hold it: its configs and checkpoints "
            "are of the field that the preset paper trains"
        )
    return avatar


def model_named(name: str, where: str) -> SeedModel:
    """The class called `name`; `where` names the setting in errors.

    Raises `UserError` for a class that does not exist, and for one that exists but never ran.
    """
    if name in MODELS:
        return MODELS[name]
    why = (
        "NeRFace's code has it, but its scripts cannot run it"
        if name in NEVER_RAN
        else "NeRFace's code has no such class"
    )
    raise UserError(f"{where}: '{name}' is no network class that works ({why}): use one of {', '.join(MODELS)}")


def tensor_names(model: SeedModel, field: FieldConfig) -> tuple[tuple[str, str], ...]:
    """(the seed's name, ours) of every tensor of a network, in the order in which the seed registers its parameters.

    Ours is empty for a spare layer's. The order decides the numbers in an optimiser's state.
    """
    pairs = []
    if model.short:
        if model.expression_layer == "layer_expr":
            pairs.append(("layer_expr", "layers_expr.0"))
        elif model.expression_layer:
            pairs += [(f"layers_expr.{k}", f"layers_expr.{k}") for k in range(len(field.expression_layers))]
        pairs.append(("layer1", "layers_xyz.0"))
        pairs += [(f"layers_xyz.{k - 1}", f"layers_xyz.{k}") for k in range(1, field.trunk_layers)]
        pairs += [(name, name) for name in ("layers_dir.0", "fc_alpha", "fc_rgb", "fc_feat")]
    else:
        pairs += [(f"layers_xyz.{k}", f"layers_xyz.{k}") for k in range(field.trunk_layers)]
        pairs += [(name, name) for name in ("fc_feat", "fc_alpha")]
        pairs += [(f"layers_dir.{k}", f"layers_dir.{k}") for k in range(field.colour_layers)]
        if model.spare:
            pairs.append((model.spare, ""))
        pairs.append(("fc_rgb", "fc_rgb"))
    return tuple(
        (f"{seed}.{kind}", f"{ours}.{kind}" if ours else "") for seed, ours in pairs for kind in ("weight", "bias")
    )


def spare_shape(name: str, field: FieldConfig) -> tuple[int, ...]:
    """The shape of a spare layer's weight or bias."""
    return (field.colour_width, field.colour_width) if name.endswith("weight") else (field.colour_width,)


def model_of_tensors(names: Iterable[str]) -> str:
    """Which of the seed's classes a state dict with these names belongs to; empty where it fits none."""
    given = set(names)
    layers = len({name.split(".")[1] for name in given if name.startswith("layers_xyz.")})
    for model in _KNOWN:
        field = replace(model.field, trunk_layers=layers + 1) if model.short else model.field
        if model.runs and {seed for seed, _ in tensor_names(model, field)} == given:
            return model.name
    return ""


def model_of_field(field: FieldConfig, expression_input: str) -> SeedModel | None:
    """The class of the seed that computes what `field` computes (encodings aside), or None."""
    for model in _KNOWN:
        if not model.runs or model.expression_input != expression_input:
            continue
        if model.sized and not SHALLOWEST <= field.trunk_layers <= DEEPEST:
            continue
        wanted = replace(
            model.field_at(field.trunk_layers, field.width),
            position_frequencies=field.position_frequencies,
            direction_frequencies=field.direction_frequencies,
            position_input=field.position_input,
            direction_input=field.direction_input,
            position_log=field.position_log,
            direction_log=field.direction_log,
        )
        if wanted == field:
            return model
    return None
