"""Which density is a surface."""

from __future__ import annotations

import math

import torch

from nerface.geometry.shapes import Person
from nerface.rendering.normals import render_surface
from nerface.types import Camera, Condition

# Of the densest level chosen, so much matter (head units) hides half of what lies behind it: about the spacing of
# NeRFace's coarse samples, and somewhat under a centimetre of a head. To the renderer such matter is a wall.
HALF_DEPTH = 0.01
WALL = math.log(2.0) / HALF_DEPTH  # 69 per head unit
SHARE = 0.25  # of the pixels that show the person may show thinner matter than the level is made for
FRACTION = 0.5  # of the density where a pixel's light is half used up
LOOK_PX = 64  # longer side of the picture that is looked at
SHOWS_PERSON = 0.5  # opacity


def choose_level(avatar: Person, condition: Condition) -> float:
    """A density, per head unit, for the surface of `avatar` under `condition`.

    69 where the avatar is that solid: ln 2 / 0.01 head units. Fields that were trained for minutes are haze, with
    thinner skins: there it is half the density, at the lower quartile of the rest pose's pixels, that the field has
    where half of a pixel's opacity is reached, so that most of what a picture shows has a surface.
    """
    inner = avatar.subject.intrinsics
    shrink = min(1.0, LOOK_PX / max(inner.width, inner.height))
    inner = inner.resized(max(1, round(inner.width * shrink)), max(1, round(inner.height * shrink)))
    camera = Camera(inner, torch.tensor(avatar.subject.rest_pose, dtype=torch.float32))
    surface = render_surface(avatar, camera, condition)
    shown = surface.opacity >= SHOWS_PERSON
    if not bool(shown.any()):
        return WALL
    with torch.no_grad():
        sigma, _ = avatar.query(surface.position[shown], condition)
    return min(WALL, FRACTION * max(float(sigma.float().quantile(SHARE)), 1e-6))
