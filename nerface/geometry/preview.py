"""A picture of a mesh, drawn in software: its shape and its colours, from the front and from the side."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, UInt8

from nerface.geometry.shapes import Mesh
from nerface.sample.raster import AMBIENT, LIGHT_DIRECTION, draw
from nerface.sample.raster import Mesh as Drawable
from nerface.types import Intrinsics

PANEL_PX = 320
TURN_DEG = 40.0  # of the second and fourth panel
DISTANCE = 60.0  # of the viewer, in units in which half of the mesh's greatest breadth is HALF_SIZE
HALF_SIZE = 10.0
FOCAL = 0.8 * 0.5 * DISTANCE / HALF_SIZE  # in panel widths: that breadth fills four fifths of the panel
BACKDROP = 235.0  # grey level
CLAY, SHADE = 215.0, 0.25  # grey level in full light, and the share of it that is left in the shade


def preview(mesh: Mesh, panel: int = PANEL_PX) -> UInt8[np.ndarray, "height width 3"]:
    """Four panels side by side: shaded from the front and from 40 degrees to its left, coloured from the same places.

    `mesh` is taken to face +z, as `nerface.geometry.axes.placed` leaves it.
    """
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    breadth = float(np.hypot(high[0] - low[0], high[2] - low[2]))  # however it is turned
    centred = (mesh.vertices - 0.5 * (low + high)) * (2.0 * HALF_SIZE / max(breadth, float(high[1] - low[1])))
    shaded, coloured = [], []
    for degrees in (0.0, TURN_DEG):
        turn = math.radians(degrees)
        # The viewer goes to the left side of the person, so the person turns the other way before it.
        rotation = np.array([[math.cos(turn), 0, -math.sin(turn)], [0, 1, 0], [math.sin(turn), 0, math.cos(turn)]])
        places = centred @ rotation.T - [0.0, 0.0, DISTANCE]
        light = SHADE + (1.0 - SHADE) * np.maximum(mesh.normals @ rotation.T @ LIGHT_DIRECTION, 0.0)
        shaded.append(np.repeat(_drawn(places, mesh, CLAY * light, panel)[:, :, None], 3, axis=2))
        channels = [_drawn(places, mesh, mesh.colours[:, channel], panel) for channel in range(3)]
        coloured.append(np.stack(channels, axis=2))
    return np.rint(np.concatenate([*shaded, *coloured], axis=1)).astype(np.uint8)


def _drawn(
    places: Float[np.ndarray, "vertices 3"], mesh: Mesh, values: np.ndarray, panel: int
) -> Float[np.ndarray, "panel panel"]:
    """One value of each vertex, 0 to 255, as a picture: looked up in a ramp, in ambient light alone."""
    ramp = np.tile(np.arange(256, dtype=np.float32)[None, :, None] / AMBIENT, (2, 1, 1))
    texels = np.stack([values, np.zeros(len(values))], axis=1).astype(np.float32)
    inner = Intrinsics(FOCAL * panel, FOCAL * panel, 0.5, 0.5, panel, panel)
    drawable = Drawable(places, np.zeros_like(places), texels, mesh.faces)
    return draw(drawable, np.repeat(ramp, 3, axis=2), np.full((panel, panel, 3), BACKDROP), inner)[:, :, 0]
