"""Configs of the seed's form: every key means something, is named as idle, or is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nerface.config import DataConfig
from nerface.errors import UserError
from nerface.fields.paper import PaperConfig
from nerface.interop.seed_config import read_seed_config
from nerface.interop.seed_keys import KEYS
from nerface.presets import preset
from nerface.rendering.volume import SamplingConfig, for_drawing
from tests.interop.seed_made import (
    CLASSES,
    COMPRESSED,
    COMPRESSED_CODE,
    LEARNABLE,
    PAPER,
    SMALLER,
    changed,
    seed_config,
    write_config,
)


def _read(folder: Path, **changes):
    """The shipped config with settings ("a__b") changed."""
    config = seed_config()
    for path, value in changes.items():
        config = changed(config, path.replace("__", "."), value)
    return read_seed_config(write_config(folder, config))


def _without(folder: Path, group: str):
    config = seed_config()
    *above, name = group.split(".")
    place = config
    for step in above:
        place = place[step]
    del place[name]
    return read_seed_config(write_config(folder, config))


def test_a_shipped_config_is_the_paper_preset(tmp_path):
    """F5: every key of spec section 2 at its shipped value."""
    seed, paper = _read(tmp_path), preset("paper")
    assert replace(seed.run.avatar, refine_poses=None, refine_colours=None) == paper.avatar == PaperConfig()
    assert (seed.run.avatar.refine_poses, seed.run.avatar.refine_colours) == (False, False)  # NeRFace corrects nothing
    assert seed.run.training == replace(paper.training, steps=1_000_000)
    assert seed.run.data == DataConfig()
    assert (seed.coarse.name, seed.fine.name) == (PAPER, PAPER)
    assert (seed.id, seed.logdir, seed.basedir) == ("person_1", "logs/person", "person")
    assert seed.run_folder() == Path("logs/person/person_1")


def test_the_official_config_is_accepted(shared):
    """F5: a config that the seed's own trainer ran."""
    seed = read_seed_config(shared / "data" / "official" / "obama_config.yml")
    assert seed.run.avatar == PaperConfig(refine_poses=False, refine_colours=False)
    assert (seed.id, seed.basedir) == ("obama_paper_model", "./nerface_obama_256")


def test_settings_arrive(tmp_path):
    """F5, F9, F11, F19: numbers that differ from the shipped ones, each at its place."""
    seed = _read(
        tmp_path,
        experiment__train_iters=77,
        experiment__randomseed=5,
        experiment__validate_every=11,
        experiment__save_every=12,
        experiment__print_every=13,
        optimizer__type="RAdam",
        optimizer__lr=0.002,
        scheduler__lr_decay=400,
        scheduler__lr_decay_factor=0.5,
        nerf__train__num_random_rays=333,
        dataset__near=0.6,
        dataset__far=1.8,
        dataset__half_res=True,
        dataset__testskip=7,
        nerf__train__white_background=True,
        nerf__train__radiance_field_noise_std=0.2,
        nerf__train__lindisp=True,
        nerf__train__perturb=False,
        nerf__validation__num_coarse=16,
        nerf__validation__num_fine=128,
        models__coarse__log_sampling_xyz=False,
        models__coarse__log_sampling_dir=False,
    )
    training = seed.run.training
    assert (training.steps, training.seed, training.rays) == (77, 5, 333)
    assert (training.validate_every, training.save_every, training.log_every) == (11, 12, 13)
    assert (training.optimizer, training.learning_rate) == ("RAdam", 0.002)
    assert (training.decay_steps, training.decay_factor) == (400_000, 0.5)
    assert seed.run.data == DataConfig(half_res=True, test_skip=7, white_background=True)
    sampling = SamplingConfig(0.6, 1.8, noise=0.2, disparity=True, jitter=False, drawn_coarse=16, drawn_fine=128)
    assert seed.run.avatar.sampling == sampling
    assert (for_drawing(sampling).coarse, for_drawing(sampling).fine) == (16, 128)
    assert not seed.run.avatar.coarse.position_log
    assert not seed.run.avatar.fine.direction_log


