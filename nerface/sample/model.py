"""The whole subject as one mesh: skin with its cuts, lips and lids, eyeballs, teeth, tongue, throat, and a torso."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from nerface.sample.head import (
    EYE_HALF_WIDTH,
    EYE_STATION,
    EYE_X,
    EYE_Y,
    EYE_Z,
    MOUTH_HALF_WIDTH,
    MOUTH_STATION,
    STATION_END,
    rest_skin,
    smoothstep,
)
from nerface.sample.parts import (
    LIP_TILE,
    Part,
    eyeball,
    grid_triangles,
    lower_mouth,
    skin_texel,
    tile_texel,
    torso,
    upper_mouth,
)
from nerface.sample.raster import Mesh, vertex_normals
from nerface.sample.shapes import JAW_TRAVEL, SkinPoints, deform, jaw_share, turn_jaw


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


def _stations() -> list[np.ndarray]:
    """Rows of the three patches of skin: above the eye cut, between the cuts, below the mouth cut."""
    brow = np.linspace(10.0, 12.0, 11)
    return [
        np.concatenate([np.linspace(0.0, 10.0, 21)[:-1], brow[:-1], np.linspace(12.0, EYE_STATION, 13)]),
        np.concatenate([np.linspace(EYE_STATION, 14.4, 11)[:-1], np.linspace(14.4, MOUTH_STATION, 29)]),
        np.concatenate(
            [
                np.linspace(MOUTH_STATION, 20.6, 13)[:-1],
                np.linspace(20.6, 26.0, 19)[:-1],
                np.linspace(26.0, STATION_END, 8),
            ]
        ),
    ]


def _angles() -> np.ndarray:
    """Columns: close together in the face, wide behind."""
    face, temple, back = np.linspace(0.0, 46.0, 42), np.linspace(46.0, 66.0, 13), np.linspace(66.0, 180.0, 20)
    side = np.concatenate([face[:-1], temple[:-1], back])
    return np.concatenate([-side[:0:-1], side])


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
        rest.points,
        rest.hair,
        in_patch < 1,
        above_mouth,
        np.abs(flat_angle) < 88.0,
        jaw_share(rest.points, flat_station, above_mouth),
    )
    starts = np.cumsum([0] + [len(rows) * len(angles) for rows in patches])
    triangles = np.concatenate([grid_triangles(len(rows), len(angles), starts[k]) for k, rows in enumerate(patches)])
    columns = len(angles)
    cuts = [(starts[1] - columns, starts[1]), (starts[2] - columns, starts[2])]
    welded = np.arange(len(flat_station))
    welded.reshape(-1, columns)[:, -1] = welded.reshape(-1, columns)[:, 0]  # the seam at the back of the head
    x = rest.points[:, 0]
    for k, (upper, lower) in enumerate(cuts):
        across = np.abs(x[lower : lower + columns])
        apart = np.abs(across - EYE_X) < EYE_HALF_WIDTH if k == 0 else across < MOUTH_HALF_WIDTH
        apart &= skin.front[lower : lower + columns]
        own, partner = welded[lower : lower + columns], welded[upper : upper + columns]
        welded[lower : lower + columns] = np.where(apart, own, partner)
    source, edge_texels, edge_triangles = _inner_edges(cuts, columns, skin)
    return Subject(
        skin,
        skin_texel(flat_station, flat_angle),
        triangles,
        welded,
        smoothstep((flat_station - 25.0) / 4.5),
        source,
        edge_texels,
        edge_triangles,
        (eyeball(-1.0), eyeball(1.0)),
        upper_mouth(),
        lower_mouth(),
        torso(),
    )


def _inner_edges(
    cuts: list[tuple[int, int]], columns: int, skin: SkinPoints
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strips that run from the cut edges inwards, so that lips and lids have a thickness.

    Gives the skin vertices they start at, the texels of the inner rows, and triangles (skin and edge vertices mixed).
    """
    sources: list[np.ndarray] = []
    texels: list[np.ndarray] = []
    triangles: list[np.ndarray] = []
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
    head, trunk = pose.head_to_camera, pose.torso_to_camera
    share = subject.torso_share[:, None]
    pieces = [(1.0 - share) * _apply(head, skin) + share * _apply(trunk, skin), _apply(head, inner)]
    pieces += [_apply(head, points) for points in rigid] + [_apply(trunk, subject.torso.points)]
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
    first_part = len(subject.skin_triangles) + len(subject.edge_triangles)
    drawn = np.concatenate([subject.skin_triangles, triangles[first_part:]])
    normals = vertex_normals(vertices, drawn, welded)
    normals[len(skin) : len(skin) + len(inner)] = normals[subject.edge_source]
    texels = np.concatenate([subject.skin_texels, subject.edge_texels] + [part.texels for part in parts])
    return Mesh(vertices, normals, texels, triangles)
