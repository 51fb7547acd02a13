"""Corrections of single training frames, kept small and kept from moving what new frames will be given.

A field and the poses of its frames can be learned together only up to a motion of the whole head space: a common offset
of all corrections changes no picture once the field has followed it, and neither does a slow drift as long as a latent
code follows. New frames come with poses as capture gives them, so both would be a fault in every one of them. They are
taken out after each step (a projection of the corrections onto what changes faster), and a Gaussian prior keeps the
rest as small as the pictures allow.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from nerface.config import TrainingConfig
from nerface.data.dataset import Dataset, Split
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
        drift = drift_basis(frame_times(split, dataset.frame_rate), settings.drift_period)
        self.drift = torch.from_numpy(drift.astype(np.float32)).to(device)
        self.log_exposures = torch.from_numpy(np.log(split.exposures)).to(device)
        sigmas = [TURN_SIGMA] * 3 + [SHIFT_SIGMA] * 3
        self.sigmas = torch.tensor(sigmas, device=device)
        self.pose_penalty, self.colour_penalty = settings.pose_penalty, settings.colour_penalty

    def penalty(self, avatar: Avatar, frames: Int[Tensor, " frames"]) -> Float[Tensor, ""]:
        """The priors on the corrections of the frames of a step: squares in units of what is usual, weighted.

        Gains of colour are held to the exposures that capture measured on the backdrop.
        """
        total = self.sigmas.new_zeros(())
        if avatar.pose_corrections is not None:
            total = total + self.pose_penalty * (avatar.pose_corrections[frames] / self.sigmas).square().mean()
        if avatar.colour_corrections is not None:
            change = avatar.colour_corrections[frames] - self.log_exposures[frames]
            total = total + self.colour_penalty * (change / LOG_GAIN_SIGMA).square().mean()
        return total

    @torch.no_grad()
    def settle(self, avatar: Avatar) -> None:
        """Take the common offset and slow drift out of the pose corrections."""
        twists = avatar.pose_corrections
        if twists is not None:
            twists.sub_(self.drift @ (self.drift.T @ twists))

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


def frame_times(split: Split, frame_rate: float | None) -> Float[np.ndarray, " frames"]:
    """When each frame was taken, in s: by its time stamp, else its number in the video, else its row."""
    if np.isfinite(split.timestamps).all():
        return np.asarray(split.timestamps, dtype=np.float64)
    known = split.source_frames if (split.source_frames >= 0).all() else np.arange(len(split))
    return np.asarray(known / (frame_rate or DEFAULT_FRAME_RATE_HZ), dtype=np.float64)


def drift_basis(times: Float[np.ndarray, " frames"], period: float) -> Float[np.ndarray, "frames functions"]:
    """Orthonormal columns that span what changes more slowly than in `period` seconds, a constant included.

    Cosines over the time of the clip, as in the discrete cosine transform, at the frames' own times.
    """
    length = max(float(np.ptp(times)), 1e-9)
    count = min(1 + int(2 * length / period), max(len(times) // 2, 1))
    place = (times - times.min()) / length
    columns = np.cos(math.pi * np.arange(count) * place[:, None])
    basis, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(basis[:, sizes > 1e-6 * sizes[0]])
