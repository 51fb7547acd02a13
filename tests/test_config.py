"""Configurations survive JSON, refuse what they do not know, and hold no setting that nobody reads."""

from __future__ import annotations

import ast
import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import pytest

import nerface
from nerface.config import DataConfig, RunConfig, TrainingConfig, first_difference, from_json, override, to_json
from nerface.errors import UserError
from nerface.fields import CONFIGS
from nerface.fields.planes import PlanesConfig
from nerface.presets import PRESETS, preset
from tests.toys import AVATAR, FIELD, toy_run

ODD = RunConfig(
    "paper",
    replace(AVATAR, fine=replace(FIELD, skip_layer=None, planes=PlanesConfig(extent=0.1 + 0.2)), latent_channels=0),
    TrainingConfig(steps=7, learning_rate=1e-300),
    data=DataConfig(half_res=True, train_share=0.5),
)


@pytest.mark.parametrize("config", [ODD, toy_run(), *(preset(name) for name in PRESETS)])
def test_json_round_trip_is_exact(config):
    text = json.dumps(to_json(config), allow_nan=False)
    assert from_json(json.loads(text), "config.json") == config


def test_presets_have_the_names_they_carry():
    for name in PRESETS:
        assert preset(name).preset == name
    with pytest.raises(UserError, match="paper"):
        preset("papre")


def test_the_paper_s_numbers():
    paper = preset("paper")
    training = paper.training
    assert (training.steps, training.rays, training.decay_steps) == (400_000, 2048, 250_000)
    assert (training.learning_rate, training.decay_factor) == (5e-4, 0.1)
    assert (training.latent_penalty, training.inside_weight) == (0.005, 0.9)
    sampling = paper.avatar.sampling
    assert (sampling.near, sampling.far, sampling.coarse, sampling.fine, sampling.noise) == (0.2, 0.8, 64, 64, 0.1)
    assert (paper.avatar.latent_channels, paper.avatar.expression_input) == (32, "divided")
    assert paper.avatar.coarse == paper.avatar.fine
    assert paper.avatar.coarse.planes is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.stepz=5", "unknown setting 'training.stepz', did you mean 'steps'"),
        ("avatar.sampling.corse=5", "unknown setting 'avatar.sampling.corse', did you mean 'coarse'"),
        ("training.zzz=1", "unknown setting 'training.zzz'$"),
        ("training.steps=many", 'training.steps\' must be int, not "many"'),
        ("training.steps=2.5", "training.steps' must be int, not 2.5"),
        ("training.steps=true", "training.steps' must be int, not true"),
        ("training.learning_rate=false", "learning_rate' must be float, not false"),
        ("training.learning_rate=NaN", "learning_rate' must be a finite number"),
        ("training.learning_rate=1e999", "learning_rate' must be a finite number"),
        ("training.learning_rate=-1", "learning_rate must be greater than 0"),
        ("training.learning_rate=null", "learning_rate' must be float, not null"),
        ("training.precision=fp8", "precision must be one of auto, fp32, bf16"),
        ("training.frames=5000", "2048 rays of 5000 frames"),
        ("training.inside_weight=1.0", "inside_weight must lie between 0 and 1"),
        ("training=5", "'training' must be TrainingConfig, not 5"),
        ("data.half_res=1", "data.half_res' must be bool, not 1"),
        ("avatar=5", "'avatar' must be a group of settings, not 5"),
        ("avatar.kind=cloud", "field 'cloud', which this version does not know"),
        ("avatar.kind=[1]", "which this version does not know"),
        ("avatar.coarse.skip_layer=9", "skip_layer must be between 1 and 5"),
        ("avatar.coarse.planes=3", "planes' must be PlanesConfig or NoneType, not 3"),
        ("nothing.here=1", "there is no group 'nothing'"),
        ("training.steps.more=1", "there is no group 'training.steps'"),
        ("training.steps", "write it as name=value"),
        ("=5", "unknown setting ''"),
    ],
)
def test_every_wrong_setting_is_one_line(setting, message):
    with pytest.raises(UserError, match=message) as fault:
        override(preset("paper"), [setting])
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("paper", "training.rays=null", "the field paper is trained on rays: give training.rays a number"),
        ("splat", "training.rays=2048", "ssim_weight needs whole frames: rays=null"),
        ("paper", "training.ssim_weight=0.2", "ssim_weight needs whole frames: rays=null"),
        ("splat", "training.ssim_weight=1.5", "ssim_weight must lie between 0 and 1"),
        ("splat", "training.inside_share=0.95", "inside_share says how rays are drawn, and whole frames draw none"),
        ("splat", "training.colour_loss=huber", "colour_loss must be one of squared, absolute: huber"),
        ("splat", "training.frames=0", "frames must be at least 1"),
        ("splat", "training.background_penalty=0.1", "needs a learned background"),
        ("splat", "avatar.background=grey", "background must be one of plate, none, trainable: grey"),
        ("paper", "avatar.background=grey", "background must be one of plate, none, trainable: grey"),
        ("splat", "avatar.rasteriser=fast", "rasteriser must be one of auto, torch, gsplat: fast"),
        ("splat", "avatar.most=100", "most must be at least start: 100 and "),
        ("splat", "avatar.start=0", "start must be at least 1"),
        ("splat", "avatar.basis=0", "basis must be at least 1"),
        ("splat", "avatar.grow_every=0", "grow_every must be at least 1"),
        ("splat", "avatar.reach=0", "reach must be greater than 0"),
        ("splat", "avatar.largest=-1", "largest must be greater than 0"),
        ("splat", "avatar.grow_share=1.5", "grow_share must lie between 0 and 1"),
        ("splat", "avatar.least_opacity=1", "least_opacity must lie between 0 and 1"),
        ("splat", "avatar.bassis=5", "unknown setting 'avatar.bassis', did you mean 'basis'"),
        ("splat", "avatar.kind=paper", "unknown setting"),
        ("splat", "avatar.coarse.width=16", "there is no group 'avatar.coarse'"),
    ],
)
def test_every_setting_that_does_not_go_with_the_field_is_one_line(name, setting, message):
    with pytest.raises(UserError, match=message) as fault:
        override(preset(name), [setting])
    assert "\n" not in str(fault.value)


