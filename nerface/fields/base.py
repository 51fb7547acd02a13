"""The seam: what training, evaluation and driving ask of an avatar, whatever its field is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from nerface.errors import UserError
from nerface.fields.held_back import HeldBack
from nerface.fields.pose_correction import corrected
from nerface.types import Camera, Condition, Intrinsics, Rendering

if TYPE_CHECKING:
    from nerface.data.dataset import Dataset

BACKGROUNDS = ("plate", "none", "trainable")


@dataclass(frozen=True)
class AvatarConfig:
    """What every field is asked for alike.

    `use_expression` and `use_latent` False feed zeros in place of the frame's condition: the paper's ablations.
    `background`: "plate" puts the dataset's plate behind the person, "trainable" a picture that is learned, "none"
    leaves what is behind to the field. `refine_poses` learns a small rigid correction per training frame,
    `refine_colours` small gains of its three colours; None leaves it to the dataset: on where its poses were tracked in
    a video or its exposures measured, off elsewhere.
    """

    latent_channels: int = 32
    use_expression: bool = True
    use_latent: bool = True
    background: str = "plate"
    refine_poses: bool | None = None
    refine_colours: bool | None = None

    def __post_init__(self) -> None:
        if self.background not in BACKGROUNDS:
            raise ValueError(f"background must be one of {', '.join(BACKGROUNDS)}: {self.background}")


@dataclass(frozen=True)
class Subject:
    """What an avatar knows of its person and scene besides weights; saved with it.

    `expression_*` hold one number per channel, over the training frames; `rest_pose` [4][4] is the training pose
    nearest to the mean (camera to head); `seen_angles` are the least and greatest yaw and pitch, in degrees, at which
    training cameras stand round the head; `train_frames` is how many latent codes there are; `source` names the video.
    """

    expression_names: tuple[str, ...]
    expression_mean: tuple[float, ...]
    expression_std: tuple[float, ...]
    expression_min: tuple[float, ...]
    expression_max: tuple[float, ...]
    intrinsics: Intrinsics
    rest_pose: tuple[tuple[float, ...], ...]
    train_frames: int
    frame_rate: float | None
    source: str
    seen_angles: tuple[float, float, float, float] = (-180.0, 180.0, -90.0, 90.0)


@dataclass(frozen=True)
class PixelBatch:
    """Pixels of several training frames: F frames, P pixels, P / F of each frame, frame by frame.

    `frames` [F] are rows of the train split; `pixels` [P, 2] are (row, column), or None where all pixels of every frame
    are there, row by row; `target` and `background` [P, 3] in [0, 1]; `mask` [P] in [0, 1] (1 = person) where it is
    wanted and the dataset has masks; `weight` [P], of mean 1, says how much each pixel counts (None: all alike).
    `camera_to_head` [F, 4, 4] and `expression` [F, E] belong to `frames`.
    """

    intrinsics: Intrinsics
    frames: Int[Tensor, " frames"]
    pixels: Int[Tensor, "pixels 2"] | None
    target: Float[Tensor, "pixels 3"]
    background: Float[Tensor, "pixels 3"] | None
    mask: Float[Tensor, " pixels"] | None
    camera_to_head: Float[Tensor, "frames 4 4"]
    expression: Float[Tensor, "frames expression"]
    weight: Float[Tensor, " pixels"] | None = None

    def of(self, picture: Float[Tensor, "height width channels"]) -> Float[Tensor, "pixels channels"]:
        """The values of a picture, the same for every frame, at the batch's pixels."""
        if self.pixels is None:
            return picture.flatten(0, 1).repeat(self.frames.shape[0], 1)
        return picture[self.pixels[:, 0], self.pixels[:, 1]]


