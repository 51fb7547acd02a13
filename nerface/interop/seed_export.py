"""Writes a checkpoint of ours as one that the seed's trainer and evaluator load.

Format: `nerface.interop.seed_file`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nerface.checkpoint import Checkpoint
from nerface.config import TrainingConfig
from nerface.errors import UserError
from nerface.fields.paper import PaperConfig
from nerface.files import whole_file
from nerface.interop.seed_file import DIRECTION_KEY, LEVELS
from nerface.interop.seed_models import SeedModel, model_of_field, paper_config, spare_shape, tensor_names
from nerface.training.loop import learning_rate

EXPRESSION_CHANNELS, LATENT_CHANNELS = 76, 32  # written into the seed's classes


def save_seed_checkpoint(path: Path, checkpoint: Checkpoint, force: bool = False) -> None:
    """Write `checkpoint` to the new file `path` in the seed's format, whole or not at all.

    The layer that the seed stores but never uses is written as zeros, a loss that is not known as NaN. With `force`,
    what the seed's code would need an edit for is written too.

    Raises `UserError` where the file exists, and for an avatar that the seed's classes cannot hold, or (without
    `force`) that its code as released would draw wrongly.
    """
    if path.exists():
        raise UserError(f"{path} exists already and nothing is overwritten: choose another name")
    coarse, fine = seed_classes(_settings(checkpoint))
    for fault in _edits_needed(checkpoint):
        if not force:
            raise UserError(f"NeRFace's code as released would draw this avatar wrongly: {fault} (--force writes it)")
    content = _content(checkpoint, coarse, fine)
    with whole_file(path) as partial:
        torch.save(content, partial)


def seed_classes(avatar: PaperConfig) -> tuple[SeedModel, SeedModel | None]:
    """The seed's classes of an avatar's networks. Raises `UserError` for networks that are none of the seed's."""
    stages = {"coarse": avatar.coarse} | ({"fine": avatar.fine} if avatar.sampling.fine else {})
    found: list[SeedModel] = []
    for stage, field in stages.items():
        model = model_of_field(field, avatar.expression_input)
        if field.planes is not None:
            raise UserError(f"NeRFace's code cannot hold this avatar: its {stage} network has feature planes")
        if avatar.expression_input == "standardised" or avatar.sampling.density != "relu":
            odd = "standardised expressions" if avatar.expression_input == "standardised" else "a softplus density"
            raise UserError(f"NeRFace's code cannot hold this avatar: it has {odd}")
        if model is None:
            raise UserError(
                f"NeRFace's code cannot hold this avatar: its {stage} network ({field.trunk_layers} layers by "
                f"{field.width}, {field.colour_layers} for colour) is none of its classes"
            )
        found.append(model)
    return found[0], found[1] if len(found) == 2 else None


def _settings(checkpoint: Checkpoint) -> PaperConfig:
    return paper_config(checkpoint.config.avatar, "the avatar")


def _edits_needed(checkpoint: Checkpoint) -> list[str]:
    """What of an avatar the released code gets wrong unless it is edited."""
    avatar, config = checkpoint.avatar, _settings(checkpoint)
    faults = []
    if config.direction == "view":
        faults.append("its networks know true view directions, NeRFace's code feeds (d_z, near, far)")
    if len(avatar.expression_names) != EXPRESSION_CHANNELS:
        faults.append(
            f"it has {len(avatar.expression_names)} expression channels, NeRFace's code {EXPRESSION_CHANNELS}"
        )
    if config.latent_channels != LATENT_CHANNELS:
        faults.append(f"it has {config.latent_channels} latent channels, NeRFace's code {LATENT_CHANNELS}")
    if not config.use_expression:
        faults.append("it was trained without expressions, NeRFace's code would feed them")
    if not config.use_latent:
        faults.append("it was trained without latent codes, NeRFace's code would feed some")
    if config.background != "plate" or checkpoint.config.data.white_background:
        kind = "on white" if checkpoint.config.data.white_background else f"with the background '{config.background}'"
        faults.append(f"it was trained {kind}, NeRFace's evaluator puts bg/00050.png behind it")
    if config.refine_poses:
        faults.append("it was trained with corrected poses, which NeRFace's code does not know")
    if config.refine_colours:
        faults.append("it was trained with the exposure of each frame, which NeRFace's code does not know")
    return faults


