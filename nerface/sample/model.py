"""The whole subject as one mesh: skin with its cuts, lips and lids, eyeballs, teeth, tongue, throat, and a torso."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import PchipInterpolator

from nerface.sample.head import (
    EYE_HALF_WIDTH,
    EYE_STATION,
    EYE_X,
    EYE_Y,
    EYE_Z,
    EYEBALL_RADIUS,
    MOUTH_HALF_WIDTH,
    MOUTH_STATION,
    STATION_END,
    rest_skin,
    smoothstep,
)
from nerface.sample.raster import Mesh, vertex_normals
from nerface.sample.shapes import JAW_TRAVEL, SkinPoints, deform, jaw_share, turn_jaw

# The texture: the skin above, tiles for everything else in a strip below. (column, row) of tiles' centres, texels.
SKIN_COLUMNS, SKIN_ROWS, STRIP_ROWS = 1152, 800, 192
TILE = 192
# Lower teeth are the upper ones turned over.
EYE_TILE, CLOTH_TILE, TEETH_TILE, LIP_TILE, THROAT_TILE, TONGUE_TILE = range(6)
LOWER_TEETH_TILE = -1


@dataclass(frozen=True)
class Part:
    """A piece that needs no expression shapes: `points` [V, 3] at rest, `texels` [V, 2], `triangles` [T, 3]."""

    points: Float[np.ndarray, "vertices 3"]
    texels: Float[np.ndarray, "vertices 2"]
    triangles: Int[np.ndarray, "triangles 3"]


@dataclass(frozen=True)
class Subject:
    """The model at rest. `skin` vertices come first in every mesh, then `edges` (inner lips and lids), then the parts.

    `edge_source` [K]: the skin vertex behind which the K-th inner-edge vertex lies. `torso_share` [V]: how far a skin
    vertex follows the torso instead of the head.
    """

    skin: SkinPoints
    skin_texels: Float[np.ndarray, "vertices 2"]
    skin_triangles: Int[np.ndarray, "triangles 3"]
    welded: Int[np.ndarray, " vertices"]
    torso_share: Float[np.ndarray, " vertices"]
    edge_source: Int[np.ndarray, " edges"]
    edge_texels: Float[np.ndarray, "edges 2"]
    edge_triangles: Int[np.ndarray, "edge_triangles 3"]
    eyes: tuple[Part, Part]
    upper_mouth: Part
    lower_mouth: Part
    torso: Part


def skin_texel(station: np.ndarray, angle: np.ndarray) -> Float[np.ndarray, "*grid 2"]:
    """Texture (column, row) of the skin at (station, angle in degrees)."""
    column = (angle / 360.0 + 0.5) * (SKIN_COLUMNS - 1)
    return np.stack([column, station / STATION_END * (SKIN_ROWS - 1)], axis=-1)


def tile_texel(tile: int, across: np.ndarray, down: np.ndarray) -> Float[np.ndarray, "*grid 2"]:
    """Texture (column, row) in a tile, for coordinates in [0, 1]; a margin keeps tiles from mixing."""
    margin = 3
    span = TILE - 1 - 2 * margin
    return np.stack([tile * TILE + margin + span * across, SKIN_ROWS + margin + span * down], axis=-1)


def _grid_triangles(rows: int, columns: int, first: int = 0) -> Int[np.ndarray, "triangles 3"]:
    index = first + np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def _sheet(points: np.ndarray, texels: np.ndarray) -> Part:
    """A part from a grid of points [R, C, 3] and texels [R, C, 2]."""
    rows, columns = points.shape[:2]
    return Part(points.reshape(-1, 3), texels.reshape(-1, 2), _grid_triangles(rows, columns))


def _join(parts: list[Part]) -> Part:
    offsets = np.cumsum([0] + [len(part.points) for part in parts])
    return Part(
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.texels for part in parts]),
        np.concatenate([part.triangles + offset for part, offset in zip(parts, offsets)]),
    )


def _stations() -> list[np.ndarray]:
    """Rows of the three patches of skin: above the eye cut, between the cuts, below the mouth cut."""
    brow = np.linspace(10.0, 12.0, 11)
    return [
        np.concatenate([np.linspace(0.0, 10.0, 21)[:-1], brow[:-1], np.linspace(12.0, EYE_STATION, 13)]),
        np.concatenate([np.linspace(EYE_STATION, 14.4, 11)[:-1], np.linspace(14.4, MOUTH_STATION, 29)]),
        np.concatenate([np.linspace(MOUTH_STATION, 20.6, 13)[:-1], np.linspace(20.6, 26.0, 19)[:-1],
                        np.linspace(26.0, STATION_END, 8)]),
    ]


def _angles() -> np.ndarray:
    """Columns: close together in the face, wide behind."""
    side = np.concatenate([np.linspace(0.0, 46.0, 42)[:-1], np.linspace(46.0, 66.0, 13)[:-1], np.linspace(66.0, 180.0, 20)])
    return np.concatenate([-side[:0:-1], side])


def _eyeball(sign: float) -> Part:
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
    points = np.stack([width * np.sin(share * 1.35) / np.sin(1.35) + 0 * y, y, depth - 3.2 * np.abs(share) ** 2.2 + 0 * y], -1)
    down = np.linspace(0.0, 1.0, len(heights))[:, None] + 0 * share
    if tile == LOWER_TEETH_TILE:
        tile, down = TEETH_TILE, 1.0 - down
    return _sheet(points, tile_texel(tile, 0.5 + 0.5 * share + 0 * y, down))


def _throat(heights: np.ndarray, depth: float) -> Part:
    """The dark behind the teeth: a bag whose sides come forward to the cheeks."""
    share = np.linspace(-1.0, 1.0, 17)[None, :]
    y = heights[:, None] + 0 * share
    points = np.stack([(3.3 - 0.75 * np.maximum(-7.0 - y, 0.0)) * share, y, depth + 4.2 * np.abs(share) ** 1.6 - 0.25 * np.maximum(-7.0 - y, 0.0)], -1)
    return _sheet(points, tile_texel(THROAT_TILE, 0.5 + 0.5 * share + 0 * y, 0.5 + 0 * y))


def _tongue() -> Part:
    along, share = np.linspace(0.0, 1.0, 10)[:, None], np.linspace(-1.0, 1.0, 13)[None, :]
    z = 3.5 + 4.3 * np.sin(along * np.pi / 2) + 0 * share
    y = -7.35 + 0.5 * np.cos(along * np.pi / 2) - 0.45 * share**2 - 0.8 * along**6
    x = 1.75 * share * np.sqrt(np.maximum(1.0 - 0.75 * along**3, 0.0))
    return _sheet(np.stack([x, y, z], -1), tile_texel(TONGUE_TILE, 0.5 + 0.5 * share + 0 * along, along + 0 * share))


def _torso() -> Part:
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


def build_subject() -> Subject:
    """The model at rest, the same every time."""
    angles, patches = _angles(), _stations()
    station = np.concatenate(patches)
    patch = np.concatenate([np.full(len(rows), k) for k, rows in enumerate(patches)])
    grid_station, grid_angle = np.meshgrid(station, angles, indexing="ij")
    flat_station, flat_angle = grid_station.ravel(), grid_angle.ravel()
    rest = rest_skin(flat_station, flat_angle)
    in_patch = np.repeat(patch, len(angles))
    above_mouth = in_patch < 2
    skin = SkinPoints(
        rest.points, rest.hair, in_patch < 1, above_mouth, np.abs(flat_angle) < 88.0,
        jaw_share(rest.points, flat_station, above_mouth),
    )
    starts = np.cumsum([0] + [len(rows) * len(angles) for rows in patches])
    triangles = np.concatenate([_grid_triangles(len(rows), len(angles), starts[k]) for k, rows in enumerate(patches)])
    columns = len(angles)
    cuts = [(starts[1] - columns, starts[1]), (starts[2] - columns, starts[2])]
    welded = np.arange(len(flat_station))
    welded.reshape(-1, columns)[:, -1] = welded.reshape(-1, columns)[:, 0]  # the seam at the back of the head
    x = rest.points[:, 0]
    for k, (upper, lower) in enumerate(cuts):
        across = np.abs(x[lower : lower + columns])
        apart = np.abs(across - EYE_X) < EYE_HALF_WIDTH if k == 0 else across < MOUTH_HALF_WIDTH
        apart &= skin.front[lower : lower + columns]
        welded[lower : lower + columns] = np.where(apart, welded[lower : lower + columns], welded[upper : upper + columns])
    source, edge_texels, edge_triangles = _inner_edges(cuts, columns, skin)
    throat, lower_throat = _throat(np.linspace(-4.4, -9.0, 10), 2.6), _throat(np.linspace(-6.4, -8.9, 8), 3.2)
    return Subject(
        skin,
        skin_texel(flat_station, flat_angle),
        triangles,
        welded,
        smoothstep((flat_station - 25.0) / 4.5),
        source,
        edge_texels,
        edge_triangles,
        (_eyeball(-1.0), _eyeball(1.0)),
        _join([_arch(np.linspace(-4.85, -6.2, 6), 8.45, 2.6, TEETH_TILE), throat]),
        _join([_arch(np.linspace(-6.15, -7.0, 6), 8.1, 2.35, LOWER_TEETH_TILE), lower_throat, _tongue()]),
        _torso(),
    )


def _inner_edges(cuts: list[tuple[int, int]], columns: int, skin: SkinPoints) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strips that run from the cut edges inwards, so that lips and lids have a thickness.

    Gives the skin vertices they start at, the texels of the inner rows, and triangles (skin and edge vertices mixed).
    """
    sources, texels, triangles = [], [], []
    count = len(skin.points)
    for k, pair in enumerate(cuts):
        for lower, begin in enumerate(pair):
            row = np.arange(begin, begin + columns)
            x = np.abs(skin.points[row, 0])
            keep = (np.abs(x - EYE_X) < EYE_HALF_WIDTH + 0.2) if k == 0 else (x < MOUTH_HALF_WIDTH + 0.2)
            keep &= skin.front[row]
            row = row[keep]
            inner = count + sum(len(part) for part in sources) + np.arange(len(row))
            linked = np.diff(row) == 1
            a, b, c, d = row[:-1][linked], row[1:][linked], inner[:-1][linked], inner[1:][linked]
            strips = [np.stack([a, c, b], 1), np.stack([b, c, d], 1)]
            # The upper strip is seen from below, the lower one from above.
            triangles += [strip[:, ::-1] for strip in strips] if lower else strips
            sources.append(row)
            texels.append(tile_texel(LIP_TILE, np.full(len(row), 0.25 if k == 0 else 0.75), np.full(len(row), 0.5)))
    return np.concatenate(sources), np.concatenate(texels), np.concatenate(triangles)


