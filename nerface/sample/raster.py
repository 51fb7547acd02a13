"""A small software rasteriser: textured triangles, z-buffer, Lambert light, anti-aliased by supersampling."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int

from nerface.types import Intrinsics

# Room light, fixed in camera axes (x right, y up, z towards the viewer): a window high to the left, and the room.
LIGHT_DIRECTION = np.array([-0.42, 0.55, 0.72]) / np.linalg.norm([-0.42, 0.55, 0.72])
AMBIENT = 0.60
DIFFUSE = 0.48
NEAREST_CM = 1.0
TRIANGLE_BITS = 20
EDGE_TOLERANCE_PX = 1e-6  # a sample on an edge belongs to both neighbours, so no pixel between them stays empty


@dataclass(frozen=True)
class Mesh:
    """Triangles to draw: `vertices` [V, 3] and `normals` [V, 3] in camera axes (cm), `texels` [V, 2] (column, row).

    `triangles` [T, 3] index vertices anticlockwise as seen from outside; triangles that show their back are not drawn.
    """

    vertices: Float[np.ndarray, "vertices 3"]
    normals: Float[np.ndarray, "vertices 3"]
    texels: Float[np.ndarray, "vertices 2"]
    triangles: Int[np.ndarray, "triangles 3"]


def vertex_normals(
    vertices: Float[np.ndarray, "vertices 3"],
    triangles: Int[np.ndarray, "triangles 3"],
    welded: Int[np.ndarray, " vertices"],
) -> Float[np.ndarray, "vertices 3"]:
    """Area-weighted unit normals; vertices with the same number in `welded` share one (no seam in the shading)."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)  # [T, 3]
    corner = welded[triangles].T.ravel()  # [3T], all first corners, then second, then third
    total = np.stack([np.bincount(corner, np.tile(face[:, k], 3), len(vertices)) for k in range(3)], axis=1)
    total = total[welded]
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def _ranks(counts: Int[np.ndarray, " groups"]) -> Int[np.ndarray, " items"]:
    """0, 1, ... count - 1 for each group, one after another."""
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return (np.arange(len(starts)) - starts).astype(np.int32)


def _fragments(
    corners: Float[np.ndarray, "triangles 3 3"], width: int, height: int
) -> tuple[Int[np.ndarray, " fragments"], Int[np.ndarray, " fragments"]]:
    """Pairs of a pixel [F], as row * width + column, and a front-facing screen triangle [F] that covers it."""
    x, y = corners[:, :, 0], corners[:, :, 1]
    left = np.clip(np.ceil(x.min(1)), 0, width).astype(np.int32)
    right = np.clip(np.floor(x.max(1)) + 1, 0, width).astype(np.int32)
    top = np.clip(np.ceil(y.min(1)), 0, height).astype(np.int32)
    bottom = np.clip(np.floor(y.max(1)) + 1, 0, height).astype(np.int32)
    # One row of one triangle's box at a time is a "span"; inside a span the edges bound the column from both sides.
    tall = np.where(right > left, np.maximum(bottom - top, 0), 0)
    owner = np.repeat(np.arange(len(corners), dtype=np.int32), tall)
    row = _ranks(tall) + top[owner]
    first, last = left[owner].astype(np.float64), right[owner] - 1.0
    for k in range(3):
        nxt = (k + 1) % 3
        rise, run = y[owner, nxt] - y[owner, k], x[owner, nxt] - x[owner, k]
        offset = row - y[owner, k]
        level = np.abs(rise) < 1e-9
        crossing = x[owner, k] + run * offset / np.where(level, 1.0, rise)
        # Front faces are seen anticlockwise: edges that go down the screen bound on the left, the others on the right.
        first = np.where(~level & (rise > 0), np.maximum(first, crossing - EDGE_TOLERANCE_PX), first)
        last = np.where(~level & (rise < 0), np.minimum(last, crossing + EDGE_TOLERANCE_PX), last)
    begin = np.ceil(first).astype(np.int32)
    count = np.maximum(np.floor(last).astype(np.int32) - begin + 1, 0)
    span = np.repeat(np.arange(len(owner), dtype=np.int32), count)
    column = _ranks(count) + begin[span]
    return row[span] * width + column, owner[span]