def test_encodings_arrive(tmp_path):
    changes = {
        "num_encoding_fn_xyz": 6,
        "num_encoding_fn_dir": 2,
        "include_input_xyz": False,
        "include_input_dir": True,
    }
    stages = ("coarse", "fine")
    seed = _read(tmp_path, **{f"models__{stage}__{name}": value for stage in stages for name, value in changes.items()})
    for field in (seed.run.avatar.coarse, seed.run.avatar.fine):
        assert (field.position_frequencies, field.direction_frequencies) == (6, 2)
        assert (field.position_input, field.direction_input) == (False, True)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_coarse_network_s_sizes_are_both_networks(tmp_path, kind):
    """F7: `num_layers` and `hidden_size` decide where the class heeds them, and are named where it does not."""
    seed = _read(
        tmp_path,
        models__coarse__type=kind,
        models__fine__type=kind,
        models__coarse__num_layers=3,
        models__coarse__hidden_size=40,
        models__fine__num_layers=9,
    )
    avatar = seed.run.avatar
    assert avatar.fine == avatar.coarse
    sized = kind not in (PAPER, SMALLER)
    assert ((avatar.coarse.trunk_layers, avatar.coarse.width) == (3, 40)) == sized
    assert ("models.coarse.num_layers" in seed.ignored) != sized
    assert "models.fine.num_layers" in seed.ignored
    assert avatar.expression_input == ("raw" if kind in (COMPRESSED, COMPRESSED_CODE) else "divided")


def test_two_classes_in_one_config(tmp_path):
    seed = _read(tmp_path, models__fine__type=LEARNABLE)
    assert seed.run.avatar.coarse.trunk_layers == 6
    assert seed.run.avatar.fine.linear_first
    assert "models.coarse.num_layers" not in seed.ignored  # it is the fine network's


def test_no_fine_network(tmp_path):
    for seed in (_without(tmp_path, "models.fine"), _read(tmp_path, models__fine=None)):
        assert seed.fine is None
        assert seed.run.avatar.sampling.fine == 0
        assert for_drawing(seed.run.avatar.sampling).fine == 0
        assert {"nerf.train.num_fine", "nerf.validation.num_fine"} <= set(seed.ignored)


def test_without_view_directions(tmp_path):
    """B12: the seed crashes; here the network does without."""
    names = ("models__coarse__use_viewdirs", "models__fine__use_viewdirs", "nerf__use_viewdirs")
    seed = _read(tmp_path, **dict.fromkeys(names, False))
    assert seed.run.avatar.coarse.direction_width == 0
    with pytest.raises(UserError, match=r"models.fine.use_viewdirs and nerf.use_viewdirs differ"):
        _read(tmp_path, models__fine__use_viewdirs=False)


def test_directions_are_true_unless_asked_otherwise(tmp_path):
    """F24: fresh trainings see what the paper says; the accident has a name (see tests/apps/test_seed_train.py)."""
    assert _read(tmp_path).run.avatar.direction == "view"


def test_settings_without_effect_stand_in_one_line(tmp_path):
    """F5: dead keys are named in one warning line, those decided otherwise here in another, with the reason."""
    dead, decided = _read(tmp_path).warnings()
    assert dead.startswith(f"{tmp_path / 'config.yml'}: without effect, as in NeRFace's code: experiment.device, ")
    for name in ("dataset.cachedir", "models.coarse.hidden_size", "models.fine.skip_connect_every"):
        assert f", {name}" in dead
    assert "nerf.encode_position_fn" in dead
    assert "nerf.train.chunksize (memory" in decided
    assert "nerf.validation.perturb (drawing is deterministic)" in decided
    assert "\n" not in dead + decided


