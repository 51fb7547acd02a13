"""The training loop, top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float

from nerface.checkpoint import Checkpoint, TrainingState, checkpoint_path, prune_checkpoints, save_checkpoint
from nerface.config import RunConfig, TrainingConfig
from nerface.data.dataset import Dataset
from nerface.errors import UserError
from nerface.fields import Avatar, make_ready
from nerface.fields.base import PixelBatch
from nerface.precision import autocast
from nerface.progress import SILENT, Progress
from nerface.training.begin import begin, decided
from nerface.training.corrections import FrameCorrections
from nerface.training.frames import FrameStore
from nerface.training.log import RunLog, tensorboard_writer
from nerface.training.losses import LOSSES, background_loss, colour_loss, latent_loss, mask_loss, psnr, ssim_loss
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
    start: Checkpoint | None = None,
    max_seconds: float | None = None,
    tensorboard: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = SILENT,
) -> TrainingResult:
    """Train an avatar on `dataset`; write the run's folder: config.json, log.jsonl, checkpoints/, avatar.safetensors.

    A run stopped at any moment goes on with `resume` from its newest checkpoint exactly: everything random in step i is
    drawn from a generator seeded with (seed, i), so weights, optimiser and the number i are the whole state. `start` is
    a checkpoint of another program or run that a new run goes on from, its optimiser included where it has one.
    `max_seconds` ends a run early (of training time, set-up and validation not counted); `stop` is asked before each
    step and ends it with a checkpoint to resume from. `tensorboard` adds event files (extra `[tensorboard]`).

    Raises `UserError` where the folder holds something already, or, with `resume`, anything but a run of the same
    configuration and dataset (a run stopped before it wrote anything begins), and where `start` does not fit them.
    """
    device, config = torch.device(device), decided(config, dataset)
    settings = config.training
    if tensorboard:
        tensorboard_writer()  # before the run's folder is begun
    make_ready(config.avatar, device)  # before the clock runs
    avatar, state, optimizer = begin(dataset, run, config, device, start, resume)
    log = RunLog(run / "log.jsonl", state.step, tensorboard)
    frames = FrameStore(dataset, device, masks=bool(settings.mask_penalty))
    corrections = FrameCorrections(dataset, settings, device)
    validation = Validation(dataset, device, settings.seed)
    step, seconds = state.step, state.seconds
    losses = [torch.tensor(row, device=device) for row in state.losses]
    progress.start("training", settings.steps)
    progress.advance(step)
    clock, stopped = time.perf_counter(), False
    budget = math.inf if max_seconds is None else max_seconds
    while step < settings.steps and not (stopped := stop()) and seconds + time.perf_counter() - clock < budget:
        losses.append(training_step(avatar, optimizer, frames, corrections, settings, step))
        step += 1
        progress.advance(1)
        if step % settings.log_every == 0 or step == settings.steps:
            line, losses = _means(losses, settings, run, step), []
            seconds, clock = _lap(seconds, clock)
            line |= corrections.figures(avatar)
            log.write({"step": step, **line, "lr": learning_rate(settings, step), "seconds": seconds})
            held_out = "" if log.validation is None else f", held out {log.validation:.2f}"
            progress.advance(0, f"PSNR {line['psnr']:.2f} dB{held_out}")
        if len(validation) and (step % settings.validate_every == 0 or step == settings.steps):
            seconds, _ = _lap(seconds, clock, device)
            log.write({"step": step, **validation.measure(avatar, settings.precision), "seconds": seconds})
            if tensorboard:
                log.write_pictures(step, validation.pictures(avatar, settings.precision))
            clock = time.perf_counter()
        if step % settings.save_every == 0 and step != settings.steps:
            seconds, _ = _lap(seconds, clock, device)
            _save(run, avatar, config, _state(step, seconds, losses), optimizer)
            clock = time.perf_counter()
    log.close()
    seconds, _ = _lap(seconds, clock, device)
    final = _state(step, seconds, losses)
    _save(run, avatar, config, final, optimizer)
    if not stopped:
        save_checkpoint(run / "avatar.safetensors", avatar, config, final)
    return TrainingResult(avatar, run / "avatar.safetensors", final, log.validation, not stopped)


def training_step(
    avatar: Avatar,
    optimizer: torch.optim.Optimizer,
    frames: FrameStore,
    corrections: FrameCorrections,
    settings: TrainingConfig,
    step: int,
) -> Float[torch.Tensor, " row"]:
    """One step of gradient descent; gives its row of `LOSSES` (detached, on the device)."""
    generator = torch.Generator(frames.device).manual_seed(settings.seed * 1_000_003 + step)
    batch = frames.draw(settings, generator)
    with autocast(frames.device, settings.precision):
        renderings = avatar.render_batch(batch, generator)
    colours = [avatar.recorded(stage.colour, batch.frames) for stage in renderings]
    errors = [colour_loss(colour, batch.target) for colour in colours]
    code_loss = latent_loss(avatar.latent_codes[batch.frames], settings.latent_penalty_form)
    loss = torch.stack([likeness_loss(colour, batch, settings) for colour in colours]).sum()
    loss = loss + settings.latent_penalty * code_loss + corrections.penalty(avatar, batch.frames)
    if (own := avatar.penalty(batch)) is not None:
        loss = loss + own
    bg_loss = torch.zeros_like(loss)
    if settings.background_penalty and avatar.trained_background is not None:
        bg_loss = background_loss(batch.of(avatar.trained_background), batch.target, renderings[-1].opacity)
        loss = loss + settings.background_penalty * bg_loss
    if settings.mask_penalty and batch.mask is not None:
        misses = [mask_loss(rendering.opacity, batch.mask) for rendering in renderings]
        loss = loss + settings.mask_penalty * torch.stack(misses).sum()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(settings, step) * group.get("rate", 1.0)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    corrections.step(avatar, optimizer, batch.frames, step)
    avatar.adapt(optimizer, generator, step, settings.steps)
    return torch.stack([loss, errors[0], errors[-1], code_loss, bg_loss]).detach()


def likeness_loss(
    colour: Float[torch.Tensor, "pixels 3"], batch: PixelBatch, settings: TrainingConfig
) -> Float[torch.Tensor, ""]:
    """How far a rendering is from the batch's target: the colour loss, mixed with 1 - SSIM of whole frames."""
    loss = colour_loss(colour, batch.target, settings.colour_loss, batch.weight)
    if not settings.ssim_weight:
        return loss
    shape = (-1, batch.intrinsics.height, batch.intrinsics.width, 3)
    pictures, targets = colour.reshape(shape).movedim(-1, 1), batch.target.reshape(shape).movedim(-1, 1)
    return (1 - settings.ssim_weight) * loss + settings.ssim_weight * ssim_loss(pictures, targets)