def _content(checkpoint: Checkpoint, coarse: SeedModel, fine: SeedModel | None) -> dict[str, Any]:
    avatar, config = checkpoint.avatar, _settings(checkpoint)
    background: Tensor | None = None
    if config.background != "none":
        learned = avatar.trained_background
        # A product, not a quotient: what a GPU makes of the seed's division, so that a plate comes back bit for bit.
        background = _host(avatar.background.float() * (1 / LEVELS) if learned is None else learned)
    loss, level = _loss(checkpoint)
    content = {
        "iter": max(0, checkpoint.state.step - 1),  # the seed names a checkpoint after the last step's number
        "model_coarse_state_dict": _network(checkpoint, "coarse", coarse),
        "model_fine_state_dict": None if fine is None else _network(checkpoint, "fine", fine),
        "optimizer_state_dict": _optimizer(checkpoint, coarse, fine),
        "loss": torch.tensor(loss),
        "psnr": level,
        "background": background,
        "latent_codes": _host(avatar.latent_codes) if config.use_latent else torch.zeros(config.latent_channels),
    }
    if config.direction != "z_near_far":
        content[DIRECTION_KEY] = config.direction
    return content


def _host(value: Tensor) -> Tensor:
    return value.detach().cpu().clone()


def _loss(checkpoint: Checkpoint) -> tuple[float, float]:
    """The last known loss, and the seed's PSNR: of the sum of both networks' squared errors."""
    if not checkpoint.state.losses:
        return math.nan, math.nan
    loss, first, last = checkpoint.state.losses[-1][:3]
    both = first + (last if _settings(checkpoint).sampling.fine else 0.0)
    return loss, -10.0 * math.log10(max(both, 1e-12))


def _network(checkpoint: Checkpoint, stage: str, model: SeedModel) -> OrderedDict[str, Tensor]:
    field = getattr(_settings(checkpoint), stage)
    ours = checkpoint.avatar.state_dict()
    return OrderedDict(
        (seed, _host(ours[f"{stage}.{name}"]) if name else torch.zeros(spare_shape(seed, field)))
        for seed, name in tensor_names(model, field)
    )


def _optimizer(checkpoint: Checkpoint, coarse: SeedModel, fine: SeedModel | None) -> dict[str, Any]:
    """The state of the seed's optimiser: one group of networks and latent codes, one of the background."""
    config = _settings(checkpoint)
    names = [f"coarse.{name}" if name else "" for _, name in tensor_names(coarse, config.coarse)]
    if fine is not None:
        names += [f"fine.{name}" if name else "" for _, name in tensor_names(fine, config.fine)]
    names += ["latent_codes"] if config.use_latent else []
    first = len(names)
    names += ["trained_background"] if config.background != "none" else []
    numbers = {name: number for number, name in enumerate(names) if name}
    state: dict[int, dict[str, Tensor]] = {}
    for full, value in checkpoint.optimizer.items():
        name, _, key = full.rpartition(".")
        if name in numbers:
            state.setdefault(numbers[name], {})[key] = _host(value)
    groups = _groups(checkpoint.config.training, checkpoint.state.step, first, len(names) - first)
    return {"state": dict(sorted(state.items())), "param_groups": groups}


def _groups(training: TrainingConfig, step: int, first: int, second: int) -> list[dict[str, Any]]:
    """PyTorch's own description of the two groups, with the rate that the seed sets after a step."""
    groups = [{"params": [nn.Parameter(torch.zeros(0)) for _ in range(count)]} for count in (first, second) if count]
    kind = getattr(torch.optim, training.optimizer)
    described: list[dict[str, Any]] = kind(groups, lr=learning_rate(training, max(0, step - 1))).state_dict()[
        "param_groups"
    ]
    return described
