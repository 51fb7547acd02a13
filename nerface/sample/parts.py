"""The pieces of the subject that have no expression shapes, as meshes, and where they lie in the texture. Units: cm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import PchipInterpolator

from nerface.sample.head import EYE_X, EYE_Y, EYE_Z, EYEBALL_RADIUS, STATION_END

# The texture: the skin above, tiles for everything else in a strip below. (column, row) of tiles' centres, texels.
SKIN_COLUMNS, SKIN_ROWS, STRIP_ROWS = 1152, 800, 192
TILE = 192
# Lower teeth are the upper ones turned over.
EYE_TILE, CLOTH_TILE, TEETH_TILE, LIP_TILE, THROAT_TILE, TONGUE_TILE = range(6)
LOWER_TEETH_TILE = -1
ARCH_ANGLE = 1.35  # radians: how far round a row of teeth goes to each side


@dataclass(frozen=True)
class Part:
    """A piece that needs no expression shapes: `points` [V, 3] at rest, `texels` [V, 2], `triangles` [T, 3]."""

    points: Float[np.ndarray, "vertices 3"]
    texels: Float[np.ndarray, "vertices 2"]
    triangles: Int[np.ndarray, "triangles 3"]


def skin_texel(station: np.ndarray, angle: np.ndarray) -> Float[np.ndarray, "*grid 2"]:
    """Texture (column, row) of the skin at (station, angle in degrees)."""
    column = (angle / 360.0 + 0.5) * (SKIN_COLUMNS - 1)
    return np.stack([column, station / STATION_END * (SKIN_ROWS - 1)], axis=-1)


def tile_texel(tile: int, across: np.ndarray, down: np.ndarray) -> Float[np.ndarray, "*grid 2"]:
    """Texture (column, row) in a tile, for coordinates in [0, 1]; a margin keeps tiles from mixing."""
    margin = 3
    span = TILE - 1 - 2 * margin
    return np.stack([tile * TILE + margin + span * across, SKIN_ROWS + margin + span * down], axis=-1)


def grid_triangles(rows: int, columns: int, first: int = 0) -> Int[np.ndarray, "triangles 3"]:
    index = first + np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def _sheet(points: np.ndarray, texels: np.ndarray) -> Part:
    """A part from a grid of points [R, C, 3] and texels [R, C, 2]."""
    rows, columns = points.shape[:2]
    return Part(points.reshape(-1, 3), texels.reshape(-1, 2), grid_triangles(rows, columns))


def _join(parts: list[Part]) -> Part:
    offsets = np.cumsum([0] + [len(part.points) for part in parts])
    return Part(
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.texels for part in parts]),
        np.concatenate([part.triangles + offset for part, offset in zip(parts, offsets)]),
    )


def eyeball(sign: float) -> Part:
    polar = np.radians(np.linspace(0.0, 75.0, 13))[:, None]
    round_ = np.radians(np.linspace(0.0, 360.0, 29))[None, :]
    unit = np.stack([np.sin(polar) * np.cos(round_), np.sin(polar) * np.sin(round_), np.cos(polar) + 0 * round_], -1)
    reach = 0.5 * np.sin(polar) / np.sin(polar[-1])
    texels = tile_texel(EYE_TILE, 0.5 + reach * np.cos(round_), 0.5 - reach * np.sin(round_))
    return _sheet(np.array([sign * EYE_X, EYE_Y, EYE_Z]) + EYEBALL_RADIUS * unit, texels)


def _arch(heights: np.ndarray, depth: float, width: float, tile: int) -> Part:
    """A curved strip behind the lips; `heights` [R] are y (cm), `depth` z in the middle, `width` half the breadth."""
    share = np.linspace(-1.0, 1.0, 33)[None, :]
    y = heights[:, None] + 0 * share
    x = width * np.sin(ARCH_ANGLE * share) / np.sin(ARCH_ANGLE)
    points = np.stack([x + 0 * y, y, depth - 3.2 * np.abs(share) ** 2.2 + 0 * y], -1)
    down = np.linspace(0.0, 1.0, len(heights))[:, None] + 0 * share
    if tile == LOWER_TEETH_TILE:
        tile, down = TEETH_TILE, 1.0 - down
    return _sheet(points, tile_texel(tile, 0.5 + 0.5 * share + 0 * y, down))


def _throat(heights: np.ndarray, depth: float) -> Part:
    """The dark behind the teeth: a bag whose sides come forward to the cheeks."""
    share = np.linspace(-1.0, 1.0, 17)[None, :]
    y = heights[:, None] + 0 * share
    low = np.maximum(-7.0 - y, 0.0)  # narrower and further back towards the chin
    z = depth + 4.2 * np.abs(share) ** 1.6 - 0.25 * low
    points = np.stack([(3.3 - 0.75 * low) * share, y, z], -1)
    return _sheet(points, tile_texel(THROAT_TILE, 0.5 + 0.5 * share + 0 * y, 0.5 + 0 * y))


def _tongue() -> Part:
    along, share = np.linspace(0.0, 1.0, 10)[:, None], np.linspace(-1.0, 1.0, 13)[None, :]
    z = 3.5 + 4.3 * np.sin(along * np.pi / 2) + 0 * share
    y = -7.35 + 0.5 * np.cos(along * np.pi / 2) - 0.45 * share**2 - 0.8 * along**6
    x = 1.75 * share * np.sqrt(np.maximum(1.0 - 0.75 * along**3, 0.0))
    return _sheet(np.stack([x, y, z], -1), tile_texel(TONGUE_TILE, 0.5 + 0.5 * share + 0 * along, along + 0 * share))


def torso() -> Part:
    """Shoulders and a round collar: rings of (y, half width, half depth, z of the middle), outwards from the neck."""
    knots = np.array(
        [
            [0.0, -13.3, 5.15, 4.9, -1.0],
            [1.0, -12.7, 5.6, 5.3, -1.0],
            [2.0, -13.4, 6.15, 5.9, -1.0],
            [3.0, -14.2, 7.6, 6.5, -1.2],
            [4.0, -15.6, 11.5, 7.3, -1.5],
            [5.0, -17.2, 16.0, 8.3, -1.8],
            [6.0, -19.6, 19.5, 9.4, -2.0],
            [7.0, -26.0, 21.0, 10.5, -2.0],
            [8.0, -34.0, 21.5, 11.0, -2.0],
        ]
    )
    level = np.linspace(0.0, 8.0, 41)[:, None]
    turn = np.radians(np.linspace(-180.0, 180.0, 61))[None, :]
    y, wide, deep, middle = np.moveaxis(PchipInterpolator(knots[:, 0], knots[:, 1:])(level), -1, 0)
    # The front of the collar hangs lower than the nape.
    drop = -0.9 * np.cos(turn) * np.clip(1.5 - level / 4.0, 0.2, 1.0)
    points = np.stack([wide * np.sin(turn), y + drop, middle + deep * np.cos(turn)], -1)
    texels = tile_texel(CLOTH_TILE, np.abs(turn / np.pi) + 0 * level, level / 8.0 + 0 * turn)
    return _sheet(points, texels)


def upper_mouth() -> Part:
    """Upper teeth, and the dark behind them: they stay with the skull."""
    return _join([_arch(np.linspace(-4.85, -6.2, 6), 8.45, 2.6, TEETH_TILE), _throat(np.linspace(-4.4, -9.0, 10), 2.6)])


def lower_mouth() -> Part:
    """Lower teeth, tongue and the floor of the mouth: they turn with the jaw."""
    teeth = _arch(np.linspace(-6.15, -7.0, 6), 8.1, 2.35, LOWER_TEETH_TILE)
    return _join([teeth, _throat(np.linspace(-6.4, -8.9, 8), 3.2), _tongue()])