def learning_rate(settings: TrainingConfig, step: int) -> float:
    """The rate of step `step` (from 0): exponential decay (spec 4.3, step 7)."""
    return settings.learning_rate * settings.decay_factor ** (step / (settings.decay_steps or settings.steps))


def _means(losses: list[torch.Tensor], settings: TrainingConfig, run: Path, step: int) -> dict[str, float]:
    """The means of rows of `LOSSES`, and the PSNR in dB of the last rendering; `UserError` where they are none."""
    means = dict(zip(LOSSES, torch.stack(losses).mean(dim=0).tolist()))
    if not math.isfinite(means["loss"]):
        raise UserError(f"{run}: the loss is no number any more at step {step}: lower training.learning_rate")
    if not settings.background_penalty:
        means.pop("bg_loss")
    return {**means, "psnr": float(psnr(torch.tensor(means["fine_loss"])))}


def _save(run: Path, avatar: Avatar, config: RunConfig, state: TrainingState, optimizer: torch.optim.Optimizer) -> None:
    save_checkpoint(checkpoint_path(run, state.step), avatar, config, state, optimizer)
    prune_checkpoints(run)


def _state(step: int, seconds: float, losses: list[torch.Tensor]) -> TrainingState:
    return TrainingState(step, seconds, tuple(tuple(row.tolist()) for row in losses))


def _lap(seconds: float, clock: float, device: torch.device | None = None) -> tuple[float, float]:
    """Training seconds so far (once `device` has done its work), and the time now."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
    now = time.perf_counter()
    return seconds + now - clock, now
