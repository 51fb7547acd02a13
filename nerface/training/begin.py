"""Where a training run begins: the dataset as its settings want it, a fresh or a stored avatar, the optimiser."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from nerface.checkpoint import (
    Checkpoint,
    TrainingState,
    checkpoint_path,
    checkpoints,
    load_checkpoint,
    restore_optimizer,
    save_checkpoint,
    versions,
)
from nerface.config import RunConfig, TrainingConfig, first_difference, to_json
from nerface.data.dataset import SPLITS, Dataset, load_dataset
from nerface.data.still import best_still_image
from nerface.driving.limits import seen_angles
from nerface.errors import UserError
from nerface.fields import Avatar, Subject, build_avatar
from nerface.files import read_json, refuse_existing, write_json
from nerface.progress import SILENT, Progress
from nerface.training.corrections import STATE

# What each optimiser remembers of a parameter.
STATES = {
    "Adam": {"step", "exp_avg", "exp_avg_sq"},
    "AdamW": {"step", "exp_avg", "exp_avg_sq"},
    "RAdam": {"step", "exp_avg", "exp_avg_sq"},
    "NAdam": {"step", "exp_avg", "exp_avg_sq", "mu_product"},
    "Adamax": {"step", "exp_avg", "exp_inf"},
    "Adagrad": {"step", "sum"},
    "RMSprop": {"step", "square_avg"},
    "SGD": set[str](),
}
FRAMES_TO_REFINE = 8  # of each step, where their poses are corrected
MASK_PENALTY = 0.02
EXPOSURE_NOISE = 0.005  # spread of the logarithm of gains that coding alone makes of a locked camera
CORRECTED = ("pose_corrections", "colour_corrections")  # parameters that no optimiser of torch moves
FUSED = ("Adam", "AdamW")  # the optimisers with one kernel for all parameters on CUDA


def load_for(
    config: RunConfig,
    folder: Path | str,
    progress: Progress = SILENT,
    *,
    splits: Sequence[str] = SPLITS,
    background_required: bool | None = None,
) -> Dataset:
    """The dataset in `folder` as a run of `config` wants it; errors as `load_dataset`.

    A plate is required where the avatar is drawn over one, unless `background_required` says otherwise.
    """
    data, drawn_over = config.data, config.avatar.background == "plate"
    return load_dataset(
        folder,
        half_res=data.half_res,
        test_skip=data.test_skip,
        train_share=data.train_share,
        white_background=data.white_background,
        splits=splits,
        background_required=drawn_over if background_required is None else background_required,
        progress=progress,
    )


def decided(config: RunConfig, dataset: Dataset) -> RunConfig:
    """`config` with what it leaves to the dataset decided: corrections, frames of a step, the penalty by masks."""
    avatar, tracked = config.avatar, dataset.poses_estimated
    spread = float(np.log(dataset.train.exposures).std(axis=0).max())
    # White behind the person was never filmed, so no gain applies to it.
    measured = spread > EXPOSURE_NOISE and not config.data.white_background
    masked = MASK_PENALTY if tracked and dataset.train.masks is not None else 0.0
    poses = tracked if avatar.refine_poses is None else avatar.refine_poses
    colours = measured if avatar.refine_colours is None else avatar.refine_colours
    frames = config.training.frames or (FRAMES_TO_REFINE if poses else 1)
    return dataclasses.replace(
        config,
        avatar=dataclasses.replace(avatar, refine_poses=poses, refine_colours=colours),
        training=dataclasses.replace(
            config.training,
            frames=min(frames, config.training.rays or frames),
            mask_penalty=masked if config.training.mask_penalty is None else config.training.mask_penalty,
        ),
    )


def describe(dataset: Dataset) -> Subject:
    """What an avatar trained on `dataset` remembers of it."""
    train_split, stats = dataset.splits["train"], dataset.expression_stats
    rotations = train_split.camera_to_head[:, :3, :3]
    mean = rotations.mean(axis=0)
    rest = int(np.argmin(((rotations - mean) ** 2).sum(axis=(1, 2))))
    return Subject(
        expression_names=tuple(dataset.expression_names),
        expression_mean=tuple(map(float, stats.mean)),
        expression_std=tuple(map(float, stats.std)),
        expression_min=tuple(map(float, stats.min)),
        expression_max=tuple(map(float, stats.max)),
        intrinsics=dataset.intrinsics,
        rest_pose=tuple(tuple(map(float, row)) for row in train_split.camera_to_head[rest]),
        seen_angles=seen_angles(train_split.camera_to_head),
        train_frames=len(train_split),
        frame_rate=dataset.frame_rate,
        source=str(dataset.source.get("file") or dataset.root.name),
    )


def make_optimizer(avatar: Avatar, settings: TrainingConfig) -> torch.optim.Optimizer:
    """The optimiser over fields, latent codes and, where learned, the background (spec 4.2).

    Corrections of frames are moved by `nerface.training.corrections`.
    """
    apart = {id(one) for one in (avatar.pose_corrections, avatar.colour_corrections) if one is not None}
    groups = avatar.parameter_groups([one for one in avatar.parameters() if id(one) not in apart])
    fused = {"fused": True} if avatar.device.type == "cuda" and settings.optimizer in FUSED else {}
    optimizer: torch.optim.Optimizer = getattr(torch.optim, settings.optimizer)(
        groups, lr=settings.learning_rate, **fused
    )
    return optimizer


def begin(
    dataset: Dataset, run: Path, config: RunConfig, device: torch.device, start: Checkpoint | None, resume: bool
) -> tuple[Avatar, TrainingState, torch.optim.Optimizer]:
    """A fresh avatar in a fresh folder, that of `start`, or the newest checkpoint's."""
    subject = describe(dataset)
    newest = next(checkpoints(run), None) if resume else None
    if resume and (run / "config.json").is_file():
        _check_same_settings(run, config)
    elif not (resume and _untouched(run)):
        refuse_existing(run)
    if newest is None:
        record = {"config": to_json(config), "dataset": str(dataset.root), "versions": versions()}
        if start is not None:
            _check_start(start, config, subject)
        avatar = (_fresh(dataset, config, subject) if start is None else start.avatar).train().to(device)
        optimizer, state = make_optimizer(avatar, config.training), TrainingState(0, 0.0)
        if start is not None:
            state = dataclasses.replace(start.state, seconds=0.0)  # of this run
            if start.optimizer:
                restore_optimizer(optimizer, avatar, start.optimizer)
            # At once, so that a run killed before its own first checkpoint does not go on from random weights.
            save_checkpoint(checkpoint_path(run, state.step), avatar, config, state, optimizer)
        write_json(run / "config.json", record)
        return avatar, state, optimizer
    saved_run = load_checkpoint(newest, device)
    if saved_run.avatar.subject != subject:
        raise UserError(f"{newest} was trained on another dataset than {dataset.root}: resume with the same one")
    optimizer = make_optimizer(saved_run.avatar, config.training)
    if saved_run.optimizer:  # a run that began from an avatar file and got no further has none
        restore_optimizer(optimizer, saved_run.avatar, saved_run.optimizer)
    return saved_run.avatar, saved_run.state, optimizer


