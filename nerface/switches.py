"""Named changes of a configuration: the ablations and options of the paper and of the released code (spec 4.7, 7).

What the seed offers only to those who edit its source is here a name for `nerface train --switch` and `nerface ablate`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nerface.config import RunConfig, override
from nerface.errors import UserError
from nerface.fields import kind_of


@dataclass(frozen=True)
class Switch:
    """One change: what it is, and the `settings` ("name=value") that it makes."""

    text: str
    settings: tuple[str, ...]


NO_EXPRESSION, NO_LATENT, NO_BACKGROUND = "use_expression=false", "use_latent=false", 'background="none"'
SWITCHES: dict[str, Switch] = {
    "full": Switch("nothing changed", ()),
    "no_expression": Switch("the fields see zeros for the expression", (f"avatar.{NO_EXPRESSION}",)),
    "no_latent": Switch("the fields see zeros for the latent code", (f"avatar.{NO_LATENT}",)),
    "no_dynamics": Switch("neither expression nor latent code", (f"avatar.{NO_EXPRESSION}", f"avatar.{NO_LATENT}")),
    "no_background": Switch("no plate: the field paints the backdrop too", (f"avatar.{NO_BACKGROUND}",)),
    "nerf": Switch(
        "a plain NeRF: no expression, latent code or plate",
        (f"avatar.{NO_EXPRESSION}", f"avatar.{NO_LATENT}", f"avatar.{NO_BACKGROUND}"),
    ),
    "trainable_background": Switch("the plate is learned, from the mean picture", ('avatar.background="trainable"',)),
    "supervised_background": Switch(
        "the plate is learned, also from pixels that show it (spec 4.3: factor 0.001)",
        ('avatar.background="trainable"', "training.background_penalty=0.001"),
    ),
    "white_background": Switch("the person on white (needs transparency or masks)", ("data.white_background=true",)),
    "half_data": Switch("the first half of the training frames", ("data.train_share=0.5",)),
    "quarter_data": Switch("the first quarter of the training frames", ("data.train_share=0.25",)),
    "latent_x10": Switch("ten times the penalty on latent codes", ("training.latent_penalty=0.05",)),
    "latent_x100": Switch("a hundred times the penalty on latent codes", ("training.latent_penalty=0.5",)),
    "paper_latent": Switch(
        "the paper's penalty, 0.05 of the squared norm",
        ("training.latent_penalty=0.05", 'training.latent_penalty_form="squared"'),
    ),
    "paper_box": Switch("the paper's sampling: 95 % of the rays in the head's box", ("training.inside_share=0.95",)),
    "paper_layers": Switch(
        "the paper's network: 8 layers, skip to the sixth, 4 layers for colour",
        tuple(
            f"avatar.{stage}.{setting}"
            for stage in ("coarse", "fine")
            for setting in ("trunk_layers=8", "skip_layer=5", "colour_layers=4")
        ),
    ),
    "no_directions": Switch(
        "the view direction is left out",
        ("avatar.coarse.direction_frequencies=0", "avatar.fine.direction_frequencies=0"),
    ),
    "seed_directions": Switch("(d_z, near, far) as the view direction, as released", ("avatar.direction=z_near_far",)),
    "refine_poses": Switch("a small rigid correction per training frame is learned", ("avatar.refine_poses=true",)),
    "given_poses": Switch("poses of training frames stay as the dataset gives them", ("avatar.refine_poses=false",)),
    "given_colours": Switch("no gains of colour per training frame", ("avatar.refine_colours=false",)),
}


def switch_settings(names: Sequence[str]) -> list[str]:
    """The settings ("name=value") of the named switches, in order; `UserError` for a name that is none."""
    settings: list[str] = []
    for name in names:
        if name not in SWITCHES:
            near: list[Any] = difflib.get_close_matches(name, SWITCHES, n=1)
            hint = f", did you mean '{near[0]}'?" if near else ""
            raise UserError(f"there is no switch '{name}'{hint} (known: {', '.join(SWITCHES)})")
        settings += SWITCHES[name].settings
    return settings


def switched(config: RunConfig, names: Sequence[str]) -> RunConfig:
    """`config` with the named switches turned, in order; errors as `switch_settings`.

    Raises `UserError` too where a switch has no meaning for the configuration's field.
    """
    for name in names:
        settings = switch_settings([name])
        try:
            config = override(config, settings)
        except UserError as error:
            raise UserError(f"the switch {name} is not for the field {kind_of(config.avatar)} ({error})") from None
    return config
