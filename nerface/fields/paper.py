"""The avatar of the paper: a coarse and a fine conditional field, marched along rays."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nerface.cameras import all_pixels, pixel_directions, to_head_space
from nerface.errors import UserError
from nerface.fields.base import Avatar, PixelBatch, Subject
from nerface.fields.paper_field import FieldConfig, PaperField
from nerface.rendering.volume import SamplingConfig, render_rays
from nerface.types import Camera, Condition, Rays, Rendering, concatenate

# Samples in flight while an image is drawn: on a CPU what its caches hold, on a GPU what fills it within about 2 GB in
# float32.
CHUNK_SAMPLES = {"cpu": 1 << 14, "cuda": 1 << 19}
EXPRESSION_DIVISOR = 3.0  # NeRFace feeds its coefficients divided by 3 (spec 3.2)
SPREAD_FLOOR = 0.05  # channels that hardly move are not blown up by their tiny spread


@dataclass(frozen=True)
class PaperConfig:
    """The avatar of the paper: two fields, how rays are sampled, and how a frame's condition is fed.

    `expression_input`: "divided" is the paper's (raw coefficients / 3), "standardised" subtracts the training mean and
    divides by the training spread of each channel, for coefficients in [0, 1] that hardly leave their mean.
    """

    coarse: FieldConfig = field(default_factory=FieldConfig)
    fine: FieldConfig = field(default_factory=FieldConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    latent_channels: int = 32
    expression_input: str = "divided"

    def __post_init__(self) -> None:
        if self.expression_input not in ("divided", "standardised"):
            raise ValueError(f"expression_input must be divided or standardised: {self.expression_input}")


class PaperAvatar(Avatar):
    """NeRFace: D(position, direction, expression, latent code) -> colour, density (paper sec. 3)."""

    expression_mean: Tensor
    expression_spread: Tensor

    def __init__(self, config: PaperConfig, subject: Subject) -> None:
        super().__init__(subject, config.latent_channels)
        self.config = config
        channels = len(subject.expression_names) + config.latent_channels
        self.coarse = PaperField(config.coarse, channels)
        self.fine = PaperField(config.fine, channels) if config.sampling.fine else None
        self.register_buffer("expression_mean", torch.tensor(subject.expression_mean), persistent=False)
        spread = torch.tensor(subject.expression_std).clamp(min=SPREAD_FLOOR)
        self.register_buffer("expression_spread", spread, persistent=False)

    def condition_rows(
        self, expression: Float[Tensor, "frames expression"], latent: Float[Tensor, "frames latent"]
    ) -> Float[Tensor, "frames condition"]:
        """What the fields see of a frame: scaled expression and raw latent code, side by side."""
        if self.config.expression_input == "divided":
            scaled = expression / EXPRESSION_DIVISOR
        else:
            scaled = (expression - self.expression_mean) / self.expression_spread
        return torch.cat([scaled, latent], dim=-1)

    def render_batch(self, batch: PixelBatch, generator: torch.Generator) -> list[Rendering]:
        """Coarse and fine rendering of the batch's pixels, with jittered depths and density noise."""
        directions = pixel_directions(batch.intrinsics, batch.pixels[:, 0], batch.pixels[:, 1])
        per_frame = batch.pixels.shape[0] // batch.frames.shape[0]
        poses = batch.camera_to_head.repeat_interleave(per_frame, dim=0)
        origins, directions = to_head_space(directions, poses)
        rays = Rays(origins, directions, batch.background)
        condition = self.condition_rows(batch.expression, self.latent_codes[batch.frames])
        return render_rays((self.coarse, self.fine), rays, condition, self.config.sampling, generator)

    def render(
        self, camera: Camera, condition: Condition, pixels: Int[Tensor, "pixels 2"] | None = None
    ) -> Rendering:
        """The fine rendering of an image or of chosen pixels; see `Avatar.render`."""
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
        wanted = all_pixels(inner, self.device) if pixels is None else pixels.to(self.device)
        row = self.condition_rows(condition.expression[None].to(self.device), condition.latent[None].to(self.device))
        plate = None if condition.background is None else condition.background.to(self.device)
        samples = self.config.sampling.coarse + self.config.sampling.fine
        chunk = max(1, CHUNK_SAMPLES.get(self.device.type, 1 << 14) // samples)
        parts = []
        for start in range(0, wanted.shape[0], chunk):
            some = wanted[start : start + chunk]
            directions = pixel_directions(inner, some[:, 0], some[:, 1])
            origins, directions = to_head_space(directions, camera.camera_to_head.to(self.device))
            background = None if plate is None else plate[some[:, 0], some[:, 1]]
            rays = Rays(origins, directions, background)
            parts.append(render_rays((self.coarse, self.fine), rays, row, self.config.sampling)[-1])
        rendering = concatenate(parts)
        return rendering.reshape(inner.height, inner.width) if pixels is None else rendering
