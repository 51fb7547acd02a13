"""The seed's checkpoints as ours, and ours as the seed's.

Format: `nerface.interop.seed_file`. Networks, latent codes, background, optimiser and step cross bit for bit, both
ways; the one layer that the seed stores but never uses (`layers_dir.3`) is left behind and written as zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nerface.checkpoint import Checkpoint, TrainingState, find_checkpoint, load_checkpoint
from nerface.config import RunConfig, override
from nerface.data.dataset import SPLITS, Dataset, Split
from nerface.data.seed_layout import read_split
from nerface.errors import UserError
from nerface.fields import Avatar, Subject, build_avatar
from nerface.interop.seed_config import SeedConfig, read_seed_config
from nerface.interop.seed_file import LEVELS, SeedFile, read_seed_file
from nerface.interop.seed_models import SeedModel, model_of_tensors, paper_config, tensor_names
from nerface.progress import SILENT, Progress
from nerface.training.begin import describe, load_for

LEVEL_TOLERANCE = 1e-3  # of a level: float32 holds a level divided by 255 to about 1e-5
OURS = ".safetensors"


@dataclass(frozen=True)
class OpenedSeed:
    """A seed's config with everything it names: `checkpoint` holds the avatar, `dataset` the splits asked for."""

    config: SeedConfig
    checkpoint: Checkpoint
    dataset: Dataset


def open_seed(
    config: Path,
    checkpoint: Path,
    basedir: Path | None = None,
    *,
    device: torch.device | str = "cpu",
    settings: Sequence[str] = (),
    splits: Sequence[str] | None = SPLITS,
    progress: Progress = SILENT,
) -> OpenedSeed:
    """Read a config of the seed's form, a checkpoint of it (the seed's or one of ours) and its dataset.

    `basedir` takes the place of the config's; `settings` ("name=value") change the run's, as `--set` does. `splits` of
    the dataset are loaded (None: the shortest alone). The avatar is ready to render (not in training mode).

    Raises `UserError` for whatever of the three is missing or does not fit.
    """
    seed = read_seed_config(config)
    folder = seed.dataset_folder(basedir)
    seed = replace(seed, run=override(seed.run, list(settings)))
    ours = is_ours(checkpoint)
    stored = load_checkpoint(find_checkpoint(checkpoint), device) if ours else read_seed_file(checkpoint)
    run = stored.config if isinstance(stored, Checkpoint) else adapted(seed.run, stored, settings)
    # What a checkpoint of ours was trained on counts more than the config, and the user's own settings most.
    wanted = replace(run, data=override(run, list(settings)).data) if ours else run
    dataset = load_for(wanted, folder, progress, splits=_shortest(folder) if splits is None else splits)
    seed = replace(seed, run=run)
    if isinstance(stored, SeedFile):
        stored = checkpoint_of(stored, seed, dataset, device)
    stored.avatar.eval()
    return OpenedSeed(seed, stored, dataset)


def is_ours(path: Path) -> bool:
    """Whether `path` is named like a file of ours or is a run's folder, and not a `.ckpt` of the seed."""
    return path.is_dir() or path.suffix == OURS


def _shortest(folder: Path) -> tuple[str]:
    """The split with the fewest frames, but some."""
    counts = {name: len(read_split(folder, name)) for name in SPLITS if (folder / f"transforms_{name}.json").exists()}
    filled = {name: count for name, count in counts.items() if count}
    return (min(filled, key=lambda name: filled[name]) if filled else SPLITS[0],)


def load_seed_checkpoint(
    path: Path, config: SeedConfig, dataset: Dataset, device: torch.device | str = "cpu"
) -> Checkpoint:
    """The checkpoint that the seed's trainer wrote with `config` on `dataset`, ready to go on training from.

    Its step is the stored iteration + 1: the seed saves after the step of that number. Nothing in the file is executed.

    Raises `UserError` for what `read_seed_file` refuses, and for networks, codes or a background that do not fit the
    config or the dataset (naming the tensor and both shapes).
    """
    file = read_seed_file(path)
    return checkpoint_of(file, replace(config, run=adapted(config.run, file)), dataset, device)


