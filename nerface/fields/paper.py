"""The avatar of the paper: a coarse and a fine conditional field, marched along rays."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nerface.cameras import all_pixels, pixel_directions, to_head_space
from nerface.fields.base import Avatar, AvatarConfig, PixelBatch, Subject
from nerface.fields.paper_field import FieldConfig, PaperField
from nerface.rendering.compositing import density
from nerface.rendering.normals import render_normals
from nerface.rendering.volume import SamplingConfig, for_drawing, render_rays
from nerface.types import Camera, Condition, Rays, Rendering, concatenate

# Samples in flight while an image is drawn: on a CPU what its caches hold, on a GPU what fills it within about 2 GB in
# float32.
CHUNK_SAMPLES = {"cpu": 1 << 14, "cuda": 1 << 19}
EXPRESSION_DIVISOR = 3.0  # NeRFace feeds its coefficients divided by 3 (spec 3.2)
SPREAD_FLOOR = 0.05  # channels that hardly move are not blown up by their tiny spread
EXPRESSION_INPUTS = ("divided", "standardised", "raw")
DIRECTIONS = ("view", "z_near_far")


@dataclass(frozen=True)
class PaperConfig(AvatarConfig):
    """The avatar of the paper: two fields, how rays are sampled, and how a frame's condition is fed.

    `expression_input`: "divided" is the paper's (raw coefficients / 3), "standardised" subtracts the training mean and
    divides by the training spread of each channel, for coefficients in [0, 1] that hardly leave their mean, "raw"
    leaves them as they are.

    `direction` is what the field is told of the view: "view", the unit vector, or "z_near_far", what the released code
    feeds by accident (spec 0.1): the third component of the un-normalised ray direction, near and far.

    The plate stands behind the last sample; with `background` "none" that keeps the colour that the field gives it.
    """

    coarse: FieldConfig = field(default_factory=FieldConfig)
    fine: FieldConfig = field(default_factory=FieldConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    expression_input: str = "divided"
    direction: str = "view"

    def __post_init__(self) -> None:
        super().__post_init__()
        choices = {"expression_input": EXPRESSION_INPUTS, "direction": DIRECTIONS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}: {getattr(self, name)}")


class PaperAvatar(Avatar):
    """NeRFace: D(position, direction, expression, latent code) -> colour, density (paper sec. 3)."""

    expression_mean: Tensor
    expression_spread: Tensor

    def __init__(self, config: PaperConfig, subject: Subject) -> None:
        super().__init__(subject, config.latent_channels)
        self.config = config
        channels = len(subject.expression_names), config.latent_channels
        self.coarse = PaperField(config.coarse, *channels)
        self.fine = PaperField(config.fine, *channels) if config.sampling.fine else None
        self.has_backdrop = config.background != "none"
        if config.background == "trainable":
            self.trained_background = nn.Parameter(torch.zeros(self.background.shape))
        self.add_corrections(poses=bool(config.refine_poses), colours=bool(config.refine_colours))
        self.register_buffer("expression_mean", torch.tensor(subject.expression_mean), persistent=False)
        spread = torch.tensor(subject.expression_std).clamp(min=SPREAD_FLOOR)
        self.register_buffer("expression_spread", spread, persistent=False)

    def condition_rows(
        self, expression: Float[Tensor, "frames expression"], latent: Float[Tensor, "frames latent"]
    ) -> Float[Tensor, "frames condition"]:
        """What the fields see of a frame: scaled expression and raw latent code, side by side."""
        if self.config.expression_input == "divided":
            scaled = expression / EXPRESSION_DIVISOR
        elif self.config.expression_input == "standardised":
            scaled = (expression - self.expression_mean) / self.expression_spread
        else:
            scaled = expression
        if not self.config.use_expression:
            scaled = torch.zeros_like(scaled)
        if not self.config.use_latent:
            latent = torch.zeros_like(latent)
        return torch.cat([scaled, latent], dim=-1)

    def view_input(self, directions: Float[Tensor, "rays 3"]) -> Float[Tensor, "rays 3"]:
        """What the fields are told of rays with these (un-normalised) directions."""
        if self.config.direction == "view":
            return directions / directions.norm(dim=-1, keepdim=True)
        sampling = self.config.sampling
        limits = directions.new_tensor([sampling.near, sampling.far]).expand(directions.shape[0], 2)
        return torch.cat([directions[:, 2:], limits], dim=-1)

    def query(
        self,
        points: Float[Tensor, "points 3"],
        condition: Condition,
        view_directions: Float[Tensor, "points 3"] | None = None,
    ) -> tuple[Float[Tensor, " points"], Float[Tensor, "points 3"]]:
        """Density per head unit and colour of the last field at `points` in head space, differentiable in them.

        `view_directions` (any length; None: looking along -z, at the face from the front) are directions of sight.
        """
        if view_directions is None:
            view_directions = points.new_tensor([0.0, 0.0, -1.0]).expand_as(points)
        row = self.condition_rows(condition.expression[None].to(self.device), condition.latent[None].to(self.device))
        last = self.coarse if self.fine is None else self.fine
        sigma_raw, rgb = last(points[:, None], self.view_input(view_directions), row)
        return density(sigma_raw, self.config.sampling.density)[:, 0], rgb[:, 0]

    def render_batch(self, batch: PixelBatch, generator: torch.Generator) -> list[Rendering]:
        """Coarse and fine rendering of the batch's pixels, with jittered depths and density noise."""
        assert batch.pixels is not None
        directions = pixel_directions(batch.intrinsics, batch.pixels[:, 0], batch.pixels[:, 1])
        per_frame, background = batch.pixels.shape[0] // batch.frames.shape[0], None
        origins, directions = to_head_space(directions, self.poses_of(batch).repeat_interleave(per_frame, dim=0))
        if self.trained_background is not None:
            background = batch.of(self.trained_background)
        elif self.config.background == "plate":
            background = batch.background
        rays = Rays(origins, directions, background, self.view_input(directions))
        condition = self.condition_rows(batch.expression, self.latent_codes[batch.frames])
        return render_rays((self.coarse, self.fine), rays, condition, self.config.sampling, generator)

    def render(self, camera: Camera, condition: Condition, pixels: Int[Tensor, "pixels 2"] | None = None) -> Rendering:
        """The fine rendering of an image or of chosen pixels; see `Avatar.render`."""
        return self.render_stages(camera, condition, pixels)[-1]

    def normals(self, camera: Camera, condition: Condition) -> Float[Tensor, "height width 3"]:
        """From the density's gradient (`nerface.rendering.normals`)."""
        return render_normals(self, camera, condition).detach()

    def render_stages(
        self, camera: Camera, condition: Condition, pixels: Int[Tensor, "pixels 2"] | None = None
    ) -> list[Rendering]:
        """The coarse and the fine rendering of an image or of chosen pixels."""
        self.check_condition(camera, condition)
        inner = camera.intrinsics
        wanted = all_pixels(inner, self.device) if pixels is None else pixels.to(self.device)
        row = self.condition_rows(condition.expression[None].to(self.device), condition.latent[None].to(self.device))
        plate = None
        if condition.background is not None and self.has_backdrop:
            plate = condition.background.to(self.device)
        seen_from = camera.camera_to_head if condition.viewed_from is None else condition.viewed_from
        sampling = for_drawing(self.config.sampling)
        in_flight = self.chunk_samples or CHUNK_SAMPLES.get(self.device.type, 1 << 14)
        chunk = max(1, in_flight // (sampling.coarse + sampling.fine))
        parts = []
        for start in range(0, wanted.shape[0], chunk):
            some = wanted[start : start + chunk]
            local = pixel_directions(inner, some[:, 0], some[:, 1])
            origins, directions = to_head_space(local, camera.camera_to_head.to(self.device))
            _, sight = to_head_space(local, seen_from.to(self.device))
            background = None if plate is None else plate[some[:, 0], some[:, 1]]
            rays = Rays(origins, directions, background, self.view_input(sight))
            parts.append(render_rays((self.coarse, self.fine), rays, row, sampling))
        stages = [concatenate(list(stage)) for stage in zip(*parts)]
        return [stage.reshape(inner.height, inner.width) for stage in stages] if pixels is None else stages
