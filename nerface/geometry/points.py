"""A point cloud of a person: what the pixels of several views touch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from nerface.driving.views import head_turn
from nerface.errors import UserError
from nerface.geometry.region import region_of
from nerface.geometry.shapes import Person, Points, as_bytes
from nerface.progress import SILENT, Progress
from nerface.rendering.normals import render_surface
from nerface.types import Camera, Condition

LEAST_OPACITY = 0.5  # a pixel that shows less of the person than this gives no point
LEAST_COSINE = 0.15  # nor one whose ray grazes the surface: its depth is a guess
LEAST_PIXELS, GREATEST_PIXELS = 8, 2048


@dataclass(frozen=True)
class PointOptions:
    """Which views give points: `turns` are (yaw, pitch) of the camera round the head in degrees, from the rest pose.

    Pictures are `pixels` wide or high, whichever is longer; points beyond `extent` head units from the head's origin,
    along any axis, are left out, and so is what the rest pose's picture does not show.
    """

    turns: tuple[tuple[float, float], ...] = ((0, 0), (-30, 0), (30, 0), (0, 20), (0, -15))
    pixels: int = 128
    extent: float = 0.25

    def __post_init__(self) -> None:
        if not LEAST_PIXELS <= self.pixels <= GREATEST_PIXELS:
            raise UserError(
                f"the resolution {self.pixels} makes no sense: give {LEAST_PIXELS} to {GREATEST_PIXELS} pixels"
            )
        if not (math.isfinite(self.extent) and self.extent > 0):
            raise UserError(f"the extent {self.extent} makes no sense: give a number over 0")


def extract_points(
    avatar: Person, condition: Condition, options: PointOptions | None = None, progress: Progress = SILENT
) -> Points:
    """Points of head space that the views of `options` touch, with their colours and normals.

    Each lies at the depth where half of its pixel's opacity is reached; the backdrop gives none. Raises `UserError`
    where no view shows anything.
    """
    options = options or PointOptions()
    subject = avatar.subject
    longer = max(subject.intrinsics.width, subject.intrinsics.height)
    shown = [round(side * options.pixels / longer) for side in (subject.intrinsics.width, subject.intrinsics.height)]
    inner = subject.intrinsics.resized(max(1, shown[0]), max(1, shown[1]))
    rest = torch.tensor(subject.rest_pose, dtype=torch.float32)
    region = region_of(avatar, options.extent, whole_box=False)
    parts = []
    progress.start("looking from all sides", len(options.turns))
    for yaw, pitch in options.turns:
        camera = Camera(inner, head_turn(yaw, pitch) @ rest)
        surface = render_surface(avatar, camera, condition)
        sight = torch.nn.functional.normalize(surface.position - camera.camera_to_head[:3, 3].to(avatar.device), dim=-1)
        facing = -(surface.normal * sight).sum(dim=-1)
        within = region.depth(surface.position.cpu()).to(avatar.device) >= 0
        kept = (surface.opacity >= LEAST_OPACITY) & (facing >= LEAST_COSINE) & within
        parts.append([each[kept].cpu() for each in (surface.position, surface.colour, surface.normal)])
        progress.advance()
    found, colours, normals = (torch.cat(columns).float().numpy() for columns in zip(*parts))
    if len(found) == 0:
        raise UserError(
            f"no view shows anything of the person within {options.extent:g} head units of the head's origin: is the "
            "avatar trained?"
        )
    return Points(found.astype(np.float32), as_bytes(colours), normals.astype(np.float32))
