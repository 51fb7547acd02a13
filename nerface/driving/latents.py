"""Latent codes for the frames of a sequence: one for all, or another for each."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from nerface.errors import UserError
from nerface.fields.base import Avatar

WALK, OWN = "walk", "per-frame"


def sequence_latents(
    avatar: Avatar, choice: str, frames: int, rows: Int[np.ndarray, " frames"] | None = None
) -> Float[torch.Tensor, "frames latent"]:
    """A code for each of `frames` frames.

    "walk" gives every training code in turn (from the first again after the last), "per-frame" that of the training row
    that a frame is (`rows`; None where the frames are no training frames); other choices are those of `Avatar.latent`,
    one code for all. Raises `UserError` where there is no such code.
    """
    codes = avatar.latent_codes.detach()
    if choice == WALK:
        return codes[torch.arange(frames, device=codes.device) % codes.shape[0]]
    if choice != OWN:
        try:
            return avatar.latent(choice).expand(frames, -1)
        except UserError as error:
            raise UserError(f"{str(error).replace(': use mean,', ': use walk, per-frame, mean,')}") from None
    if rows is None or rows.max() >= codes.shape[0]:
        raise UserError(
            "--latent per-frame is for frames of the training: drive the avatar with --split train of that dataset"
        )
    return codes[torch.from_numpy(rows).to(codes.device)]