def test_a_field_asks_for_rays_or_for_whole_frames():
    splat = preset("splat")
    on_rays = replace(splat.training, rays=1024, ssim_weight=0.0)
    with pytest.raises(ValueError, match=r"the field splat is trained on whole frames: training\.rays=null"):
        replace(splat, training=on_rays)
    with pytest.raises(ValueError, match="the field paper is trained on rays"):
        replace(preset("paper"), training=splat.training)


def test_the_difference_that_explains_the_others_comes_first():
    splat, paper = to_json(preset("splat")), to_json(preset("paper"))
    assert first_difference(splat, paper) == "avatar.kind splat, now paper"
    assert first_difference(splat, to_json(override(preset("splat"), ["avatar.start=77"]))).endswith(", now 77")
    assert first_difference(splat, splat) == ""


def test_settings_replace_what_they_name_and_nothing_else():
    config = override(
        toy_run(),
        [
            "training.steps=9",
            "training.learning_rate=1",
            "avatar.sampling.density=softplus",
            "avatar.fine.skip_layer=null",
            'avatar.coarse.planes={"channels": 3}',
            "data.half_res=true",
        ],
    )
    expected = toy_run(
        replace(
            AVATAR,
            sampling=replace(AVATAR.sampling, density="softplus"),
            fine=replace(FIELD, skip_layer=None),
            coarse=replace(FIELD, planes=PlanesConfig(channels=3)),
        ),
        steps=9,
        learning_rate=1.0,
    )
    assert config == replace(expected, data=DataConfig(half_res=True))
    assert isinstance(config.training.learning_rate, float)


def test_a_missing_group_or_name_is_one_line():
    value = to_json(toy_run())
    for name in ("avatar", "preset"):
        with pytest.raises(UserError, match=name):
            from_json({key: item for key, item in value.items() if key != name}, "somewhere.json")


def test_every_setting_is_read_by_something():
    """House rule: no key that nobody reads. A field counts as read where some module takes it as an attribute."""
    read = set()
    for file in Path(nerface.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            # `self.name` in the class that defines it (its own validation) does not count as a use.
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                owner = node.value.id if isinstance(node.value, ast.Name) else ""
                if owner != "self":
                    read.add(node.attr)
    unread = [f"{cls.__name__}.{name}" for cls in classes() for name in names(cls) if name not in read]
    assert not unread


def names(cls: type) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def classes() -> list[type]:
    """RunConfig and every dataclass below it."""
    import typing

    found: list[type] = []
    waiting: list[type] = [RunConfig, *CONFIGS.values()]
    while waiting:
        cls = waiting.pop()
        if cls in found:
            continue
        found.append(cls)
        for hint in typing.get_type_hints(cls).values():
            options = typing.get_args(hint) or (hint,)
            waiting += [option for option in options if dataclasses.is_dataclass(option)]
    return found


def test_the_search_for_unread_settings_sees_every_class():
    found = {cls.__name__ for cls in classes()}
    assert {"RunConfig", "TrainingConfig", "PaperConfig", "FieldConfig", "SamplingConfig", "PlanesConfig"} <= found
    assert "SplatConfig" in found
