"""Draws the frames of a split with an avatar, and times it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from nerface.capture.refit import learned_poses
from nerface.data.dataset import Dataset
from nerface.errors import UserError
from nerface.evaluation.latents import LatentCodes
from nerface.evaluation.refined_poses import refined_pose
from nerface.fields.base import Avatar
from nerface.fields.pose_correction import corrected
from nerface.rendering.sequence import draw_view
from nerface.types import Camera, Condition, Frame, Rendering

PLATES = ("auto", "dataset", "avatar")
POSES = ("captured", "learned", "refined")
EXPOSURES = ("neutral", "captured")


@dataclass(frozen=True)
class Drawing:
    """One frame as drawn: `picture` [H, W, 3] uint8 on the host, what it was made of, and the `seconds` it took."""

    picture: UInt8[np.ndarray, "height width 3"]
    rendering: Rendering
    camera: Camera
    condition: Condition
    seconds: float


@dataclass(frozen=True)
class Manner:
    """How frames are drawn: all but `precision` (of `nerface.precision`) as in `EvaluationOptions`."""

    latent: str
    plate: str
    precision: str
    poses: str = "captured"
    exposure: str = "neutral"


class Artist:
    """Draws frames of `split`, each over the same backdrop. The avatar is put into evaluation mode meanwhile."""

    def __init__(self, avatar: Avatar, dataset: Dataset, split: str, manner: Manner) -> None:
        self.avatar, self.intrinsics, self.manner = avatar, dataset.intrinsics, manner
        self.codes = LatentCodes(manner.latent, avatar, dataset, split)
        self.background = plate_for(avatar, dataset, manner.plate)
        self.gains = torch.from_numpy(np.array(dataset.splits[split].exposures)).to(avatar.device)
        self.poses = torch.from_numpy(np.array(dataset.splits[split].camera_to_head))
        corrections = avatar.pose_corrections
        if manner.poses == "learned":
            self.poses = torch.from_numpy(learned_poses(avatar, dataset, split))
        elif split == "train" and corrections is not None and len(corrections) == len(self.poses):
            self.poses = corrected(self.poses.to(avatar.device), corrections.detach())

    def draw(self, index: int, frame: Frame) -> Drawing:
        """Frame `index` of the split. Raises `UserError` where the avatar gives a colour that is no number."""
        device, precision = self.avatar.device, self.manner.precision
        camera = Camera(self.intrinsics, self.poses[index].to(device))
        expression = torch.from_numpy(frame.expression.copy()).to(device)
        condition = Condition(expression, self.codes.code(index), self.background)
        training = self.avatar.training
        self.avatar.eval()
        if self.manner.poses == "refined":
            gains = self.gains[index]
            pose = refined_pose(self.avatar, camera, condition, frame, precision, gains)
            camera = Camera(self.intrinsics, pose)
        start = time.perf_counter()
        try:
            rendering, picture = draw_view(self.avatar, camera, condition, precision)
        except UserError as error:
            raise UserError(f"frame {frame.name}: {error}") from None
        finally:
            self.avatar.train(training)
        if self.manner.exposure == "captured":
            rendering = replace(rendering, colour=rendering.colour * self.gains[index])
            picture = (rendering.colour.clamp(0, 1) * 255).round().to(torch.uint8).cpu()
        # The picture is on the host, so the device has done its work.
        return Drawing(picture.numpy(), rendering, camera, condition, time.perf_counter() - start)


def plate_for(avatar: Avatar, dataset: Dataset, choice: str) -> Float[Tensor, "height width 3"] | None:
    """The backdrop that frames of `dataset` are drawn over, in [0, 1].

    "dataset" is the dataset's plate (so that putting another picture there changes the backdrop, as in the seed),
    "avatar" the avatar's own, "auto" the avatar's where it learned one, else the dataset's where there is one. An
    avatar without a backdrop gets None. Raises `UserError` where there is none of the right size.
    """
    if choice not in PLATES:
        raise ValueError(f"plate must be one of {', '.join(PLATES)}: {choice}")
    if not avatar.has_backdrop:
        return None
    if choice == "auto":
        choice = "avatar" if avatar.trained_background is not None or dataset.background is None else "dataset"
    if choice == "dataset":
        if dataset.background is None:
            raise UserError(f"{dataset.root} has no background plate: use the avatar's")
        return torch.from_numpy(np.array(dataset.background)).to(avatar.device).float() / 255
    plate, size = avatar.plate(), (dataset.intrinsics.height, dataset.intrinsics.width)
    if plate.shape[:2] != size:
        raise UserError(
            f"the avatar's own background is {plate.shape[1]}x{plate.shape[0]} pixels, the pictures of {dataset.root} "
            f"are {size[1]}x{size[0]}: draw it over the dataset's plate, or on the size that it was trained on"
        )
    return plate
