"""The seed's network classes: shapes, names, order of registration, and the same numbers as its formulas."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nerface.errors import UserError
from nerface.fields import PaperConfig, build_avatar
from nerface.interop.seed_models import (
    MODELS,
    model_named,
    model_of_field,
    model_of_tensors,
    spare_shape,
    tensor_names,
)
from nerface.rendering.volume import SamplingConfig
from tests.interop.seed_made import CLASSES, COMPRESSED, PAPER, SMALLER, layers_of, seed_network, state_of
from tests.toys import toy_subject

COUNTS = dict(zip(CLASSES, (568_708, 496_132, 343_812, 327_686, 325_410)))
SIZES = [(kind, 4, 256) for kind in CLASSES] + [(CLASSES[2], 2, 16), (CLASSES[3], 5, 12), (CLASSES[4], 3, 8)]


def _avatar(kind, layers, width, expressions=76):
    model = MODELS[kind]
    field = model.field_at(layers, width)
    sampling = SamplingConfig(fine=0)
    config = PaperConfig(coarse=field, fine=field, sampling=sampling, expression_input=model.expression_input)
    return build_avatar(config, toy_subject(expressions)), model, field


@pytest.mark.parametrize(("kind", "layers", "width"), SIZES)
def test_every_class_has_the_seed_s_tensors(kind, layers, width):
    """F6, F7: names and shapes one to one, in the seed's order of registration."""
    avatar, model, field = _avatar(kind, layers, width)
    expected = {}
    for name, (outputs, inputs) in layers_of(kind, 76, layers=layers, width=width).items():
        expected |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
    ours = {name: tuple(value.shape) for name, value in avatar.coarse.state_dict().items()}
    pairs = tensor_names(model, field)
    assert [seed for seed, _ in pairs] == list(expected)
    assert {seed: ours[name] if name else spare_shape(seed, field) for seed, name in pairs} == expected
    assert sorted(name for _, name in pairs if name) == sorted(ours)


@pytest.mark.parametrize("kind", CLASSES)
def test_parameter_counts_of_the_seed(kind):
    """F6: 568,708 parameters of the paper's network, the unused layer included; F7: the other four (spec 3.3)."""
    avatar, model, field = _avatar(kind, 4, 256)
    count = sum(value.numel() for value in avatar.coarse.parameters())
    unused = sum(torch.zeros(spare_shape(seed, field)).numel() for seed, ours in tensor_names(model, field) if not ours)
    assert count + unused == COUNTS[kind]
    assert unused == (128 * 129 if kind == PAPER else 0)


def test_the_class_without_a_latent_code_has_the_seed_s_size():
    avatar, _, _ = _avatar("ConditionalBlendshapeNeRFModel", 4, 256)
    assert sum(value.numel() for value in avatar.coarse.parameters()) == 335_620


@pytest.mark.parametrize(("kind", "layers", "width"), SIZES)
def test_every_class_computes_what_the_seed_s_does(kind, layers, width):
    """F6, F7: density and colour of random weights, against the formulas of spec 3 written out."""
    generator = torch.Generator().manual_seed(1)
    avatar, model, field = _avatar(kind, layers, width)
    state = state_of(layers_of(kind, 76, layers=layers, width=width), generator)
    avatar.coarse.load_state_dict({ours: state[seed] for seed, ours in tensor_names(model, field) if ours})
    points = 0.3 * torch.randn(11, 3, generator=generator)
    sight = torch.tensor([[-1.01, 0.2, 0.8]]).expand(11, 3)
    expression, latent = torch.randn(76, generator=generator), torch.randn(32, generator=generator)
    with torch.no_grad():
        sigma, rgb = avatar.coarse(points[:, None], sight, avatar.condition_rows(expression[None], latent[None]))
    wanted_sigma, wanted_rgb = seed_network(kind, state, points, sight, expression, latent)
    torch.testing.assert_close(sigma[:, 0], wanted_sigma, rtol=1e-4, atol=2e-6)
    torch.testing.assert_close(rgb[:, 0], torch.sigmoid(wanted_rgb), rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(("kind", "layers", "width"), SIZES)
def test_a_state_dict_tells_its_class(kind, layers, width):
    names = [f"{name}.{part}" for name in layers_of(kind, 5, layers=layers, width=width) for part in ("weight", "bias")]
    assert model_of_tensors(names) == kind
    assert model_of_tensors([*names, "more.weight"]) == ""


@pytest.mark.parametrize(("kind", "layers", "width"), SIZES)
def test_a_field_tells_its_class(kind, layers, width):
    model = MODELS[kind]
    field = replace(model.field_at(layers, width), position_frequencies=6, direction_log=False)
    assert model_of_field(field, model.expression_input) is model
    assert model_of_field(replace(field, feature_relu=not field.feature_relu), model.expression_input) is None
    assert model_of_field(field, "standardised") is None


def test_fixed_classes_ignore_a_config_s_sizes():
    for kind in (PAPER, SMALLER):
        assert MODELS[kind].field_at(2, 16) == MODELS[kind].field_at(4, 256)
    assert MODELS[COMPRESSED].field_at(2, 16).width == 16


def test_classes_that_do_not_work_are_told():
    with pytest.raises(
        UserError, match=r"models.fine.type: 'PaperNeRFModel' is no network class that works .*cannot run"
    ):
        model_named("PaperNeRFModel", "models.fine.type")
    with pytest.raises(UserError, match=f"NeRFace's code has no such class.*use one of {PAPER}, {SMALLER}"):
        model_named("Paper", "x")
