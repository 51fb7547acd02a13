"""Where a field is worth asking: what the rest pose's picture shows, within a cube round the head's origin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nerface.cameras import project
from nerface.errors import UserError
from nerface.geometry.shapes import Person
from nerface.rendering.volume import SamplingConfig
from nerface.types import Camera

PROBES = 49  # points a side of the lattice that finds the region's bounds


@dataclass(frozen=True)
class Region:
    """The cube [-extent, extent]^3 in head units; with a `camera`, only what its picture shows from near to far.

    A field says nothing of what no training camera saw: there it is free to be anything, and mostly is.
    """

    extent: float
    camera: Camera | None
    near: float
    far: float

    def depth(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """About how far points lie below the region's border, in head units (negative outside)."""
        inside = self.extent - points.abs().amax(dim=-1)
        if self.camera is None:
            return inside
        inner = self.camera.intrinsics
        u, v, t = project(self.camera, points).unbind(dim=-1)
        # Pixel u covers [u - 1/2, u + 1/2]; a pixel is t / f wide at depth t.
        in_width = (0.5 * inner.width - (u + 0.5 - 0.5 * inner.width).abs()) * t / abs(inner.fx)
        in_height = (0.5 * inner.height - (v + 0.5 - 0.5 * inner.height).abs()) * t / abs(inner.fy)
        shown = torch.stack([inside, t - self.near, self.far - t, in_width, in_height]).amin(dim=0)
        return torch.where(t > 0, shown, -self.extent)

    def bounds(self) -> tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]:
        """Least and greatest coordinates of the region, a little wide; `UserError` where it is empty."""
        axis = torch.linspace(-self.extent, self.extent, PROBES)
        lattice = torch.cartesian_prod(axis, axis, axis)
        spacing = float(axis[1] - axis[0])
        within = lattice[self.depth(lattice) > -spacing]
        if within.numel() == 0:
            raise UserError(
                f"the rest pose's picture shows nothing within {self.extent:g} head units of the head's origin: "
                "give a larger extent"
            )
        return within.amin(dim=0), within.amax(dim=0)


def region_of(avatar: Person, extent: float, whole_box: bool) -> Region:
    """The region of an avatar; `whole_box` takes the cube whatever the rest pose's picture shows of it."""
    sampling: SamplingConfig = avatar.config.sampling
    rest = Camera(avatar.subject.intrinsics, torch.tensor(avatar.subject.rest_pose, dtype=torch.float32))
    return Region(extent, None if whole_box else rest, sampling.near, sampling.far)