def test_no_setting_is_dropped_silently(tmp_path):
    """Each known key changes what is run, or is named as without effect, or is refused."""
    base = _read(tmp_path / "base")
    told_in: list[tuple[str, str]] = []
    other = {bool: lambda value: not value, int: lambda value: value + 4, float: lambda value: value + 0.125}
    for number, (path, key) in enumerate(KEYS.items()):
        value = seed_config()
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        value = other.get(key.kind, lambda value: f"{value}_other")(key.default if value is None else value)
        file = write_config(tmp_path / str(number), changed(seed_config(), path, value))
        try:
            seed = read_seed_config(file)
        except UserError as error:
            told_in.append((path.rpartition(".")[2], str(error)))
            continue
        told = path in seed.ignored or any(line.startswith(f"{path} ") for line in seed.decided)
        same = (seed.run, seed.id, seed.logdir, seed.basedir) == (base.run, base.id, base.logdir, base.basedir)
        assert told == same or path == "nerf.validation.perturb", path  # False is how drawing is here
    assert [(name, message) for name, message in told_in if name not in message] == []


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("experiment.train_iter", 5, "unknown setting 'experiment.train_iter', did you mean 'experiment.train_iters'"),
        ("nerf.num_coarse", 5, "'nerf.num_coarse', did you mean 'nerf.train.num_coarse'"),
        ("modles", {"a": 1}, "unknown setting 'modles', did you mean 'models'"),
        ("xyzzy", 1, "unknown setting 'xyzzy'$"),
        ("optimizer.weight_decay", 1, "unknown setting 'optimizer.weight_decay', did you mean 'scheduler.lr_decay'"),
        ("dataset.near", "close", "'dataset.near' must be a number, not 'close'"),
        ("dataset.near", True, "'dataset.near' must be a number, not True"),
        ("dataset.near", 0.9, r"near \(0.9\) must be less than far \(0.8\)"),
        ("dataset.far", float("inf"), "'dataset.far' must be a number, not inf"),
        ("dataset.half_res", 1, "'dataset.half_res' must be True or False, not 1"),
        ("experiment.id", ["a"], "'experiment.id' must be a text, not a list"),
        ("experiment.print_every", 0, "'experiment.print_every' must be at least 1: 0"),
        ("experiment.print_every", 2.5, "'experiment.print_every' must be a whole number, not 2.5"),
        ("experiment.print_every", None, "'experiment.print_every' must be a whole number, not None"),
        ("optimizer.lr", 0, "'optimizer.lr' must be greater than 0"),
        ("optimizer.type", "Adamm", "optimizer.type must be one of Adam, "),
        ("nerf", 3, "'nerf' must be a group of settings, not 3"),
        ("models.fine.type", "PaperNeRFModel", "models.fine.type: 'PaperNeRFModel' is no network class that works"),
        ("models.coarse.type", "MyModel", f"models.coarse.type: 'MyModel' .* no such class.*: use one of {PAPER}"),
        ("models.coarse.type", ..., "has no models.coarse.type"),
        ("models.fine.type", ..., "has no models.fine.type"),
        ("models.fine.type", COMPRESSED, "expressions in another scale"),
        ("models.fine.num_encoding_fn_xyz", 6, "models.fine.num_encoding_fn_xyz: 6, but models.coarse.* is 10"),
        ("dataset.no_ndc", False, "dataset.no_ndc: False .* gives garbage"),
        ("dataset.type", "llff", "dataset.type: 'llff' does not work in NeRFace's code either: use blender"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, path, value, message):
    with pytest.raises(UserError, match=message) as refused:
        read_seed_config(write_config(tmp_path, changed(seed_config(), path, value)))
    assert str(refused.value).startswith(str(tmp_path / "config.yml"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("layers", [1, 6, 8])
def test_depths_that_crash_in_the_seed_are_refused(tmp_path, layers):
    with pytest.raises(UserError, match=f"num_layers: {layers} layers, but {LEARNABLE} runs with 2 to 5"):
        _read(tmp_path, models__coarse__type=LEARNABLE, models__coarse__num_layers=layers)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no group 'models': is it a config of NeRFace's form"),
        ("- 1\n- 2\n", "no group 'models'"),
        ("models: [1\n", "line 2: not plain YAML"),
        ("models: !!python/object/apply:os.system ['touch pwned']\n", "line 1: not plain YAML .*python/object"),
        ("models: {coarse: &loop {type: *loop}}\n", "not plain YAML|must be a text"),
        ("\x00\x01", "not plain YAML"),
        ("models: \xff", "no group|must be a group|not plain YAML"),
    ],
)
def test_files_that_are_no_config(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=message) as refused:
        read_seed_config("config.yml")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "pwned").exists()


def test_a_config_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="there is no config"):
        read_seed_config(tmp_path / "none.yml")


def test_numbers_that_yaml_takes_for_texts(tmp_path):
    file = write_config(tmp_path, seed_config())
    file.write_text(file.read_text().replace("lr: 0.0005", "lr: 5e-4"))
    assert read_seed_config(file).run.training.learning_rate == 5e-4


def test_missing_settings_are_the_shipped_ones(tmp_path):
    text = "models: {coarse: {type: " + PAPER + "}, fine: {type: " + PAPER + "}}\n"
    (tmp_path / "least.yml").write_text(text)
    seed = read_seed_config(tmp_path / "least.yml")
    assert seed.run == _read(tmp_path).run
    assert seed.warnings() == []
    with pytest.raises(UserError, match="name the run with -o"):
        seed.run_folder()
    with pytest.raises(UserError, match=r"no dataset.basedir: name the dataset with --basedir"):
        seed.dataset_folder()


def test_where_the_dataset_is(tmp_path, monkeypatch):
    """Below the working directory as in the seed, else beside the config, else where the user says."""
    monkeypatch.chdir(tmp_path)
    seed = read_seed_config(write_config(tmp_path / "configs", seed_config()))
    with pytest.raises(UserError, match=r"no folder person .*--basedir"):
        seed.dataset_folder()
    (tmp_path / "configs" / "person").mkdir()
    assert seed.dataset_folder() == tmp_path / "configs" / "person"
    (tmp_path / "person").mkdir()
    assert seed.dataset_folder() == Path("person")
    assert seed.dataset_folder(tmp_path / "configs") == tmp_path / "configs"
    with pytest.raises(UserError, match="elsewhere is not a folder"):
        seed.dataset_folder(tmp_path / "elsewhere")
