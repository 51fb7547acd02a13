"""The Gaussians of an avatar at one expression, as they stand before one camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nerface.errors import UserError
from nerface.fields.splat import SplatAvatar
from nerface.interop.gaussian_ply import GaussianCloud
from nerface.precision import full_precision
from nerface.rendering.splatting_projection import LEAST_ALPHA
from nerface.types import Camera, Condition

HEAD_FROM = 0.5  # what follows the head by more than this belongs to it


@dataclass(frozen=True)
class SplatOptions:
    """Which Gaussians are taken, and how their colours depend on the view.

    Those less opaque than `least_opacity` are left out (below 1/255 they are never drawn), and with `head_only` those
    that follow the body. `view_colours`: colours change linearly with the direction of sight, as the avatar's do;
    otherwise they are those seen by the camera, from everywhere.
    """

    least_opacity: float = LEAST_ALPHA
    head_only: bool = False
    view_colours: bool = False


@torch.no_grad()
def extract_splats(
    avatar: SplatAvatar, camera: Camera, condition: Condition, options: SplatOptions | None = None
) -> GaussianCloud:
    """The Gaussians in head space, as the avatar draws them for this camera and condition (its background aside).

    From the camera's place colours are the avatar's own either way. With `view_colours` they change from there with
    the direction of sight at each Gaussian by the slope that the avatar has in the direction of the whole head. Raises
    `UserError` for a condition that does not fit the avatar and where no Gaussian is left.
    """
    options = options or SplatOptions()
    avatar.check_condition(camera, condition)
    with full_precision(avatar.device):
        pose, gaussians = avatar.condition_gaussians(camera, condition)
    follows = avatar.gaussians.follows()
    kept = gaussians.opacities[0] >= options.least_opacity
    if options.head_only:
        kept &= follows > HEAD_FROM
    if not kept.any():
        raise UserError(
            f"none of the avatar's {len(kept)} Gaussians is left: the most opaque has "
            f"{float(gaussians.opacities.max()):.3g}, take a smaller --least-opacity"
        )
    positions = gaussians.means[0, kept]
    colours, slopes = gaussians.colours[0, kept], torch.zeros(len(positions), 3, 3, device=avatar.device)
    if options.view_colours and avatar.config.view_colours:
        # The avatar's colours go with the unit vector from the head to the eye, harmonics with the one the other way.
        slopes = -(follows[:, None, None] * avatar.gaussians.get_parameter("view_colours"))[kept]
        sight = torch.nn.functional.normalize(positions - pose[0, :3, 3], dim=-1)
        colours = colours - torch.einsum("nca,na->nc", slopes, sight)
    parts = (positions, gaussians.rotations[0, kept], gaussians.scales[kept], gaussians.opacities[0, kept])
    return GaussianCloud(*(_array(part) for part in (*parts, colours, slopes)))


def _array(values: torch.Tensor) -> np.ndarray:
    return values.detach().double().cpu().numpy()
