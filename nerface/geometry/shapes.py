"""What geometry is handed on as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int, UInt8

from nerface.fields.base import Subject
from nerface.rendering.normals import Queryable


class Person(Queryable, Protocol):
    """An avatar whose field can be asked, and that knows its camera."""

    @property
    def subject(self) -> Subject: ...


@dataclass(frozen=True)
class Mesh:
    """A coloured surface: `vertices` [V, 3] (head units, unless placed otherwise), triangles `faces` [F, 3].

    Corners go anticlockwise as seen from outside; `normals` [V, 3] are unit vectors outwards, `colours` [V, 3] sRGB.
    """

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    colours: UInt8[np.ndarray, "vertices 3"]
    normals: Float[np.ndarray, "vertices 3"]


@dataclass(frozen=True)
class Points:
    """A coloured point cloud: `positions` [N, 3], `colours` [N, 3] sRGB, unit `normals` [N, 3] outwards."""

    positions: Float[np.ndarray, "points 3"]
    colours: UInt8[np.ndarray, "points 3"]
    normals: Float[np.ndarray, "points 3"]


def as_bytes(rgb: Float[np.ndarray, "points 3"]) -> UInt8[np.ndarray, "points 3"]:
    """Colours in [0, 1] as 8 bits."""
    return np.rint(np.clip(rgb, 0.0, 1.0) * 255.0).astype(np.uint8)