def adapted(run: RunConfig, file: SeedFile, settings: Sequence[str] = ()) -> RunConfig:
    """`run` with what the config does not say but the checkpoint does.

    The direction input is the seed's (d_z, near, far); a background that is no 8-bit picture was learned; without one,
    the field was trained to paint the backdrop; without a table of latent codes, zeros took their place. `settings` are
    the user's own, which count more, except that a network's direction input cannot be changed afterwards.
    """
    avatar = replace(paper_config(run.avatar, file.path), direction=file.direction)
    if file.background is not None and not _is_picture(file.background):
        avatar = replace(avatar, background="trainable")
    elif file.background is None and file.has_background and avatar.background == "plate":
        avatar = replace(avatar, background="none")
    codes = file.latent_codes
    if codes is None or codes.ndim == 1:
        avatar = replace(avatar, use_latent=False)
    else:
        avatar = replace(avatar, latent_channels=codes.shape[-1])
    chosen = override(replace(run, avatar=avatar), list(settings))
    direction = paper_config(chosen.avatar, "what --set asks for").direction
    if direction != file.direction:
        raise UserError(
            f"{file.path} was trained with avatar.direction={file.direction}: a network cannot be shown "
            f"{direction} instead"
        )
    return chosen


def checkpoint_of(
    file: SeedFile, config: SeedConfig, dataset: Dataset, device: torch.device | str = "cpu"
) -> Checkpoint:
    """What `file` holds, as `config.run` (already `adapted` to it) and `dataset` understand it; see
    `load_seed_checkpoint`."""
    subject = _subject(dataset, file)
    with torch.random.fork_rng(devices=[]):  # every drawn weight is replaced: leave the caller's generator alone
        avatar = build_avatar(config.run.avatar, subject)
    state = {name: value for name, value in avatar.state_dict().items() if not name.startswith(("coarse.", "fine."))}
    state |= _network(file, "coarse", config.coarse, avatar)
    if config.fine is not None:
        state |= _network(file, "fine", config.fine, avatar)
    if file.latent_codes is not None and file.latent_codes.ndim == 2:
        state["latent_codes"] = file.latent_codes
    avatar.load_state_dict(state)
    _put_background(avatar, file, dataset)
    optimizer = _optimizer(file, config, avatar)
    return Checkpoint(avatar.to(device), config.run, TrainingState(file.iteration + 1, 0.0), optimizer)


def _is_picture(background: Tensor) -> bool:
    """Whether colours in [0, 1] are those of an 8-bit picture, not learned ones."""
    levels = background * LEVELS
    return bool(
        ((levels - levels.round()).abs() < LEVEL_TOLERANCE).all() and levels.min() > -0.5 and levels.max() < 256
    )


def _subject(dataset: Dataset, file: SeedFile) -> Subject:
    """What `describe` gives; the train split's pictures need not be loaded for it, and it may be missing altogether."""
    codes = file.latent_codes
    if "train" in dataset.splits:
        subject = describe(dataset)
        if codes is not None and codes.ndim == 2 and len(codes) != subject.train_frames:
            raise UserError(
                f"{file.path} holds {len(codes)} latent codes, one a training frame, but {dataset.root} has "
                f"{subject.train_frames} training frames: name the dataset it was trained on"
            )
        return subject
    name = "train" if (dataset.root / "transforms_train.json").exists() else next(iter(dataset.splits))
    table = read_split(dataset.root, name)
    poses = Split(
        camera_to_head=table.camera_to_head,
        expressions=table.expressions,
        sampling_boxes=table.sampling_boxes,
        head_boxes=table.head_boxes,
        images=np.zeros((0, 1, 1, 3), dtype=np.uint8),
        masks=None,
        source_frames=table.source_frames,
        timestamps=table.timestamps,
        exposures=table.exposures,
        names=table.names,
    )
    subject = describe(replace(dataset, splits={"train": poses}))
    return subject if codes is None or codes.ndim == 1 else replace(subject, train_frames=len(codes))