@dataclass(frozen=True)
class Pose:
    """Head and torso to camera, [4, 4] each, and where the eyes look: (right, up) in degrees, in head axes."""

    head_to_camera: Float[np.ndarray, "4 4"]
    torso_to_camera: Float[np.ndarray, "4 4"]
    gaze: tuple[float, float] = (0.0, 0.0)


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _turned_eye(eye: Part, gaze: tuple[float, float]) -> np.ndarray:
    right, up = np.radians(gaze)
    about_y = np.array([[np.cos(right), 0, np.sin(right)], [0, 1, 0], [-np.sin(right), 0, np.cos(right)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(up), np.sin(up)], [0, -np.sin(up), np.cos(up)]])
    centre = np.array([np.sign(eye.points[:, 0].mean()) * EYE_X, EYE_Y, EYE_Z])
    return (eye.points - centre) @ (about_y @ about_x).T + centre


def pose_subject(subject: Subject, weights: dict[str, float], pose: Pose) -> Mesh:
    """The mesh of one frame, in camera axes."""
    skin = deform(subject.skin, weights)
    inner = skin[subject.edge_source] - np.array([0.0, 0.0, 0.55])
    jaw = JAW_TRAVEL * float(weights.get("jawOpen", 0.0))
    rigid = [_turned_eye(eye, pose.gaze) for eye in subject.eyes]
    rigid += [subject.upper_mouth.points, turn_jaw(subject.lower_mouth.points, jaw)]
    head, torso = pose.head_to_camera, pose.torso_to_camera
    share = subject.torso_share[:, None]
    pieces = [(1.0 - share) * _apply(head, skin) + share * _apply(torso, skin), _apply(head, inner)]
    pieces += [_apply(head, points) for points in rigid] + [_apply(torso, subject.torso.points)]
    parts = [*subject.eyes, subject.upper_mouth, subject.lower_mouth, subject.torso]
    vertices = np.concatenate(pieces)
    offsets = np.cumsum([len(skin) + len(inner)] + [len(part.points) for part in parts])
    triangles = np.concatenate(
        [subject.skin_triangles, subject.edge_triangles]
        + [part.triangles + offset for part, offset in zip(parts, offsets)]
    )
    welded = np.arange(len(vertices))
    welded[: len(skin)] = subject.welded
    # The skin's normals come from the skin alone: the inner edges would bend them at the lips.
    drawn = np.concatenate([subject.skin_triangles, triangles[len(subject.skin_triangles) + len(subject.edge_triangles) :]])
    normals = vertex_normals(vertices, drawn, welded)
    normals[len(skin) : len(skin) + len(inner)] = normals[subject.edge_source]
    texels = np.concatenate([subject.skin_texels, subject.edge_texels] + [part.texels for part in parts])
    return Mesh(vertices, normals, texels, triangles)
