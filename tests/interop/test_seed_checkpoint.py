"""The seed's checkpoints come in and go out bit for bit, and what does not fit is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nerface.checkpoint import TrainingState, load_checkpoint, restore_optimizer, save_checkpoint
from nerface.data import load_dataset
from nerface.errors import UserError
from nerface.interop.seed_checkpoint import load_seed_checkpoint, open_seed
from nerface.interop.seed_config import read_seed_config
from nerface.interop.seed_export import save_seed_checkpoint
from nerface.presets import preset
from nerface.rendering.volume import render_rays
from nerface.training.begin import describe, make_optimizer
from nerface.types import Rays
from tests.data.make import write_tiny_dataset
from tests.interop.seed_made import (
    CLASSES,
    COMPRESSED,
    LEARNABLE,
    PAPER,
    changed,
    layers_of,
    seed_checkpoint,
    seed_config,
    seed_network,
    write_checkpoint,
    write_config,
)
from tests.toys import toy_avatar, toy_run

LAYERS, WIDTH, EXPRESSIONS = 3, 16, 5
KEYS = ["iter", "model_coarse_state_dict", "model_fine_state_dict", "optimizer_state_dict", "loss", "psnr"]
KEYS += ["background", "latent_codes"]


@pytest.fixture(scope="module")
def person(tmp_path_factory) -> Path:
    return write_tiny_dataset(tmp_path_factory.mktemp("seed") / "person")


def _config(folder: Path, kind: str = LEARNABLE, **changes):
    config = seed_config(kind, LAYERS, WIDTH)
    for path, value in changes.items():
        config = changed(config, path.replace("__", "."), value)
    return read_seed_config(write_config(folder, config))


def _content(kind: str = LEARNABLE, fine: bool = True, **changes):
    layers = layers_of(kind, EXPRESSIONS, layers=LAYERS, width=WIDTH)
    return {**seed_checkpoint(layers, layers if fine else None), **changes}


def _load(folder: Path, person: Path, content, kind: str = LEARNABLE, **changes):
    file = write_checkpoint(folder, content)
    return load_seed_checkpoint(file, _config(folder, kind, **changes), load_dataset(person))


def _same(one, other) -> bool:
    return type(one) is type(other) and (torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other)


@pytest.mark.parametrize("kind", CLASSES)
def test_loaded_networks_are_the_seed_s(tmp_path, person, kind):
    """F7, F24: a stored class gives the numbers of the seed's formulas, with (d_z, near, far) in place of the view."""
    content = _content(kind)
    avatar = _load(tmp_path, person, content, kind).avatar
    generator = torch.Generator().manual_seed(2)
    origins, directions = torch.zeros(9, 3), torch.randn(9, 3, generator=generator)
    expression = torch.randn(EXPRESSIONS, generator=generator)
    row = avatar.condition_rows(expression[None], avatar.latent_codes[1:2])
    seen = []

    def watched(positions, views, condition):
        sigma, rgb = avatar.coarse(positions, views, condition)
        seen.append((positions[:, 0], sigma[:, 0], rgb[:, 0]))
        return sigma, rgb

    with torch.no_grad():
        rays = Rays(origins, directions, None, avatar.view_input(directions))
        render_rays((watched, None), rays, row, replace(avatar.config.sampling, fine=0))
    accident = torch.stack([directions[:, 2], torch.full((9,), 0.2), torch.full((9,), 0.8)], dim=-1)
    state = content["model_coarse_state_dict"]
    sigma, rgb = seed_network(kind, state, seen[0][0], accident, expression, content["latent_codes"][1])
    torch.testing.assert_close(seen[0][1], sigma, rtol=1e-4, atol=2e-6)
    torch.testing.assert_close(seen[0][2], torch.sigmoid(rgb), rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("kind", CLASSES)
def test_round_trip_is_exact(tmp_path, person, kind):
    """F22, F23: weights, codes, background, optimiser and step, back to the seed's file bit for bit."""
    content = _content(kind)
    loaded = _load(tmp_path, person, content, kind)
    save_seed_checkpoint(tmp_path / "back.ckpt", loaded, force=True)  # 5 expression channels, not the seed's 76
    back = torch.load(tmp_path / "back.ckpt", weights_only=True)
    assert list(back) == KEYS
    for stage in ("coarse", "fine"):
        before, after = content[f"model_{stage}_state_dict"], back[f"model_{stage}_state_dict"]
        assert list(before) == list(after)
        odd = [name for name in before if not torch.equal(before[name], after[name])]
        assert odd == (["layers_dir.3.weight", "layers_dir.3.bias"] if kind == PAPER else [])
    assert _same(content["background"], back["background"])
    assert _same(content["latent_codes"], back["latent_codes"])
    assert back["iter"] == content["iter"] == 7
    before, after = content["optimizer_state_dict"], back["optimizer_state_dict"]
    assert before["param_groups"] == after["param_groups"]
    assert list(before["state"]) == list(after["state"])
    for number, moments in before["state"].items():
        assert list(moments) == list(after["state"][number])
        assert all(_same(value, after["state"][number][key]) for key, value in moments.items())


def test_the_optimiser_numbers_of_the_paper_s_networks(tmp_path, person):
    """F22: 0 to 25 coarse, 26 to 51 fine, 52 codes, 53 background, nothing of the unused layers (spec 4.6)."""
    loaded = _load(tmp_path, person, _content(PAPER), PAPER)
    save_seed_checkpoint(tmp_path / "back.ckpt", loaded, force=True)
    saved = torch.load(tmp_path / "back.ckpt", weights_only=True)["optimizer_state_dict"]
    assert [group["params"] for group in saved["param_groups"]] == [list(range(53)), [53]]
    assert sorted(saved["state"]) == [number for number in range(53) if number not in (22, 23, 48, 49)]
    assert saved["state"][52]["exp_avg"].shape == (4, 32)
    assert saved["state"][14]["exp_avg"].shape == (1, 256)  # fc_alpha
    assert saved["state"][50]["exp_avg"].shape == (3, 128)  # fc_rgb of the fine network


def test_a_torch_optimiser_of_the_seed_s_layout_takes_the_state(tmp_path, person):
    """F22: what is written loads into Adam over parameters in the seed's order."""
    save_seed_checkpoint(tmp_path / "back.ckpt", _load(tmp_path, person, _content(PAPER), PAPER), force=True)
    back = torch.load(tmp_path / "back.ckpt", weights_only=True)
    parameters = [torch.nn.Parameter(v) for s in ("coarse", "fine") for v in back[f"model_{s}_state_dict"].values()]
    parameters.append(torch.nn.Parameter(back["latent_codes"]))
    adam = torch.optim.Adam([{"params": parameters}, {"params": [torch.nn.Parameter(back["background"])]}], lr=1.0)
    adam.load_state_dict(back["optimizer_state_dict"])
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    adam.step()
    assert adam.state[parameters[52]]["step"] == 9  # 8 steps were done up to iteration 7


def test_what_is_told_by_the_file(tmp_path, person):
    """F23, F24: the step after the stored one, the accidental direction input, codes that can go on learning (B4)."""
    loaded = _load(tmp_path, person, _content())
    assert loaded.state == TrainingState(8, 0.0)
    assert loaded.config.avatar.direction == loaded.avatar.config.direction == "z_near_far"
    assert loaded.config.avatar.background == "plate"
    assert loaded.avatar.subject == describe(load_dataset(person))
    optimizer = make_optimizer(loaded.avatar, loaded.config.training)
    restore_optimizer(optimizer, loaded.avatar, loaded.optimizer)
    codes = loaded.avatar.latent_codes
    assert codes.requires_grad
    assert any(parameter is codes for group in optimizer.param_groups for parameter in group["params"])
    assert optimizer.state[codes]["step"] == 8


def test_loading_leaves_the_generator_alone(tmp_path, person):
    state = torch.random.get_rng_state()
    _load(tmp_path, person, _content())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_coarse_network_alone(tmp_path, person):
    config = changed(seed_config(LEARNABLE, LAYERS, WIDTH), "models.fine", None)
    seed = read_seed_config(write_config(tmp_path, config))
    for fine in (False, True):  # a fine network that the config leaves out is left out, its parameter numbers counted
        content = _content(fine=fine)
        loaded = load_seed_checkpoint(write_checkpoint(tmp_path, content, f"{fine}.ckpt"), seed, load_dataset(person))
        assert loaded.avatar.fine is None
        moments = content["optimizer_state_dict"]["state"][28 if fine else 14]
        assert torch.equal(loaded.optimizer["latent_codes.exp_avg"], moments["exp_avg"])
    save_seed_checkpoint(tmp_path / "back.ckpt", loaded, force=True)
    assert torch.load(tmp_path / "back.ckpt", weights_only=True)["model_fine_state_dict"] is None


@pytest.mark.parametrize("codes", [None, torch.zeros(32)])
def test_checkpoints_without_latent_codes(tmp_path, person, codes):
    """`disable_latent_codes` writes None or one useless code (B7)."""
    content = _content(latent_codes=codes)
    for group in content["optimizer_state_dict"]["param_groups"][:1]:
        content["optimizer_state_dict"]["state"].pop(group["params"].pop())
    loaded = _load(tmp_path, person, content)
    assert not loaded.config.avatar.use_latent
    assert loaded.avatar.latent_codes.shape == (4, 32)
    assert not loaded.avatar.latent_codes.any()
    save_seed_checkpoint(tmp_path / "back.ckpt", loaded, force=True)
    back = torch.load(tmp_path / "back.ckpt", weights_only=True)
    assert torch.equal(back["latent_codes"], torch.zeros(32))
    assert not _load(tmp_path, person, back).config.avatar.use_latent


def test_learned_backgrounds(tmp_path, person):
    """F13, F22: one that is no 8-bit picture was learned, and goes on learning with the optimiser's state."""
    learned = torch.rand(16, 20, 3, generator=torch.Generator().manual_seed(0))
    content = _content(background=learned)
    number = content["optimizer_state_dict"]["param_groups"][1]["params"][0]
    content["optimizer_state_dict"]["state"][number] = {"step": torch.tensor(8.0), "exp_avg": learned / 9}
    loaded = _load(tmp_path, person, content)
    assert loaded.config.avatar.background == "trainable"
    assert torch.equal(loaded.avatar.trained_background, learned)
    assert torch.equal(loaded.optimizer["trained_background.exp_avg"], learned / 9)
    save_seed_checkpoint(tmp_path / "back.ckpt", loaded, force=True)
    assert torch.equal(torch.load(tmp_path / "back.ckpt", weights_only=True)["background"], learned)
    with pytest.raises(UserError, match=r"learned background is 8x20x3, the pictures of .* are 16x20x3"):
        _load(tmp_path, person, _content(background=learned[:8]))


def test_checkpoints_without_a_background(tmp_path, person):
    """F14: None means that the field was trained to paint the backdrop; no key at all says nothing."""
    loaded = _load(tmp_path, person, _content(background=None))
    assert loaded.config.avatar.background == "none"
    save_seed_checkpoint(tmp_path / "back.ckpt", loaded, force=True)
    assert torch.load(tmp_path / "back.ckpt", weights_only=True)["background"] is None
    content = _content()
    content.pop("background")
    loaded, plate = _load(tmp_path, person, content), load_dataset(person).background
    assert loaded.config.avatar.background == "plate"
    assert torch.equal(loaded.avatar.background, torch.from_numpy(plate.copy()))


def test_a_plate_of_another_size_is_the_dataset_s(tmp_path, person):
    loaded = _load(tmp_path, person, _content(background=torch.zeros(64, 64, 3)))
    assert torch.equal(loaded.avatar.background, torch.from_numpy(load_dataset(person).background.copy()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iter": -1}, "'iter' is not a count"),
        ({"iter": "7"}, "'iter' is not a count"),
        ({"model_coarse_state_dict": None}, "'model_coarse_state_dict' is not a network's state"),
        ({"model_coarse_state_dict": {"a": 1}}, "'model_coarse_state_dict.a' is not a tensor"),
        ({"model_coarse_state_dict": {"a": torch.zeros(2, dtype=torch.int64)}}, "not a tensor of real numbers"),
        ({"latent_codes": torch.tensor([[float("nan")]])}, "'latent_codes' holds NaN or infinity"),
        ({"latent_codes": torch.zeros(1).expand(1 << 40, 32)}, "'latent_codes' claims more numbers than the file"),
        ({"optimizer_state_dict": {"state": {}}}, "is not the state of an optimiser"),
        ({"optimizer_state_dict": 3}, "is not the state of an optimiser"),
        ({"latent_codes": torch.zeros(9, 32)}, "holds 9 latent codes, .* has 4 training frames"),
        ({"model_fine_state_dict": None}, "holds no fine network, but the config names one"),
    ],
)
def test_parts_that_do_not_fit(tmp_path, person, changes, message):
    with pytest.raises(UserError, match=message) as refused:
        _load(tmp_path, person, _content(**changes))
    assert "\n" not in str(refused.value)


def test_a_config_of_another_class(tmp_path, person):
    with pytest.raises(UserError, match=f"coarse network .* {PAPER} .*: it looks like {LEARNABLE}"):
        _load(tmp_path, person, _content(), PAPER)
    with pytest.raises(
        UserError, match=f"holds layers_expr.0.bias, which {LEARNABLE} does not have: it .* {COMPRESSED}$"
    ):
        _load(tmp_path, person, _content(COMPRESSED))


def test_shapes_that_do_not_fit_the_config(tmp_path, person):
    """The tensor, both shapes, and what to do."""
    fault = "fc_alpha.weight of its coarse network is 1x16|layer1.weight of its coarse network is 16x100"
    with pytest.raises(UserError, match=f"({fault}), the config .* makes it .*: use the config and the dataset"):
        _load(tmp_path, person, _content(), models__coarse__hidden_size=24)
    changes = {f"models__{stage}__num_encoding_fn_xyz": 6 for stage in ("coarse", "fine")}
    with pytest.raises(
        UserError, match=r"layer1.weight .* is 16x100, the config \(with 5 .* 32 latent ones\) makes it 16x76"
    ):
        _load(tmp_path, person, _content(), **changes)


def test_an_optimiser_that_does_not_fit(tmp_path, person):
    content = _content()
    content["optimizer_state_dict"]["state"][0]["exp_avg"] = torch.zeros(3, 3)
    with pytest.raises(
        UserError, match=r"optimiser's exp_avg of parameter 0 is 3x3, coarse.layers_xyz.0.weight is 16x100"
    ):
        _load(tmp_path, person, content)
    content["optimizer_state_dict"]["param_groups"][0]["params"] = [0, 1]
    with pytest.raises(UserError, match="its optimiser knows 2 parameters, the networks have 28"):
        _load(tmp_path, person, content)
    content.pop("optimizer_state_dict")
    loaded = _load(tmp_path, person, content)  # enough to render
    assert loaded.optimizer == {}


def test_old_optimiser_states_count_steps_in_whole_numbers(tmp_path, person):
    content = _content()
    for moments in content["optimizer_state_dict"]["state"].values():
        moments["step"] = 8
    loaded = _load(tmp_path, person, content)
    assert _same(loaded.optimizer["latent_codes.step"], torch.tensor(8.0))


def test_open_all_at_once(tmp_path, person):
    """F24: config, checkpoint and dataset in one call; the train split need not be decoded, or be there."""
    config = write_config(tmp_path, seed_config(LEARNABLE, LAYERS, WIDTH))
    file = write_checkpoint(tmp_path, _content())
    whole = open_seed(config, file, person)
    part = open_seed(config, file, person, splits=("test",), settings=["avatar.sampling.drawn_coarse=5"])
    least = open_seed(config, file, person, splits=None)
    assert whole.checkpoint.avatar.subject == part.checkpoint.avatar.subject == describe(whole.dataset)
    assert list(part.dataset.splits) == ["test"]
    assert list(least.dataset.splits) == ["val"]
    assert part.checkpoint.config.avatar.sampling.drawn_coarse == 5
    assert not part.checkpoint.avatar.training
    ours = tmp_path / "avatar.safetensors"
    save_checkpoint(ours, whole.checkpoint.avatar, whole.checkpoint.config, whole.checkpoint.state)
    again = open_seed(config, ours, person, splits=("test",))
    assert again.config.run == again.checkpoint.config == whole.checkpoint.config
    with pytest.raises(UserError, match=r"trained with avatar.direction=z_near_far: a network cannot be shown view"):
        open_seed(config, file, person, settings=["avatar.direction=view"])
    for name in ("transforms_train.json", "transforms_val.json"):
        (person / name).rename(person / f"_{name}")
    try:
        alone = open_seed(config, file, person, splits=("test",))
    finally:
        for name in ("transforms_train.json", "transforms_val.json"):
            (person / f"_{name}").rename(person / name)
    assert alone.checkpoint.avatar.latent_codes.shape == (4, 32)


def test_what_the_seed_cannot_hold(tmp_path):
    """F22: refused with the reason, unless an edit of the seed's code would do."""

    def refuse(message, avatar_config, force=True):
        avatar = toy_avatar(avatar_config)
        save_checkpoint(tmp_path / "a.safetensors", avatar, toy_run(avatar_config), TrainingState(3, 0.0))
        with pytest.raises(UserError, match=message):
            save_seed_checkpoint(tmp_path / "out.ckpt", load_checkpoint(tmp_path / "a.safetensors"), force)
        assert not (tmp_path / "out.ckpt").exists()

    paper = preset("paper").avatar
    refuse("its fine network has feature planes", replace(paper, fine=preset("tiny").avatar.fine))
    refuse(r"coarse network \(7 layers by 256", replace(paper, coarse=replace(paper.coarse, trunk_layers=7)))
    refuse("standardised expressions", preset("tiny").avatar)
    refuse("standardised expressions", replace(paper, expression_input="standardised"))
    refuse("softplus", replace(paper, sampling=replace(paper.sampling, density="softplus")))
    accident = replace(paper, direction="z_near_far")
    refuse("view directions, NeRFace's code feeds .*--force", paper, force=False)
    refuse("3 expression channels, NeRFace's code 76", accident, force=False)


def test_a_forced_file_keeps_its_direction(tmp_path, person):
    paper = toy_run(replace(_load(tmp_path, person, _content()).config.avatar, direction="view"))
    avatar = toy_avatar(paper.avatar, describe(load_dataset(person)))
    save_checkpoint(tmp_path / "a.safetensors", avatar, paper, TrainingState(0, 0.0))
    save_seed_checkpoint(tmp_path / "out.ckpt", load_checkpoint(tmp_path / "a.safetensors"), force=True)
    loaded = load_seed_checkpoint(tmp_path / "out.ckpt", _config(tmp_path), load_dataset(person))
    assert loaded.config.avatar.direction == "view"
    with pytest.raises(UserError, match=r"out.ckpt exists already"):
        save_seed_checkpoint(tmp_path / "out.ckpt", loaded, force=True)
