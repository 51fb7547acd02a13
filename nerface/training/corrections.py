"""Corrections of single training frames, kept small and kept from moving what new frames will be given.

A field and the poses of its frames can be learned together only up to a motion of the whole head space: a common offset
of all corrections changes no picture once the field has followed it, and neither does a slow drift as long as a latent
code follows. A share of the head's own turn or of the expression, too, can go from pose to field and back: such a habit
of the tracker is in new frames as well, and a field that was trained without it draws them in the wrong place. New
frames come with poses as capture gives them, so all of these would be a fault in every one of them. They are taken out
after each step (a projection of the corrections onto what is neither slow nor linear in pose and expression), and a
Gaussian prior keeps the rest as small as the pictures allow.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from nerface.config import TrainingConfig
from nerface.data.dataset import Dataset
from nerface.data.order import temporal_numbers
from nerface.fields.base import Avatar
from nerface.video import DEFAULT_FRAME_RATE_HZ

# What a correction is measured in: as large as a tracker's errors usually are.
TURN_SIGMA = math.radians(1.0)
SHIFT_SIGMA = 0.003  # head units: some 4 mm at arm's length
LOG_GAIN_SIGMA = 0.02


class FrameCorrections:
    """The rules for `Avatar.pose_corrections` and `Avatar.colour_corrections` in a run on `dataset`."""

    def __init__(self, dataset: Dataset, settings: TrainingConfig, device: torch.device) -> None:
        split = dataset.splits["train"]
        slow = drift_basis(frame_times(dataset), settings.drift_period)
        habits = habit_columns(split.camera_to_head, split.expressions)
        # One frame's error is no habit: few frames do not tell the two apart.
        room = max(len(split) // FRAMES_A_HABIT - slow.shape[1], 0)
        drift = np.concatenate([slow, spanned(habits - slow @ (slow.T @ habits), most=room)], axis=1)
        self.drift = torch.from_numpy(drift.astype(np.float32)).to(device)
        self.log_exposures = torch.from_numpy(np.log(split.exposures)).to(device)
        self.sigmas = torch.tensor([TURN_SIGMA] * 3 + [SHIFT_SIGMA] * 3, device=device)
        self.settings = settings

    def penalty(self, avatar: Avatar, frames: Int[Tensor, " frames"]) -> Float[Tensor, ""]:
        """The priors on the corrections of the frames of a step: squares in units of what is usual, weighted.

        Gains of colour are held to the exposures that capture measured on the backdrop.
        """
        total = self.sigmas.new_zeros(())
        if avatar.pose_corrections is not None:
            total = total + self.settings.pose_penalty * (avatar.pose_corrections[frames] / self.sigmas).square().mean()
        if avatar.colour_corrections is not None:
            change = avatar.colour_corrections[frames] - self.log_exposures[frames]
            total = total + self.settings.colour_penalty * (change / LOG_GAIN_SIGMA).square().mean()
        return total

    @torch.no_grad()
    def step(self, avatar: Avatar, optimizer: torch.optim.Optimizer, frames: Int[Tensor, " frames"], step: int) -> None:
        """Move the corrections of the frames of a step, then take what is common out of all: offset and slow drift of
        poses, and the mean change of gains.

        `optimizer` lends room for what is remembered of each frame, so that checkpoints hold it.
        """
        poses, colours = avatar.pose_corrections, avatar.colour_corrections
        if step < self.settings.corrections_start:
            for waiting in (poses, colours):
                if waiting is not None:
                    waiting.grad = None
            return
        if poses is not None:
            _move_rows(poses, optimizer, frames, self.settings.pose_learning_rate * self.sigmas)
            poses.sub_(self.drift @ (self.drift.T @ poses))
        if colours is not None:
            rates = self.sigmas.new_full((3,), self.settings.colour_learning_rate * LOG_GAIN_SIGMA)
            _move_rows(colours, optimizer, frames, rates)
            colours.sub_((colours - self.log_exposures).mean(dim=0))  # all brighter is the field's affair

    @torch.no_grad()
    def figures(self, avatar: Avatar) -> dict[str, float]:
        """Mean size of the corrections, for the log: turn in degrees, shift in head units, gain as a share."""
        found = {}
        if avatar.pose_corrections is not None:
            turns, shifts = avatar.pose_corrections.split(3, dim=-1)
            found["pose_turn_deg"] = math.degrees(float(turns.norm(dim=-1).mean()))
            found["pose_shift"] = float(shifts.norm(dim=-1).mean())
        if avatar.colour_corrections is not None:
            found["colour_gain"] = float(avatar.colour_corrections.abs().mean())
        return found


# Adam's rates of forgetting, per visit of a frame: there are only tens of them.
MEAN_KEPT, SQUARE_KEPT = 0.8, 0.98
CALMING_VISITS = 10.0
STATE = {"visits", "exp_avg", "exp_avg_sq"}  # what is remembered of each frame


def _move_rows(
    values: torch.nn.Parameter,
    optimizer: torch.optim.Optimizer,
    frames: Int[Tensor, " frames"],
    rates: Float[Tensor, " parts"],
) -> None:
    """One step of Adam (Kingma and Ba 2015, algorithm 1) for the rows that had a part in the loss, and no others.

    Adam as it comes would go on moving all rows by what it remembers of their last gradients, for ten steps after each
    visit. Steps become shorter as a frame has been visited more often, so that corrections come to rest.
    """
    if values.grad is None:
        return
    gradient, values.grad = values.grad[frames], None
    state = optimizer.state[values]
    for name in STATE - state.keys():
        state[name] = torch.zeros_like(values)
    visits = state["visits"][frames] + 1
    mean = torch.lerp(gradient, state["exp_avg"][frames], MEAN_KEPT)
    square = torch.lerp(gradient.square(), state["exp_avg_sq"][frames], SQUARE_KEPT)
    state["visits"][frames], state["exp_avg"][frames], state["exp_avg_sq"][frames] = visits, mean, square
    size = (square / (1 - SQUARE_KEPT**visits)).sqrt() + 1e-12
    calm = (1 + visits / CALMING_VISITS).rsqrt()
    values[frames] -= rates * calm * mean / (1 - MEAN_KEPT**visits) / size


def frame_times(dataset: Dataset) -> Float[np.ndarray, " frames"]:
    """When each training frame was taken, in s: by its time stamp, else its number in the video, else its row."""
    split = dataset.train
    if np.isfinite(split.timestamps).all():
        return np.asarray(split.timestamps, dtype=np.float64)
    numbers = temporal_numbers(split.source_frames, dataset.index_map)
    known = numbers if (numbers >= 0).all() else np.arange(len(split))
    return np.asarray(known / (dataset.frame_rate or DEFAULT_FRAME_RATE_HZ), dtype=np.float64)


def drift_basis(times: Float[np.ndarray, " frames"], period: float) -> Float[np.ndarray, "frames functions"]:
    """Orthonormal columns that span what changes more slowly than in `period` seconds, a constant included.

    Cosines over the time of the clip, as in the discrete cosine transform, at the frames' own times.
    """
    length = max(float(np.ptp(times)), 1e-9)
    count = min(1 + int(2 * length / period), max(len(times) // 2, 1))
    place = (times - times.min()) / length
    return spanned(np.cos(math.pi * np.arange(count) * place[:, None]), most=count)


FRAMES_A_HABIT = 10  # at least for each direction that is taken out
HABIT_EXPRESSIONS = 6  # principal components of the expression that a tracker's pose may lean on


def habit_columns(
    camera_to_head: Float[np.ndarray, "frames 4 4"], expressions: Float[np.ndarray, "frames expression"]
) -> Float[np.ndarray, "frames functions"]:
    """What a tracker's faults usually go with, of mean 0 and equal size: how the head is turned, where it is, and the
    first principal components of the expression. Without those that do not change."""
    poses = np.asarray(camera_to_head, dtype=np.float64)
    mean = poses[:, :3, :3].mean(axis=0)
    turn = poses[:, :3, :3] @ mean.T
    odd = turn - turn.transpose(0, 2, 1)  # twice the sine of the angle, times the axis
    axis = np.stack([odd[:, 2, 1], odd[:, 0, 2], odd[:, 1, 0]], axis=1)
    place = -np.einsum("nji,nj->ni", poses[:, :3, :3], poses[:, :3, 3])  # of the head, seen by the camera
    rows = np.asarray(expressions, dtype=np.float64) - np.mean(expressions, axis=0)
    parts, sizes, _ = np.linalg.svd(rows, full_matrices=False)
    expressive = (parts * sizes)[:, :HABIT_EXPRESSIONS]
    columns = np.concatenate([axis, place, expressive], axis=1)
    columns = columns - columns.mean(axis=0)
    spread = columns.std(axis=0)
    return np.asarray(columns[:, spread > 1e-9] / spread[spread > 1e-9])


def spanned(columns: Float[np.ndarray, "frames functions"], most: int) -> Float[np.ndarray, "frames directions"]:
    """Orthonormal columns that span the given ones: the `most` important of them."""
    basis, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(basis[:, sizes > 1e-6 * max(sizes.max(initial=0.0), 1.0)][:, :most])
