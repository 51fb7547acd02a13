"""Avatars that are formulas: solids of known shape, with a smooth skin and colours by place."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor

from nerface.rendering.volume import SamplingConfig
from nerface.types import Camera, Condition, Intrinsics
from tests.toys import toy_subject

DENSITY = 400.0  # per head unit, deep inside
SKIN = 0.01  # over which density rises from 0 to DENSITY, head units; half of it at the surface
NOTHING = Condition(torch.zeros(3), torch.zeros(4))


@dataclass
class Solid:
    """A union of ellipsoids (centre, radii), seen by a camera at z = 0.5.

    Density is a ramp of a distance to the surface that is exact for spheres; colour says where a point lies:
    0.5 + 2 * position. `fx_sign` -1 with a pose of determinant 1 gives the seed's mirrored head space.
    """

    parts: tuple[tuple[tuple[float, float, float], tuple[float, float, float]], ...] = (((0, 0, 0), (0.1, 0.1, 0.1)),)
    fx_sign: int = 1
    pose_sign: int = 1

    def __post_init__(self) -> None:
        self.config = SimpleNamespace(sampling=SamplingConfig(near=0.2, far=0.8, coarse=48, fine=48))
        pose = torch.eye(4)
        pose[0, 0], pose[2, 3] = self.pose_sign, 0.5
        inner = Intrinsics(self.fx_sign * 40.0, 42.0, 0.5, 0.48, 40, 36)
        self.subject = SimpleNamespace(**{**vars(toy_subject()), "intrinsics": inner, "rest_pose": pose.tolist()})
        self.asked: list[Tensor | None] = []

    device = torch.device("cpu")

    @property
    def camera(self) -> Camera:
        return Camera(self.subject.intrinsics, torch.tensor(self.subject.rest_pose))

    def inside(self, points: Tensor) -> Tensor:
        """Distance below the surface (negative outside), to first order."""
        depths = []
        for centre, radii in self.parts:
            radii = points.new_tensor(radii)
            local = (points - points.new_tensor(centre)) / radii
            length = local.norm(dim=-1).clamp(min=1e-6)
            depths.append((1 - length) * length / (local / radii).norm(dim=-1).clamp(min=1e-6))
        return torch.stack(depths).amax(dim=0)

    def query(self, points: Tensor, condition: Condition, view_directions: Tensor | None = None):
        self.asked.append(view_directions)
        sigma = DENSITY * (0.5 + self.inside(points) / SKIN).clamp(0, 1)
        return sigma, (0.5 + 2 * points).clamp(0, 1)


def sphere(radius: float = 0.1, **more) -> Solid:
    return Solid((((0, 0, 0), (radius,) * 3),), **more)
