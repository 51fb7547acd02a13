"""The training loop, top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nerface.checkpoint import (
    TrainingState,
    checkpoint_path,
    checkpoints,
    load_checkpoint,
    prune_checkpoints,
    restore_optimizer,
    save_checkpoint,
    versions,
)
from nerface.config import RunConfig, TrainingConfig, first_difference, to_json
from nerface.data.dataset import Dataset
from nerface.errors import UserError
from nerface.fields import Avatar, Subject, build_avatar
from nerface.files import read_json, refuse_existing, write_json
from nerface.precision import autocast
from nerface.progress import SILENT, Progress
from nerface.training.frames import FrameStore
from nerface.training.log import RunLog
from nerface.training.losses import colour_loss, latent_loss, mask_loss, psnr
from nerface.training.validation import Validation


@dataclass(frozen=True)
class TrainingResult:
    """What a run leaves: the trained `avatar`, its file, how far it got, and the last held-out PSNR in dB (or None).

    `finished` is False where the run was asked to stop; the avatar file is then not written, a checkpoint is.
    """

    avatar: Avatar
    avatar_file: Path
    state: TrainingState
    validation_psnr: float | None
    finished: bool


def train(
    dataset: Dataset,
    run: Path,
    config: RunConfig,
    *,
    device: torch.device | str = "cpu",
    resume: bool = False,
    max_seconds: float | None = None,
    tensorboard: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = SILENT,
) -> TrainingResult:
    """Train an avatar on `dataset`; write the run's folder: config.json, log.jsonl, checkpoints/, avatar.safetensors.

    A run stopped at any moment goes on with `resume` from its newest checkpoint exactly: everything random in step i is
    drawn from a generator seeded with (seed, i), so weights, optimiser and the number i are the whole state.
    `max_seconds` ends a run early (of training time, set-up and validation not counted); `stop` is asked before each
    step and ends it with a checkpoint to resume from. `tensorboard` adds event files (extra `[tensorboard]`).

    Raises `UserError` where the folder holds something already, or, with `resume`, anything but a run of the same
    configuration and dataset (a run stopped before it wrote anything begins).
    """
    device = torch.device(device)
    settings = config.training
    avatar, state, optimizer = _begin(dataset, run, config, device, resume)
    log = RunLog(run / "log.jsonl", state.step, tensorboard)
    frames = FrameStore(dataset, device, masks=settings.mask_penalty > 0)
    validation = Validation(dataset, device, settings.seed)
    step, seconds = state.step, state.seconds
    losses = [torch.tensor(value, device=device) for value in state.losses]
    errors = [torch.tensor(value, device=device) for value in state.errors]
    progress.start("training", settings.steps)
    progress.advance(step)
    clock, stopped = time.perf_counter(), False
    budget = math.inf if max_seconds is None else max_seconds
    while step < settings.steps and not (stopped := stop()) and seconds + time.perf_counter() - clock < budget:
        loss, error = training_step(avatar, optimizer, frames, settings, step)
        losses.append(loss)
        errors.append(error)
        step += 1
        progress.advance(1)
        if step % settings.log_every == 0 or step == settings.steps:
            mean, level = float(torch.stack(losses).mean()), float(psnr(torch.stack(errors).mean()))
            losses, errors = [], []
            if not math.isfinite(mean):
                raise UserError(f"{run}: the loss is no number any more at step {step}: lower training.learning_rate")
            seconds, clock = _lap(seconds, clock)
            rate = learning_rate(settings, step)
            log.write({"step": step, "loss": mean, "psnr": level, "lr": rate, "seconds": seconds})
            held_out = "" if log.validation is None else f", held out {log.validation:.2f}"
            progress.advance(0, f"PSNR {level:.2f} dB{held_out}")
        if len(validation) and (step % settings.validate_every == 0 or step == settings.steps):
            seconds, _ = _lap(seconds, clock, device)
            level = validation.psnr(avatar, settings.precision)
            log.write({"step": step, "validation_psnr": level, "seconds": seconds})
            clock = time.perf_counter()
        if step % settings.save_every == 0 and step != settings.steps:
            seconds, _ = _lap(seconds, clock, device)
            _save(run, avatar, config, _state(step, seconds, losses, errors), optimizer)
            clock = time.perf_counter()
    log.close()
    seconds, _ = _lap(seconds, clock, device)
    final = _state(step, seconds, losses, errors)
    _save(run, avatar, config, final, optimizer)
    if not stopped:
        save_checkpoint(run / "avatar.safetensors", avatar, config, final)
    return TrainingResult(avatar, run / "avatar.safetensors", final, log.validation, not stopped)


def training_step(
    avatar: Avatar, optimizer: torch.optim.Optimizer, frames: FrameStore, settings: TrainingConfig, step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step of gradient descent; gives the loss and the last rendering's squared error (detached, on device)."""
    generator = torch.Generator(frames.device).manual_seed(settings.seed * 1_000_003 + step)
    batch = frames.draw(settings.frames, settings.rays, settings.inside_weight, generator)
    with autocast(frames.device, settings.precision):
        renderings = avatar.render_batch(batch, generator)
    errors = [colour_loss(rendering.colour, batch.target) for rendering in renderings]
    loss = torch.stack(errors).sum() + settings.latent_penalty * latent_loss(avatar.latent_codes[batch.frames])
    if settings.mask_penalty and batch.mask is not None:
        misses = [mask_loss(rendering.opacity, batch.mask) for rendering in renderings]
        loss = loss + settings.mask_penalty * torch.stack(misses).sum()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(settings, step)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach(), errors[-1].detach()