class Avatar(nn.Module, ABC):
    """A person that can be drawn from any camera under any condition.

    Subclasses are built from (their configuration, a `Subject`) and hold `latent_codes` [train frames, L] and the plate
    `background` [H, W, 3] uint8 with `background_unseen` [H, W] (True: nobody knows what is there), or, with
    `trained_background` [H, W, 3], a plate that is learned. `pose_corrections` [train frames, 6], where there are some,
    move the cameras of training frames (`nerface.fields.pose_correction`); `colour_corrections` [train frames, 3] are
    the logarithms of the gains with which a training frame's camera recorded red, green and blue. `chunk_samples`
    bounds how many samples are in flight while pictures are drawn, in fields that take samples (None: what suits the
    device). `takes_bf16` is False of fields that compute in float32 whatever precision is asked for. `has_backdrop` is
    False where the field paints what is behind the person too, so that no plate is ever seen.
    """

    subject: Subject
    latent_codes: nn.Parameter
    background: Tensor
    background_unseen: Tensor
    trained_background: nn.Parameter | None
    pose_corrections: nn.Parameter | None
    colour_corrections: nn.Parameter | None
    chunk_samples: int | None = None
    has_backdrop: bool = True
    takes_bf16: bool = True

    def __init__(self, subject: Subject, latent_channels: int) -> None:
        super().__init__()
        # Light behind a surface and Adam's memory of unused texels fade into denormal numbers, ten times as slow on a
        # CPU. Set here because threads take the setting from the one that starts them, so it must come before work.
        torch.set_flush_denormal(True)
        self.subject = subject
        size = (subject.intrinsics.height, subject.intrinsics.width)
        self.latent_codes = nn.Parameter(torch.zeros(subject.train_frames, latent_channels))
        self.register_buffer("background", torch.zeros(*size, 3, dtype=torch.uint8))
        self.register_buffer("background_unseen", torch.zeros(size, dtype=torch.bool))
        self.register_parameter("trained_background", None)
        self.register_parameter("pose_corrections", None)
        self.register_parameter("colour_corrections", None)

    def add_corrections(self, *, poses: bool, colours: bool) -> None:
        """Give the avatar corrections of its training frames, all of them nothing yet."""
        frames = self.subject.train_frames
        if poses:
            self.pose_corrections = nn.Parameter(torch.zeros(frames, 6))
        if colours:
            self.colour_corrections = nn.Parameter(torch.zeros(frames, 3))

    def prepare(self, dataset: Dataset, generator: torch.Generator) -> None:
        """Begin from what the dataset shows, where the field has a use for that. Called once, before training."""

    def parameter_groups(self, parameters: Sequence[nn.Parameter]) -> list[dict[str, Any]]:
        """`parameters`, which are some of the avatar's own, as groups for an optimiser.

        Besides an optimiser's own settings a group may say its `rate`: a factor on the run's learning rate.
        """
        return [{"params": list(parameters)}]

    def penalty(self, batch: PixelBatch) -> Tensor | None:
        """What the field adds to the loss of a step, or None."""
        return None

    @torch.no_grad()
    def adapt(self, optimizer: torch.optim.Optimizer, generator: torch.Generator, step: int, steps: int) -> None:
        """Called after step `step` of `steps` (from 0) with its gradients still there: a field whose number of parts
        changes changes it here, in itself and in the optimiser's memory."""

    def lasting_state(self) -> dict[str, Tensor]:
        """What an avatar file holds: `state_dict`, less what only training needs."""
        return self.state_dict()

    def poses_of(self, batch: PixelBatch) -> Float[Tensor, "frames 4 4"]:
        """The cameras of a batch's frames, corrected where the avatar has corrections."""
        if self.pose_corrections is None:
            return batch.camera_to_head
        return corrected(batch.camera_to_head, self.pose_corrections[batch.frames])

    def recorded(self, colour: Float[Tensor, "pixels 3"], frames: Int[Tensor, " frames"]) -> Float[Tensor, "pixels 3"]:
        """Rendered colours as the camera recorded them in training `frames`, the same number of pixels of each."""
        if self.colour_corrections is None:
            return colour
        gains = self.colour_corrections[frames].exp()
        return colour * gains.repeat_interleave(colour.shape[0] // frames.shape[0], dim=0)

    @property
    def device(self) -> torch.device:
        """Where the avatar's weights lie."""
        return self.latent_codes.device

    @property
    def expression_names(self) -> tuple[str, ...]:
        """The name of every expression channel."""
        return self.subject.expression_names

    def set_background(self, plate: UInt8[Tensor, "H W 3"], unseen: Tensor) -> None:
        """Put the plate [H, W, 3] uint8 and its never-seen mask [H, W] into the avatar.

        A learned plate begins from it.
        """
        self.background.copy_(plate)
        self.background_unseen.copy_(unseen)
        if self.trained_background is not None:
            self.trained_background.data.copy_(plate.float() / 255.0)

    def plate(self) -> Float[Tensor, "height width 3"]:
        """The background as colours in [0, 1]: the learned one where there is one, else the one of the dataset."""
        if self.trained_background is not None:
            return self.trained_background.detach().clamp(0.0, 1.0)
        return self.background.float() / 255.0

    def latent(self, choice: str) -> Float[Tensor, " latent"]:
        """A latent code for unseen frames: "mean" of the training codes, "zero", or "frame:K" (train frame K)."""
        codes = self.latent_codes.detach()
        if choice == "mean":
            return codes.mean(dim=0)
        if choice == "zero":
            return torch.zeros_like(codes[0])
        kind, _, number = choice.partition(":")
        if kind == "frame" and number.isdecimal() and int(number) < codes.shape[0]:
            return codes[int(number)]
        raise UserError(
            f"latent code '{choice}' is not known: use mean, zero, or frame:K with K from 0 to {codes.shape[0] - 1}"
        )

    def check_condition(self, camera: Camera, condition: Condition) -> None:
        """Raise `UserError` where the condition does not fit the avatar or the picture."""
        inner = camera.intrinsics
        if condition.expression.shape != (len(self.expression_names),):
            raise UserError(
                f"the avatar has {len(self.expression_names)} expression channels, the condition "
                f"{condition.expression.shape[-1]}: map them by name first"
            )
        if condition.latent.shape != self.latent_codes.shape[1:]:
            raise UserError(
                f"the avatar has {self.latent_codes.shape[1]} latent channels, the condition "
                f"{condition.latent.shape[-1]}: take one of its own codes (mean, zero, frame:K)"
            )
        if condition.background is not None and condition.background.shape[:2] != (inner.height, inner.width):
            height, width = condition.background.shape[:2]
            raise UserError(f"the background is {width}x{height}, the image {inner.width}x{inner.height}: resize it")

    @abstractmethod
    def render(self, camera: Camera, condition: Condition, pixels: Int[Tensor, "pixels 2"] | None = None) -> Rendering:
        """The whole image ([H, W, ...]) or the chosen (row, column) `pixels` ([P, ...]), without randomness.

        The image has the size of `camera.intrinsics`; `condition.background` must have that size too.
        """

    def normals(self, camera: Camera, condition: Condition) -> Float[Tensor, "height width 3"]:
        """The normal of the surface that each pixel shows: unit vectors in head space, towards the camera's side, zero
        where hardly anything of the person is. Raises `UserError` where the field has none."""
        raise UserError("normals need an avatar that has a surface, which this kind does not")

    def held_back(self, expressions: Float[np.ndarray, "frames expression"]) -> tuple[HeldBack, ...]:
        """The channels in which the avatar does not follow these expressions as far as they go; none by default."""
        return ()

    def render_stages(
        self, camera: Camera, condition: Condition, pixels: Int[Tensor, "pixels 2"] | None = None
    ) -> list[Rendering]:
        """What each network in turn makes of the same view, the last being what `render` gives."""
        return [self.render(camera, condition, pixels)]

    @abstractmethod
    def render_batch(self, batch: PixelBatch, generator: torch.Generator) -> list[Rendering]:
        """Renderings of the batch's pixels for training, each of which the loss compares with the target."""
