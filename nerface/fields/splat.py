"""The splat avatar: Gaussians in head space, driven straight by expression coefficients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nerface.fields.base import Avatar, PixelBatch, Subject
from nerface.fields.body_frame import BodyFrame
from nerface.fields.expression_basis import ExpressionBasis
from nerface.fields.gaussian_set import GaussianSet
from nerface.fields.held_back import HeldBack, held_back
from nerface.fields.neighbours import Neighbours
from nerface.fields.sight import sight_limits
from nerface.fields.splat_config import SplatConfig
from nerface.fields.splat_growth import Growth
from nerface.fields.splat_replay import Replay
from nerface.fields.splat_start import starting_points
from nerface.precision import full_precision
from nerface.rendering.splat_normals import normals_of_depth
from nerface.rendering.splatting import Gaussians, Splatted, rasterise
from nerface.types import Camera, Condition, Rendering

if TYPE_CHECKING:
    from nerface.data.dataset import Dataset

BACKDROP_DEPTH = 0.8  # head units: where the backdrop counts in depth, as with the paper's far end
# Learning rates of Adam for each kind of parameter, over the run's: means move by fractions of a millimetre a step,
# colours by hundredths. In units of the colours' rate.
RATES = {
    "means": 0.02,
    "turns": 0.4,
    "log_sizes": 1.0,
    "opacity_logits": 5.0,
    "colours": 1.0,
    "view_colours": 0.5,
    "motions": 0.2,
    "colour_motions": 0.1,
    "opacity_motions": 0.5,
    "follow_logits": 4.0,
    "directions": 0.05,
    "latent_directions": 0.05,
    "answer": 0.2,
    "latent_codes": 0.1,
    "body_corrections": 0.1,
}
TRAINING_ONLY = ("growth.", "neighbours.")
ADAM_EPS = 1e-15  # a Gaussian covers some ten of a million pixels: its gradients are far below Adam's usual 1e-8


class SplatAvatar(Avatar):
    """Gaussians whose means, colours and opacities are linear in the condition, over a known backdrop.

    The linear map follows GPAvatar (Feng et al. 2025), the small learned basis RGBAvatar (Li et al. 2025); rendering is
    3D Gaussian splatting (Kerbl et al. 2023).
    """

    takes_bf16 = False
    resting_sight: Tensor
    sight_limits: Tensor

    def __init__(self, config: SplatConfig, subject: Subject) -> None:
        super().__init__(subject, config.latent_channels)
        self.config = config
        self.has_backdrop = config.background != "none"
        if config.background == "trainable":
            self.trained_background = nn.Parameter(torch.zeros(self.background.shape))
        self.add_corrections(poses=bool(config.refine_poses), colours=bool(config.refine_colours))
        self.gaussians = GaussianSet(config, config.start)
        self.basis = ExpressionBasis(subject, config.latent_channels, config.basis)
        self.body = BodyFrame(subject) if config.body else None
        self.body_corrections = nn.Parameter(torch.zeros(subject.train_frames if config.body else 0, 6))
        self.growth = Growth(config.start)
        self.neighbours = Neighbours(config.start)
        self._alone = False  # an avatar file says nothing of neighbours: they are found when training goes on from it
        self._rows = torch.zeros(0, dtype=torch.long)  # the Gaussians whose neighbours are looked at in this step
        self._replay = Replay(self, self.posed)
        place = torch.tensor(subject.rest_pose)[:3, 3]
        self.register_buffer("resting_sight", nn.functional.normalize(place, dim=0), persistent=False)
        self.register_buffer("sight_limits", sight_limits(subject.seen_angles), persistent=False)

    def prepare(self, dataset: Dataset, generator: torch.Generator) -> None:
        """Put the first Gaussians where the person stands in the frame nearest to the rest pose, in its colours."""
        self.gaussians.begin(starting_points(dataset, self.subject, self.config.start, generator))
        self.basis.begin(torch.from_numpy(dataset.train.expressions.copy()))
        self.growth.begin(len(self.gaussians))
        self.neighbours.find(self.gaussians.means)

    def render_batch(self, batch: PixelBatch, generator: torch.Generator) -> list[Rendering]:
        """All pixels of the batch's frames."""
        poses, background = self.poses_of(batch), batch.background if self.has_backdrop else None
        if self.trained_background is not None:
            background = batch.of(self.trained_background)
        if self._alone:
            self.neighbours.find(self.gaussians.means)
            self._alone = False
        self._rows = self.neighbours.sample(generator)
        extra = self.body_corrections[batch.frames] if self.body is not None else None
        with full_precision(self.device):
            gaussians = self.posed(poses, batch.expression, self.latent_codes[batch.frames], extra=extra)
            self.growth.watch(gaussians.means)
            splatted = rasterise(gaussians, poses, batch.intrinsics, self.config.rasteriser)
        return [_over(splatted, background).reshape(-1)]

    def posed(
        self,
        camera_to_head: Float[Tensor, "frames 4 4"],
        expression: Float[Tensor, "frames expression"],
        latent: Float[Tensor, "frames latent"],
        sight_from: Float[Tensor, "frames 4 4"] | None = None,
        body_from: Float[Tensor, "frames 4 4"] | None = None,
        extra: Float[Tensor, "frames 6"] | None = None,
    ) -> Gaussians:
        """The Gaussians in head space under each frame's condition.

        Colours are those seen from `sight_from`, as far as training saw them change, and the body stands as before
        `body_from` (None: `camera_to_head`), moved by `extra` twists.
        """
        if not self.config.use_expression:
            expression = self.basis.mean.expand_as(expression)
        if not self.config.use_latent:
            latent = torch.zeros_like(latent)
        weights = self.basis(expression, latent)
        seen = camera_to_head if sight_from is None else sight_from
        place = nn.functional.normalize(seen[:, :3, 3], dim=-1).clamp(self.sight_limits[0], self.sight_limits[1])
        sight = place - self.resting_sight
        body = None
        if self.body is not None:
            body = self.body.in_head(camera_to_head if body_from is None else body_from, extra)
        return self.gaussians.moved(weights, sight, body)

    def splat(self, camera: Camera, condition: Condition) -> Splatted:
        """The picture of one condition as the rasteriser gives it: without a background, pictures being one."""
        self.check_condition(camera, condition)
        with full_precision(self.device):
            asked = self._asked(camera, condition)
            gaussians = (self._replay if Replay.usable(self.device) else self.posed)(*asked)
            return rasterise(gaussians, asked[0], camera.intrinsics, self.config.rasteriser)

    def condition_gaussians(self, camera: Camera, condition: Condition) -> tuple[Float[Tensor, "1 4 4"], Gaussians]:
        """The camera's pose on the avatar's device, and the Gaussians of one condition seen from there."""
        asked = self._asked(camera, condition)
        return asked[0], self.posed(*asked)

    def _asked(
        self, camera: Camera, condition: Condition
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
        """What `posed` wants, as a batch of one on the avatar's device."""
        pose, expression, latent = (
            part.to(self.device)[None] for part in (camera.camera_to_head, condition.expression, condition.latent)
        )
        sight, body = (
            None if asked is None else asked.to(self.device)[None]
            for asked in (condition.viewed_from, condition.body_from)
        )
        return pose, expression, latent, sight, body

    def render(self, camera: Camera, condition: Condition, pixels: Int[Tensor, "pixels 2"] | None = None) -> Rendering:
        """The image, or chosen pixels of it; see `Avatar.render`."""
        plate = None
        if condition.background is not None and self.has_backdrop:
            plate = condition.background.to(self.device)
        drawn = _over(self.splat(camera, condition), plate)
        inner = camera.intrinsics
        if pixels is None:
            return drawn.reshape(inner.height, inner.width)
        rows, columns = pixels.to(self.device).unbind(-1)
        return Rendering(drawn.colour[0, rows, columns], drawn.opacity[0, rows, columns], drawn.depth[0, rows, columns])

    def normals(self, camera: Camera, condition: Condition) -> Float[Tensor, "height width 3"]:
        """From the slope of the depth (`nerface.rendering.splat_normals`)."""
        with torch.no_grad():
            drawn = self.splat(camera, condition)
            return normals_of_depth(drawn.depth[0], drawn.opacity[0], camera)

    def held_back(self, expressions: Float[np.ndarray, "frames expression"]) -> tuple[HeldBack, ...]:
        """Channels beyond what training saw, which `ExpressionBasis` holds back softly."""
        if not self.config.use_expression:
            return ()
        shown = self.basis.limited(torch.from_numpy(np.float32(expressions)).to(self.device)).cpu().numpy()
        return held_back(expressions, shown, self.subject.expression_min, self.subject.expression_max)

    def penalty(self, batch: PixelBatch) -> Tensor:
        """What keeps the maps, the Gaussians' sizes and the body's own motion small."""
        config, parts = self.config, self.gaussians
        moved = parts.motions.square().mean() + parts.colour_motions.square().sum() / max(parts.motions.numel(), 1)
        excess = (parts.log_sizes - math.log(config.largest)).clamp(min=0.0)
        total = config.motion_penalty * moved + config.size_penalty * excess.square().mean()
        if config.smoothness:
            total = total + config.smoothness * self.neighbours.unlikeness(parts, self._rows)
        if self.body is not None:
            own = self.body_corrections[batch.frames] / self.body.units
            total = total + config.body_penalty * own.square().mean()
        return total

    def adapt(self, optimizer: torch.optim.Optimizer, generator: torch.Generator, step: int, steps: int) -> None:
        """Count gradients, and now and then split and remove Gaussians."""
        if self.growth.after_step(self.gaussians, optimizer, self.config, step, steps):
            self.neighbours.find(self.gaussians.means)

    def parameter_groups(self, parameters: Sequence[nn.Parameter]) -> list[dict[str, Any]]:
        """Every kind of parameter at its own rate."""
        names = {id(parameter): name.rpartition(".")[2] for name, parameter in self.named_parameters()}
        groups: dict[float, list[nn.Parameter]] = {}
        for parameter in parameters:
            if parameter.numel():
                groups.setdefault(RATES.get(names[id(parameter)], 1.0), []).append(parameter)
        return [{"params": group, "rate": rate, "eps": ADAM_EPS} for rate, group in groups.items()]

    def lasting_state(self) -> dict[str, Tensor]:
        """Half precision for all of a Gaussian but its place; nothing that only training needs."""
        kept = {name: value for name, value in self.state_dict().items() if not name.startswith(TRAINING_ONLY)}
        for name, value in kept.items():
            if name.startswith("gaussians.") and name != "gaussians.means":
                kept[name] = value.half()
        return kept

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Weights of any number of Gaussians, with or without what training remembers."""
        means = state_dict.get("gaussians.means")
        if means is not None and means.ndim == 2:
            self.gaussians.resize(len(means))
            self.growth.begin(len(means))
            self.neighbours.begin(len(means))
        self._alone = "neighbours.near" not in state_dict
        missing = (*TRAINING_ONLY, "basis.reach.")  # the reach: avatars of before it have none
        fresh = {name: value for name, value in self.state_dict().items() if name.startswith(missing)}
        state = {**fresh, **state_dict}
        return super().load_state_dict(state, strict, assign)


def _over(splatted: Splatted, background: Tensor | None) -> Rendering:
    """Pictures [F, H, W, ...] laid over a background ([H, W, 3], or one row for each pixel; None: black)."""
    through = 1 - splatted.opacity
    colour = splatted.colour
    if background is not None:
        behind = background if background.ndim == 3 else background.reshape(colour.shape)
        colour = colour + through[..., None] * behind
    return Rendering(colour, splatted.opacity, splatted.depth + through * BACKDROP_DEPTH)