def learning_rate(settings: TrainingConfig, step: int) -> float:
    """The rate of step `step` (from 0): exponential decay (spec 4.3, step 7)."""
    return settings.learning_rate * settings.decay_factor ** (step / settings.decay_steps)


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
        train_frames=len(train_split),
        frame_rate=dataset.frame_rate,
        source=str(dataset.source.get("file") or dataset.root.name),
    )


def make_optimizer(avatar: Avatar, settings: TrainingConfig) -> torch.optim.Adam:
    """Adam over fields and latent codes (spec 4.2)."""
    return torch.optim.Adam(avatar.parameters(), lr=settings.learning_rate, fused=avatar.device.type == "cuda")


def _begin(
    dataset: Dataset, run: Path, config: RunConfig, device: torch.device, resume: bool
) -> tuple[Avatar, TrainingState, torch.optim.Adam]:
    """A fresh avatar in a fresh folder, or the newest checkpoint's."""
    subject = describe(dataset)
    newest = next(checkpoints(run), None) if resume else None
    if resume and (run / "config.json").is_file():
        _check_same_settings(run, config)
    elif not (resume and _untouched(run)):
        refuse_existing(run)
    if newest is None:
        record = {"config": to_json(config), "dataset": str(dataset.root), "versions": versions()}
        write_json(run / "config.json", record)
        torch.manual_seed(config.training.seed)
        avatar = build_avatar(config.avatar, subject)
        assert dataset.background is not None
        avatar.set_background(
            torch.from_numpy(np.array(dataset.background)), torch.from_numpy(np.array(dataset.background_unseen))
        )
        avatar = avatar.to(device)
        return avatar, TrainingState(0, 0.0), make_optimizer(avatar, config.training)
    saved_run = load_checkpoint(newest, device)
    if saved_run.avatar.subject != subject:
        raise UserError(f"{newest} was trained on another dataset than {dataset.root}: resume with the same one")
    optimizer = make_optimizer(saved_run.avatar, config.training)
    restore_optimizer(optimizer, saved_run.avatar, saved_run.optimizer)
    return saved_run.avatar, saved_run.state, optimizer


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


def _save(run: Path, avatar: Avatar, config: RunConfig, state: TrainingState, optimizer: torch.optim.Optimizer) -> None:
    save_checkpoint(checkpoint_path(run, state.step), avatar, config, state, optimizer)
    prune_checkpoints(run)


def _state(step: int, seconds: float, losses: list[torch.Tensor], errors: list[torch.Tensor]) -> TrainingState:
    return TrainingState(step, seconds, tuple(map(float, losses)), tuple(map(float, errors)))


def _lap(seconds: float, clock: float, device: torch.device | None = None) -> tuple[float, float]:
    """Training seconds so far (once `device` has done its work), and the time now."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
    now = time.perf_counter()
    return seconds + now - clock, now
