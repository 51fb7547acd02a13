"""Every switch changes what it says, and nothing else."""

from __future__ import annotations

import pytest
import torch

from nerface.apps.words import SWITCH_NAMES
from nerface.config import override, to_json
from nerface.errors import UserError
from nerface.fields import build_avatar
from nerface.presets import preset
from nerface.switches import SWITCHES, switched
from tests.toys import toy_subject


def test_the_command_line_knows_all_switches():
    assert tuple(SWITCHES) == SWITCH_NAMES


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_gives_a_configuration_that_builds(name):
    config = switched(preset("paper"), [name])
    assert (config == preset("paper")) == (name == "full")
    build_avatar(config.avatar, toy_subject())


def test_switches_add_up():
    both = switched(preset("paper"), ["no_expression", "no_latent"])
    assert both == switched(preset("paper"), ["no_dynamics"])
    assert switched(both, ["no_background"]) == switched(preset("paper"), ["nerf"])


def test_the_paper_s_own_numbers():
    config = switched(preset("paper"), ["paper_layers", "paper_box", "paper_latent"])
    assert to_json(config)["avatar"]["fine"]["trunk_layers"] == 8
    assert (config.training.inside_share, config.training.latent_penalty) == (0.95, 0.05)
    assert config.training.latent_penalty_form == "squared"
    field = build_avatar(config.avatar, toy_subject(76)).fine
    assert [layer.in_features for layer in field.layers_xyz] == [171, 256, 256, 256, 256, 427, 256, 256]
    assert [layer.out_features for layer in field.layers_dir] == [128] * 4


def test_an_unknown_switch_names_the_nearest():
    with pytest.raises(UserError, match="no switch 'no_expresion', did you mean 'no_expression'"):
        switched(preset("paper"), ["no_expresion"])


def test_a_supervised_background_must_be_a_learned_one():
    with pytest.raises(UserError, match="background=trainable"):
        override(preset("paper"), ["training.background_penalty=0.001"])


def test_switches_keep_the_seed_s_start():
    """The ablations have the full model's parameters, so that they begin from the same numbers."""
    weights = []
    for name in ("full", "no_expression", "no_latent", "no_dynamics", "no_background", "nerf"):
        torch.manual_seed(3)
        weights.append(build_avatar(switched(preset("tiny"), [name]).avatar, toy_subject()).state_dict())
    for other in weights[1:]:
        assert all(torch.equal(value, other[name]) for name, value in weights[0].items())
        assert other.keys() == weights[0].keys()
