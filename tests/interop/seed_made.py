"""Configs and checkpoints of the seed's form, and its networks in plain torch, all written down from spec 2 to 4.

Nothing here uses nerface.interop: shapes, names and formulas stand as the spec has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from tests.data.make import write_tiny_dataset

PAPER = "ConditionalBlendshapePaperNeRFModel"
SMALLER = "ConditionalBlendshapePaperSmallerNeRFModel"
LEARNABLE = "ConditionalBlendshapeLearnableCodeNeRFModel"
COMPRESSED_CODE = "ConditionalCompressedBlendshapeLearnableCodeNeRFModel"
COMPRESSED = "ConditionalCompressedBlendshapeNeRFModel"
CLASSES = (PAPER, SMALLER, LEARNABLE, COMPRESSED_CODE, COMPRESSED)
POSITION, DIRECTION = 63, 24
TOY_LAYERS, TOY_WIDTH = 2, 8
TOY_SETTINGS = {
    "experiment.train_iters": 10,
    "experiment.print_every": 2,
    "experiment.validate_every": 5,
    "experiment.save_every": 100,
    "nerf.train.num_random_rays": 24,
    "nerf.train.num_coarse": 6,
    "nerf.train.num_fine": 4,
    "nerf.validation.num_coarse": 8,
}


def seed_config(kind: str = PAPER, layers: int = 4, width: int = 256) -> dict[str, Any]:
    """A config with every key of spec section 2, at its shipped value."""
    model = {
        "type": kind,
        "num_layers": layers,
        "hidden_size": width,
        "skip_connect_every": 3,
        "include_input_xyz": True,
        "include_input_dir": False,
        "num_encoding_fn_xyz": 10,
        "num_encoding_fn_dir": 4,
        "log_sampling_xyz": True,
        "log_sampling_dir": True,
        "use_viewdirs": True,
    }
    rendering = {
        "chunksize": 2048,
        "perturb": True,
        "num_coarse": 64,
        "num_fine": 64,
        "white_background": False,
        "radiance_field_noise_std": 0.1,
        "lindisp": False,
    }
    return {
        "experiment": {
            "id": "person_1",
            "logdir": "logs/person",
            "randomseed": 42,
            "train_iters": 1000000,
            "validate_every": 1000,
            "save_every": 5000,
            "print_every": 100,
            "device": 0,
        },
        "dataset": {
            "type": "blender",
            "basedir": "person",
            "half_res": False,
            "testskip": 1,
            "no_ndc": True,
            "near": 0.2,
            "far": 0.8,
            "cachedir": "cache",
            "downsample_factor": 1,
        },
        "models": {"coarse": dict(model), "fine": dict(model)},
        "optimizer": {"type": "Adam", "lr": 5e-4},
        "scheduler": {"lr_decay": 250, "lr_decay_factor": 0.1},
        "nerf": {
            "use_viewdirs": True,
            "encode_position_fn": "positional_encoding",
            "encode_direction_fn": "positional_encoding",
            "train": {"num_random_rays": 2048, **rendering},
            "validation": {"num_random_rays": 2048, **rendering, "radiance_field_noise_std": 0.0},
        },
    }


def changed(config: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The same config with one setting replaced, or taken out where `value` is ..."""
    *groups, name = path.split(".")
    copy = yaml.safe_load(yaml.safe_dump(config))
    place = copy
    for group in groups:
        place = place.setdefault(group, {})
    if value is ...:
        place.pop(name)
    else:
        place[name] = value
    return copy


