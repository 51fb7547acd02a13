"""The surface of a person at one expression: marching cubes on the field's density, coloured by the field."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from nerface.errors import UserError
from nerface.geometry.colours import surface_colours
from nerface.geometry.grid import HALF, Grid, sample_grid
from nerface.geometry.level import choose_level
from nerface.geometry.region import region_of
from nerface.geometry.shapes import Mesh, Person, as_bytes
from nerface.progress import SILENT, Progress
from nerface.types import Condition

DEFAULT_EXTENT = 0.25  # head units; a head is about 0.25 high
LEAST_RESOLUTION, GREATEST_RESOLUTION = 8, 1024  # voxels
GREATEST_SMOOTHING = 10  # voxels


@dataclass(frozen=True)
class MeshOptions:
    """How a surface is found.

    `resolution` is the number of voxels along the longest side of the region, `level` the density of the surface per
    head unit (None: `nerface.geometry.level.choose_level`), `extent` half the side of the cube round the head's origin.
    `whole_box` looks at all of that cube, not only at what the rest pose's picture shows of it; `all_parts` keeps every
    piece, not only the largest. `smooth` is the standard deviation, in voxels, of a Gaussian over the grid (0: none),
    against the bumps of a field that was trained for a short time.
    """

    resolution: int = 256
    level: float | None = None
    extent: float = DEFAULT_EXTENT
    whole_box: bool = False
    all_parts: bool = False
    smooth: float = 0.0

    def __post_init__(self) -> None:
        if not LEAST_RESOLUTION <= self.resolution <= GREATEST_RESOLUTION:
            raise UserError(
                f"the resolution {self.resolution} makes no sense: give {LEAST_RESOLUTION} to {GREATEST_RESOLUTION} "
                "voxels"
            )
        for name, value in (("level", self.level), ("extent", self.extent)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UserError(f"the {name} {value} makes no sense: give a number over 0")
        if not 0 <= self.smooth <= GREATEST_SMOOTHING:
            raise UserError(f"smoothing over {self.smooth} voxels makes no sense: give 0 to {GREATEST_SMOOTHING}")


def extract_mesh(
    avatar: Person, condition: Condition, options: MeshOptions | None = None, progress: Progress = SILENT
) -> Mesh:
    """The surface at which the density of `avatar` under `condition` is the level, in head space.

    Triangles face outwards, normals are area-weighted means of the faces round a vertex, colours are what the field
    shows from the front (`nerface.geometry.colours`). Where the region ends within the person (the neck, at the
    picture's edge) the cut is closed. Head space may be mirrored: `nerface.geometry.axes` tells and mends that.

    Raises `UserError` where nothing is as dense as the level, and for options that make no sense.
    """
    options = options or MeshOptions()
    level = choose_level(avatar, condition) if options.level is None else options.level
    region = region_of(avatar, options.extent, options.whole_box)
    grid = sample_grid(avatar, condition, region, options.resolution, level, progress)
    if not np.isfinite(grid.densest) or not np.isfinite(grid.solidity).all():
        raise UserError("the avatar's density holds NaN or infinity: did training diverge?")
    vertices, faces = march(grid, options.smooth)
    if len(faces) and not options.all_parts:
        vertices, faces = largest_part(vertices, faces)
    if len(faces) == 0:
        raise UserError(_nothing_there(grid.densest, level, options.extent))
    normals = vertex_normals(vertices, faces)
    colours = surface_colours(avatar, condition, vertices, normals, level, progress)
    return Mesh(vertices, faces, as_bytes(colours), normals)


def march(grid: Grid, smooth: float = 0.0) -> tuple[Float[np.ndarray, "vertices 3"], Int[np.ndarray, "faces 3"]]:
    """Vertices (float32, head units) and outward triangles where solidity is a half (Lewiner's marching cubes).

    Nothing where it is a half nowhere.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.measure import marching_cubes

    # "ascent": corners are anticlockwise as seen from the thinner side, in axes that are right-handed.
    solidity = gaussian_filter(grid.solidity, smooth, mode="constant") if smooth else grid.solidity
    if not solidity.max() > HALF:
        return np.zeros((0, 3), dtype=np.float32), np.zeros((0, 3), dtype=np.int64)
    vertices, faces, _, _ = marching_cubes(solidity, level=HALF, gradient_direction="ascent", allow_degenerate=False)
    return (grid.origin + grid.voxel * vertices).astype(np.float32), faces.astype(np.int64)


def largest_part(
    vertices: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> tuple[Float[np.ndarray, "kept 3"], Int[np.ndarray, "fewer 3"]]:
    """The connected piece with the largest area."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    begin, end = faces.ravel(), np.roll(faces, 1, axis=1).ravel()
    edges = coo_array((np.ones(len(begin), dtype=bool), (begin, end)), shape=(len(vertices), len(vertices)))
    _, part = connected_components(edges, directed=False)
    area = np.linalg.norm(_face_vectors(vertices, faces), axis=1)
    winner = np.bincount(part[faces[:, 0]], weights=area).argmax()
    kept = np.flatnonzero(part == winner)
    number = np.full(len(vertices), -1, dtype=np.int64)
    number[kept] = np.arange(len(kept))
    return vertices[kept], number[faces[part[faces[:, 0]] == winner]]


def vertex_normals(
    vertices: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float[np.ndarray, "vertices 3"]:
    """Unit normals outwards (float32): the mean of the faces round a vertex, weighted by area."""
    across = _face_vectors(vertices, faces)
    total = np.stack(
        [np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), len(vertices)) for axis in range(3)], axis=1
    )
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-30)).astype(np.float32)


def _face_vectors(vertices: np.ndarray, faces: np.ndarray) -> Float[np.ndarray, "faces 3"]:
    """Outward vectors across triangles, twice their area long."""
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    return np.cross(b - a, c - a)


def _nothing_there(densest: float, level: float, extent: float) -> str:
    looked = f"{extent:g} head units round the head's origin"
    if densest <= 0:
        return f"there is nothing within {looked}: the density is 0 everywhere (has the avatar been trained?)"
    return (
        f"nothing within {looked} is as dense as {level:.3g} per head unit, the densest place has "
        f"{densest:.3g}: try the level {densest / 2:.2g}"
    )
