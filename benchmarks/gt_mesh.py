"""Meshes as the drawn head needs them: Loop subdivision as one matrix, normals, tubes and balls."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

LEVELS = 2  # each level makes four triangles of one


@dataclass(frozen=True)
class Refined:
    """A refined mesh: `matrix` [V, C] takes the C given vertices to V, of which the first C are the given ones.

    `triangles` [T, 3]; `rim` [B] the refined vertices along the longest boundary, in order.
    """

    matrix: Float[np.ndarray, "vertices given"]
    triangles: Int[np.ndarray, "triangles 3"]
    rim: Int[np.ndarray, " boundary"]


def refine(triangles: Int[np.ndarray, "triangles 3"], count: int) -> Refined:
    """Loop subdivision (Loop 1987, with the usual cubic rule along boundaries) that passes through the given vertices.

    The subdivided surface shrinks away from its control points, so the control points are solved for: a linear
    operation, hence still one matrix that holds for every identity and expression. Vertices that no triangle uses stay
    where they are.
    """
    matrix = sparse.identity(count, format="csr")
    faces = triangles
    for _ in range(LEVELS):
        step, faces = _loop(faces, matrix.shape[0])
        matrix = (step @ matrix).tocsr()
    dense = matrix.toarray()
    through = dense @ np.linalg.inv(dense[:count])
    rim = max(boundary_loops(faces), key=len)
    return Refined(through, faces, np.array(rim))


def _loop(triangles: np.ndarray, count: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    opposite: dict[tuple[int, int], list[int]] = defaultdict(list)
    around: dict[int, set[int]] = defaultdict(set)
    for a, b, c in triangles.tolist():
        for start, end, other in ((a, b, c), (b, c, a), (c, a, b)):
            opposite[(min(start, end), max(start, end))].append(other)
            around[start].add(end)
            around[end].add(start)
    border: dict[int, list[int]] = defaultdict(list)
    for (start, end), others in opposite.items():
        if len(others) == 1:
            border[start].append(end)
            border[end].append(start)
    entries: list[tuple[int, int, float]] = []
    for vertex in range(count):
        if vertex in border:
            entries += [(vertex, vertex, 0.75), *((vertex, other, 0.125) for other in border[vertex][:2])]
        elif around[vertex]:
            ring = len(around[vertex])
            share = (0.625 - (0.375 + 0.25 * np.cos(2 * np.pi / ring)) ** 2) / ring
            entries += [(vertex, vertex, 1 - ring * share), *((vertex, other, share) for other in around[vertex])]
        else:
            entries.append((vertex, vertex, 1.0))
    middle = {}
    for number, ((start, end), others) in enumerate(opposite.items()):
        row = middle[(start, end)] = count + number
        if len(others) == 1:
            entries += [(row, start, 0.5), (row, end, 0.5)]
        else:
            entries += [(row, start, 0.375), (row, end, 0.375), *((row, other, 0.125) for other in others)]
    faces = []
    for a, b, c in triangles.tolist():
        ab, bc, ca = (middle[(min(s, e), max(s, e))] for s, e in ((a, b), (b, c), (c, a)))
        faces += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    rows, columns, values = zip(*entries)
    step = sparse.csr_matrix((values, (rows, columns)), shape=(count + len(opposite), count))
    return step, np.array(faces)


def boundary_loops(triangles: Int[np.ndarray, "triangles 3"]) -> list[list[int]]:
    """The closed boundaries of a mesh, each as vertices in the direction of its triangles."""
    edges = {(s, e) for a, b, c in triangles.tolist() for s, e in ((a, b), (b, c), (c, a))}
    after = {start: end for start, end in edges if (end, start) not in edges}
    loops = []
    while after:
        start, at = next(iter(after.items()))
        del after[start]
        loop = [start]
        while at != start:
            loop.append(at)
            at = after.pop(at)
        loops.append(loop)
    return loops


def vertex_normals(
    points: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "triangles 3"]
) -> Float[np.ndarray, "vertices 3"]:
    """Unit normals, each the mean over the triangles around a vertex, weighted by their area."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for axis in range(3):
        normals[:, axis] = np.bincount(triangles.ravel(), np.repeat(face[:, axis], 3), len(points))
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12))


def grid_triangles(rows: int, columns: int, closed: bool) -> Int[np.ndarray, "triangles 3"]:
    """Triangles of a grid of `rows` rings with `columns` vertices; `closed` joins last and first column."""
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    right = (column + 1) % columns
    a, b = row * columns + column, row * columns + right
    c, d = (row + 1) * columns + column, (row + 1) * columns + right
    return np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)], axis=-2).reshape(-1, 3)