def write_config(folder: Path, config: dict[str, Any], name: str = "config.yml") -> Path:
    """The config as the seed's trainer writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(yaml.safe_dump(config))
    return folder / name


def layers_of(kind: str, expressions: int, latents: int = 32, layers: int = 4, width: int = 256) -> dict[str, tuple]:
    """(outputs, inputs) of every linear layer of a class, in the order of registration."""
    seen = POSITION + expressions + latents
    if kind == PAPER:
        trunk = {f"layers_xyz.{k}": (256, {0: seen, 3: seen + 256}.get(k, 256)) for k in range(6)}
        colour = {f"layers_dir.{k}": (128, 128 if k else 256 + DIRECTION) for k in range(4)}
        return {**trunk, "fc_feat": (256, 256), "fc_alpha": (1, 256), **colour, "fc_rgb": (3, 128)}
    if kind == SMALLER:
        trunk = {f"layers_xyz.{k}": (256, {0: seen, 3: seen + 256}.get(k, 256)) for k in range(5)}
        colour = {f"layers_dir.{k}": (128, 128 if k else 256 + DIRECTION + expressions) for k in range(3)}
        return {**trunk, "fc_feat": (256, 256), "fc_alpha": (1, 256), **colour, "fc_rgb": (3, 128)}
    first: dict[str, tuple] = {}
    if kind == COMPRESSED_CODE:
        first, seen = {"layer_expr": (10, expressions)}, POSITION + 10 + latents
    if kind == COMPRESSED:
        first = {"layers_expr.0": (38, expressions), "layers_expr.1": (20, 38), "layers_expr.2": (20, 20)}
        seen = POSITION + 20
    trunk = {"layer1": (width, seen), **{f"layers_xyz.{k}": (width, width) for k in range(layers - 1)}}
    heads = {"fc_alpha": (1, width), "fc_rgb": (3, width // 2), "fc_feat": (width, width)}
    return {**first, **trunk, "layers_dir.0": (width // 2, width + DIRECTION), **heads}


def state_of(layers: dict[str, tuple], generator: torch.Generator) -> dict[str, Tensor]:
    """Random weights of the size that torch draws."""
    state = {}
    for name, (outputs, inputs) in layers.items():
        bound = inputs**-0.5
        state[f"{name}.weight"] = (2 * torch.rand(outputs, inputs, generator=generator) - 1) * bound
        state[f"{name}.bias"] = (2 * torch.rand(outputs, generator=generator) - 1) * bound
    return state


def seed_checkpoint(
    coarse: dict[str, tuple],
    fine: dict[str, tuple] | None,
    codes: tuple[int, int] = (4, 32),
    size: tuple[int, int] = (16, 20),
    iteration: int = 7,
) -> dict[str, Any]:
    """A checkpoint with random weights, codes, an 8-bit background [height, width, 3] and the state of Adam."""
    generator = torch.Generator().manual_seed(3)
    states = [state_of(layers, generator) for layers in (coarse, fine) if layers is not None]
    latent = 0.1 * torch.randn(*codes, generator=generator)
    background = torch.randint(0, 256, (*size, 3), generator=generator) * (1 / 255)
    parameters = [value for state in states for value in state.values()] + [latent]
    names = [name for state in states for name in state] + ["latent"]
    moments = {
        number: {
            "step": torch.tensor(iteration + 1.0),
            "exp_avg": 1e-3 * torch.randn(value.shape, generator=generator),
            "exp_avg_sq": 1e-6 * torch.rand(value.shape, generator=generator),
        }
        for number, (name, value) in enumerate(zip(names, parameters))
        if not name.startswith("layers_dir.3")
    }
    groups = [{"params": [torch.nn.Parameter(value) for value in part]} for part in (parameters, [background])]
    described = torch.optim.Adam(groups, lr=5e-4 * 0.1 ** (iteration / 250_000)).state_dict()["param_groups"]
    return {
        "iter": iteration,
        "model_coarse_state_dict": states[0],
        "model_fine_state_dict": states[1] if fine is not None else None,
        "optimizer_state_dict": {"state": moments, "param_groups": described},
        "loss": torch.tensor(0.01),
        "psnr": 20.0,
        "background": background,
        "latent_codes": latent,
    }


def write_checkpoint(folder: Path, content: Any, name: str = "checkpoint00007.ckpt") -> Path:
    """Saved as the seed's trainer does."""
    torch.save(content, folder / name)
    return folder / name


def write_toy(folder: Path) -> None:
    """config.yml, the dataset `person` that it names, and seed.ckpt, which was written after 8 steps of it."""
    config = seed_config(LEARNABLE, TOY_LAYERS, TOY_WIDTH)
    for path, value in TOY_SETTINGS.items():
        config = changed(config, path, value)
    write_config(folder, config)
    write_tiny_dataset(folder / "person")
    layers = layers_of(LEARNABLE, 5, layers=TOY_LAYERS, width=TOY_WIDTH)
    write_checkpoint(folder, seed_checkpoint(layers, layers), "seed.ckpt")


def encoded(values: Tensor, frequencies: int, raw: bool) -> Tensor:
    """Spec 3.1."""
    parts = [values] if raw else []
    for k in range(frequencies):
        parts += [torch.sin(2.0**k * values), torch.cos(2.0**k * values)]
    return torch.cat(parts, dim=-1)


def seed_network(
    kind: str, state: dict[str, Tensor], points: Tensor, directions: Tensor, expression: Tensor, latent: Tensor
) -> tuple[Tensor, Tensor]:
    """Raw density [N] and raw colour [N, 3] of a class at points [N, 3], as spec 3.2 and 3.3 describe it."""

    def linear(name: str, values: Tensor) -> Tensor:
        return F.linear(values, state[f"{name}.weight"], state[f"{name}.bias"])

    many = points.shape[0]
    scaled = expression / 3 if kind in (PAPER, SMALLER, LEARNABLE) else expression
    if kind == COMPRESSED_CODE:
        scaled = linear("layer_expr", scaled)
    if kind == COMPRESSED:
        for k in range(3):
            scaled = torch.relu(linear(f"layers_expr.{k}", scaled))
    scaled, latent = scaled.expand(many, -1), latent.expand(many, -1)
    seen = torch.cat([encoded(points, 10, True), scaled] + ([] if kind == COMPRESSED else [latent]), dim=-1)
    sight = encoded(directions, 4, False)
    if kind in (PAPER, SMALLER):
        hidden = seen
        for k in range(6 if kind == PAPER else 5):
            hidden = torch.relu(linear(f"layers_xyz.{k}", torch.cat([seen, hidden], dim=-1) if k == 3 else hidden))
        feature = linear("fc_feat", hidden)
        sigma = linear("fc_alpha", feature)
        colour = torch.cat([feature, sight] + ([scaled] if kind == SMALLER else []), dim=-1)
        for k in range(3):
            colour = torch.relu(linear(f"layers_dir.{k}", colour))
        return sigma[:, 0], linear("fc_rgb", colour)
    hidden = linear("layer1", seen)
    for k in range(sum(name.startswith("layers_xyz.") and name.endswith("weight") for name in state)):
        hidden = torch.relu(linear(f"layers_xyz.{k}", hidden))
    feature = torch.relu(linear("fc_feat", hidden))
    colour = torch.relu(linear("layers_dir.0", torch.cat([feature, sight], dim=-1)))
    return linear("fc_alpha", hidden)[:, 0], linear("fc_rgb", colour)