def _barycentric(
    corners: Float[np.ndarray, "pixels 3 3"], column: Int[np.ndarray, " pixels"], row: Int[np.ndarray, " pixels"]
) -> Float[np.ndarray, "pixels 3"]:
    """Screen-space weights of a triangle's corners at a pixel."""
    x, y = corners[:, :, 0], corners[:, :, 1]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    second = ((column - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (row - y[:, 0])) / area
    third = ((x[:, 1] - x[:, 0]) * (row - y[:, 0]) - (column - x[:, 0]) * (y[:, 1] - y[:, 0])) / area
    return np.stack([1.0 - second - third, second, third], axis=1)


def _visible(
    corners: Float[np.ndarray, "triangles 3 3"], width: int, height: int
) -> tuple[Int[np.ndarray, " pixels"], Int[np.ndarray, " pixels"]]:
    """Pixels [P] that show a triangle and that triangle [P]; `corners` are (column, row, 1 / depth)."""
    pixel, owner = _fragments(corners, width, height)
    # 1 / depth is linear on the screen: a plane per triangle.
    origin, to_b, to_c = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = to_b[:, 0] * to_c[:, 1] - to_c[:, 0] * to_b[:, 1]
    slope_x = (to_b[:, 2] * to_c[:, 1] - to_c[:, 2] * to_b[:, 1]) / area
    slope_y = (to_b[:, 0] * to_c[:, 2] - to_c[:, 0] * to_b[:, 2]) / area
    level = origin[:, 2] - slope_x * origin[:, 0] - slope_y * origin[:, 1]
    row = pixel // width
    nearness = slope_x[owner] * (pixel - row * width) + slope_y[owner] * row + level[owner]
    # Nearness and triangle in one integer: the maximum is the nearest fragment, ties go to the higher number.
    key = (np.maximum(nearness, 0.0) * 2.0**40).astype(np.int64) << TRIANGLE_BITS | owner
    buffer = np.full(width * height, -1, dtype=np.int64)
    np.maximum.at(buffer, pixel, key)
    shown = np.flatnonzero(buffer >= 0)
    return shown, buffer[shown] & (2**TRIANGLE_BITS - 1)


def draw(
    mesh: Mesh,
    texture: Float[np.ndarray, "rows columns 3"],
    backdrop: Float[np.ndarray, "height width 3"],
    intrinsics: Intrinsics,
    supersampling: int = 2,
) -> Float[np.ndarray, "height width 3"]:
    """Draw `mesh` over `backdrop`; values in [0, 255].

    `intrinsics` puts pixel centres at whole numbers (`nerface.types`). The picture is drawn `supersampling` times
    larger and averaged, so edges are blended; vertices are lit by an ambient part and Lambert's from
    `LIGHT_DIRECTION`.
    """
    k, width, height = supersampling, intrinsics.width * supersampling, intrinsics.height * supersampling
    depth = np.maximum(-mesh.vertices[:, 2], NEAREST_CM)
    u = intrinsics.fx * mesh.vertices[:, 0] / depth + intrinsics.width * intrinsics.cx
    v = -intrinsics.fy * mesh.vertices[:, 1] / depth + intrinsics.height * intrinsics.cy
    # Pixel u covers [u - 1/2, u + 1/2]; its k samples have centres at whole numbers of the larger picture.
    screen = np.stack([(u + 0.5) * k - 0.5, (v + 0.5) * k - 0.5, 1.0 / depth], axis=1)
    corners = screen[mesh.triangles]  # [T, 3, 3]
    x, y = corners[:, :, 0], corners[:, :, 1]
    turn = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    facing = np.flatnonzero(turn < -1e-9)
    shown, winner = _visible(corners[facing], width, height)
    winner = facing[winner]

    weights = _barycentric(corners[winner], shown % width, shown // width) * corners[winner, :, 2]
    weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)  # perspective-correct
    light = AMBIENT + DIFFUSE * np.maximum(mesh.normals @ LIGHT_DIRECTION, 0.0)
    values = np.concatenate([mesh.texels, light[:, None]], axis=1).astype(np.float32)  # [V, 3]
    vertex = mesh.triangles[winner]  # [P, 3]
    found = sum(weights[:, k, None] * values[vertex[:, k]] for k in range(3))  # [P, 3]

    size = (width, height)
    picture = cv2.resize(backdrop.astype(np.float32), size, interpolation=cv2.INTER_NEAREST).reshape(-1, 3)
    picture[shown] = _lookup(texture, found[:, :2]) * found[:, 2:]
    picture = cv2.resize(
        picture.reshape(height, width, 3), (intrinsics.width, intrinsics.height), interpolation=cv2.INTER_AREA
    )
    return np.clip(picture, 0.0, 255.0)


def _lookup(texture: Float[np.ndarray, "rows columns 3"], texel: Float[np.ndarray, "pixels 2"]) -> np.ndarray:
    """Bilinear texture colours [P, 3]; cv2.remap wants maps under 32768 on a side, so pixels are laid out in rows."""
    count = len(texel)
    if count == 0:
        return np.zeros((0, 3), dtype=texture.dtype)
    columns = 1024
    padded = np.zeros((-(-count // columns) * columns, 2), dtype=np.float32)
    padded[:count] = texel
    grid = padded.reshape(-1, columns, 2)
    found = cv2.remap(texture, grid[:, :, 0], grid[:, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.reshape(-1, 3)[:count]