def _fresh(dataset: Dataset, config: RunConfig, subject: Subject) -> Avatar:
    """An untrained avatar of the dataset's subject, with its plate."""
    torch.manual_seed(config.training.seed)
    avatar = build_avatar(config.avatar, subject)
    if dataset.background is not None:
        plate, unseen = np.array(dataset.background), np.array(dataset.background_unseen)
        avatar.set_background(torch.from_numpy(plate), torch.from_numpy(unseen))
    elif config.avatar.background == "plate":
        raise UserError(f"{dataset.root} has no background plate: add bg/00050.png, or train without one")
    if avatar.trained_background is not None:  # as the seed begins it (spec 4.7)
        avatar.trained_background.data = torch.from_numpy(best_still_image(dataset.train)).float() / 255.0
    if avatar.colour_corrections is not None:
        avatar.colour_corrections.data = torch.from_numpy(np.log(dataset.train.exposures))
    avatar.prepare(dataset, torch.Generator().manual_seed(config.training.seed))
    return avatar


def _check_start(start: Checkpoint, config: RunConfig, subject: Subject) -> None:
    """Raise `UserError` where a run of `config` on `subject` cannot go on from `start`."""
    trained = start.config.avatar  # files of other programs leave corrections open: they have none
    trained = dataclasses.replace(
        trained, refine_poses=bool(trained.refine_poses), refine_colours=bool(trained.refine_colours)
    )
    if trained != config.avatar:
        fault = first_difference(to_json(start.config)["avatar"], to_json(config)["avatar"])
        raise UserError(f"the checkpoint is of another field than the settings ask for ({fault})")
    if start.state.step >= config.training.steps:
        raise UserError(
            f"the checkpoint has done {start.state.step} steps, training.steps is {config.training.steps}: there is "
            "nothing left to do; raise it with --set training.steps=N"
        )
    if start.optimizer:
        _check_optimizer(start, config)
    known = start.avatar.subject
    if (known.train_frames, len(known.expression_names)) != (subject.train_frames, len(subject.expression_names)):
        raise UserError(
            f"the checkpoint knows {known.train_frames} training frames with {len(known.expression_names)} expression "
            f"channels, the dataset has {subject.train_frames} with {len(subject.expression_names)}: use its own, "
            f"with the same data.train_share"
        )


def _check_optimizer(start: Checkpoint, config: RunConfig) -> None:
    """Raise `UserError` where the state in a checkpoint is not that of the optimiser asked for, or not whole."""
    wanted = STATES[config.training.optimizer]
    found: dict[str, set[str]] = {}
    for full in start.optimizer:
        name, _, key = full.rpartition(".")
        found.setdefault(name, set()).add(key)
    for name, keys in found.items():
        if keys != (STATE if name in CORRECTED else wanted):
            raise UserError(
                f"the checkpoint's optimiser holds {', '.join(sorted(keys))} for {name}, {config.training.optimizer} "
                f"needs {', '.join(sorted(wanted)) or 'nothing'}: go on with the optimiser that it was trained with"
            )


def _check_same_settings(run: Path, config: RunConfig) -> None:
    """A run may be resumed to go on for more steps, with everything else as it was."""
    stored, asked = read_json(run / "config.json"), to_json(config)
    try:
        saved = stored["config"]
        saved["training"]["steps"] = asked["training"]["steps"]
    except (KeyError, TypeError):
        raise UserError(f"{run / 'config.json'} is not one that a training run wrote: choose a new folder") from None
    if saved != asked:
        raise UserError(
            f"{run} was begun with other settings ({first_difference(saved, asked)}): resume with those, "
            "or choose a new folder"
        )


def _untouched(run: Path) -> bool:
    """Whether a run was stopped before its first file was whole: it goes on from the beginning."""
    return not run.exists() or (run.is_dir() and all(path.name.startswith(".partial-") for path in run.iterdir()))