def _network(file: SeedFile, stage: str, model: SeedModel, avatar: Avatar) -> dict[str, Tensor]:
    """The tensors of one network under our names, checked against the avatar's."""
    found = file.coarse if stage == "coarse" else file.fine
    if found is None:
        raise UserError(f"{file.path} holds no fine network, but the config names one: take models.fine out of it")
    wanted = avatar.state_dict()
    pairs = tensor_names(model, getattr(avatar, stage).config)
    odd = sorted(found.keys() ^ {seed for seed, _ in pairs})
    if odd:
        kind = model_of_tensors(found)
        fault = f"holds {odd[0]}, which" if odd[0] in found else f"lacks {odd[0]}, which"
        has = "does not have" if odd[0] in found else "has"
        hint = f"it looks like {kind}" if kind else "is it the config that it was trained with?"
        raise UserError(f"{file.path}: its {stage} network {fault} {model.name} {has}: {hint}")
    for seed, ours in pairs:
        given, needed = tuple(found[seed].shape), tuple(wanted[f"{stage}.{ours}"].shape) if ours else None
        if needed is not None and given != needed:
            raise UserError(
                f"{file.path}: {seed} of its {stage} network is {_size(given)}, the config "
                f"(with {len(avatar.expression_names)} expression channels and {avatar.latent_codes.shape[1]} latent "
                f"ones) makes it {_size(needed)}: use the config and the dataset that it was trained with"
            )
    return {f"{stage}.{ours}": found[seed] for seed, ours in pairs if ours}


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _put_background(avatar: Avatar, file: SeedFile, dataset: Dataset) -> None:
    """The checkpoint's plate, or the dataset's where it has none, or one of another size (as the seed's evaluator)."""
    known = dataset.background
    if known is not None:
        avatar.set_background(torch.from_numpy(np.array(known)), torch.from_numpy(np.array(dataset.background_unseen)))
    plate = file.background
    if plate is None:
        return
    fits = plate.shape == avatar.background.shape
    if avatar.trained_background is not None:
        if not fits:
            raise UserError(
                f"{file.path}: its learned background is {_size(tuple(plate.shape))}, the pictures of {dataset.root} "
                f"are {_size(tuple(avatar.background.shape))}: use the dataset that it was trained on"
            )
        avatar.trained_background.data.copy_(plate)
    elif fits:
        avatar.set_background((plate * LEVELS).round().to(torch.uint8), avatar.background_unseen)


def _optimizer(file: SeedFile, config: SeedConfig, avatar: Avatar) -> dict[str, Tensor]:
    """The optimiser's state under the avatar's parameter names (empty where the file has none)."""
    if not file.groups:
        return {}
    names = parameter_names(file, config)
    shapes = {name: parameter.shape for name, parameter in avatar.named_parameters()}
    found = {}
    for number, name in names.items():
        if name not in shapes:
            continue
        for key, value in file.optimizer.get(number, {}).items():
            if value.shape not in (shapes[name], ()):
                raise UserError(
                    f"{file.path}: the optimiser's {key} of parameter {number} is {_size(tuple(value.shape))}, {name} "
                    f"is {_size(tuple(shapes[name]))}: the file does not hold together"
                )
            found[f"{name}.{key}"] = value.float()
    return found


def parameter_names(file: SeedFile, config: SeedConfig) -> dict[int, str]:
    """Our name of each parameter that the seed's optimiser numbers; empty for one that we do not have.

    Its first group holds the coarse network, the fine one and the latent codes in this order, its second the
    background (spec 4.6).
    """
    avatar = paper_config(config.run.avatar, config.file)
    names = [f"coarse.{ours}" if ours else "" for _, ours in tensor_names(config.coarse, avatar.coarse)]
    if config.fine is not None:
        names += [f"fine.{ours}" if ours else "" for _, ours in tensor_names(config.fine, avatar.fine)]
    elif file.fine is not None:
        names += [""] * len(file.fine)
    first, rest = file.groups[0], [number for group in file.groups[1:] for number in group]
    if len(first) not in (len(names), len(names) + 1):
        raise UserError(f"{file.path}: its optimiser knows {len(first)} parameters, the networks have {len(names)}")
    names += ["latent_codes"] * (len(first) - len(names))
    return dict(zip(first, names)) | dict(zip(rest, ["trained_background"]))
