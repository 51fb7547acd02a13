"""A head to draw, built round the 468 vertices of the ICT-FaceKit face: skin, skull, hair, eyes, teeth, neck, body.

Axes are the model's: x to the right of the picture, y up, z out of the face, cm. The drawn skin passes through the 468
vertices exactly, so their projections are what a perfect landmark network would give on this mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gt_face import INNER_LIPS, LEFT_EYE, LOWER_LIP, RIGHT_EYE, UPPER_LIP, FaceModel
from gt_mesh import grid_triangles, refine, vertex_normals
from gt_texture import body_texture, eye_texture, face_places, shell_texture, skin_texture, teeth_texture
from jaxtyping import Float, Int
from scipy.optimize import least_squares

SKULL_CENTRE = np.array([0.0, 3.0, 0.0])
SKULL_RADII = np.array([7.5, 9.4, 9.8])
NAPE = np.array([0.0, -0.25, -0.97])  # direction from the centre at which the skull closes, inside the neck
RINGS = 44
RIM_FADE = 3.2  # per radian: how quickly the skull leaves the rim of the face for the ellipsoid
HAIR_CM = 1.1
EYE_RADIUS = 1.25
EYE_BACK, INSIDE_BACK = 0.75, 0.30  # cm by which lids and lips go before what lies behind them
# Neck and body: height, z of the middle, half width, half depth (cm) from the jaw to the picture's lower edge.
BODY = np.array(
    [
        *((-1.0, -1.5, 5.2, 5.2), (-5.0, -1.6, 5.4, 5.4), (-9.0, -2.0, 5.5, 5.4), (-11.0, -2.4, 6.0, 5.6)),
        *((-12.4, -2.8, 8.5, 6.2), (-13.8, -3.0, 12.5, 7.0), (-15.6, -3.2, 16.5, 8.0), (-18.5, -3.2, 19.0, 9.0)),
        *((-24.0, -3.2, 20.5, 9.8), (-40.0, -3.2, 21.5, 10.0)),
    ]
)
COLLAR_CM = -11.3
NECK_BEND = (-3.0, -12.0)  # height at which the neck goes with the head, and with the body


@dataclass(frozen=True)
class Looks:
    """Colours (linear light) of a person: factors on the portrait's skin, hair, iris, cloth."""

    tone: tuple[float, float, float] = (0.80, 0.66, 0.58)
    hair: tuple[float, float, float] = (0.030, 0.018, 0.012)
    iris: tuple[float, float, float] = (0.10, 0.13, 0.08)
    cloth: tuple[float, float, float] = (0.05, 0.09, 0.16)


@dataclass(frozen=True)
class Part:
    """One textured piece: `places` [V, 2] in its texture, `back` cm added to its depth, `gloss` of its highlight.

    `shade` [V] dims its light (what lies in a hollow gets less).
    """

    triangles: Int[np.ndarray, "triangles 3"]
    places: Float[np.ndarray, "vertices 2"]
    texture: Float[np.ndarray, "rows columns 3"]
    shade: Float[np.ndarray, " vertices"]
    back: float = 0.0
    gloss: float = 0.0


@dataclass(frozen=True)
class Pieces:
    """The vertices and normals of one part in one frame, model axes, and how far each goes with the body (0 to 1)."""

    points: Float[np.ndarray, "vertices 3"]
    normals: Float[np.ndarray, "vertices 3"]
    bodily: Float[np.ndarray, " vertices"] | float = 0.0


class Head:
    """One person: `parts` never change, `pose` gives their vertices for a frame."""

    def __init__(
        self, model: FaceModel, identity: np.ndarray, looks: Looks, task_file: Path, random: np.random.Generator
    ) -> None:
        holes = (set(RIGHT_EYE), set(LEFT_EYE), set(INNER_LIPS))
        open_faces = [face for face in model.triangles.tolist() if not any(set(face) <= hole for hole in holes)]
        self.model, self.identity = model, identity
        self.refined = refine(np.array(open_faces), 468)
        self.rest = model.vertices(identity, np.zeros(len(model.names)))
        skin, plain = skin_texture(model.neutral, self.refined, task_file, np.array(looks.tone), random)
        self._shell, self._fade, hair = _shell(self.refined.matrix @ self.rest, self.refined.rim, random)
        self._eyes = [_eyeball(self.rest[list(ring)]) for ring in (LEFT_EYE, RIGHT_EYE)]
        self._body = _tube()
        body = body_texture(plain, np.array(looks.cloth), _collar(), random)
        self._ball, ball_faces = _hemisphere()
        self.parts = [
            *self._skin_parts(model, skin, shell_texture(hair, plain, np.array(looks.hair), random)),
            *[Part(ball_faces, 0.5 + 0.5 * self._ball[:, :2] * [1, -1], eye_texture(np.array(looks.iris), random),
                   _lid_shade(self._ball), EYE_BACK, 0.6)] * 2,
            *self._mouth_parts(),
            Part(*_tube_faces(), body, np.ones(len(self._body))),
            *self._ears(plain),
        ]  # fmt: skip

    def _skin_parts(self, model: FaceModel, skin: np.ndarray, shell: np.ndarray) -> list[Part]:
        columns = len(self.refined.rim)
        places = face_places(self.refined.matrix @ model.neutral)
        across, along = np.meshgrid(np.arange(columns) / (columns - 1), np.arange(RINGS) / (RINGS - 1))
        grid = np.stack([across.ravel(), along.ravel()], axis=1)
        faces = grid_triangles(RINGS, columns, closed=True)
        return [
            Part(self.refined.triangles, places, skin, np.ones(len(places)), gloss=0.10),
            Part(faces, grid, shell, np.ones(len(grid)), gloss=0.04),
        ]

    def _mouth_parts(self) -> list[Part]:
        rows, columns = 6, 24
        faces = grid_triangles(rows, columns, closed=False)
        across, down = np.meshgrid(np.arange(columns) / (columns - 1), np.arange(rows) / (rows - 1))
        places = np.stack([across.ravel(), down.ravel()], axis=1)
        dim = 0.75 - 0.55 * np.abs(2 * across.ravel() - 1) ** 2
        dark = np.full((4, 4, 3), (0.05, 0.012, 0.01), np.float32)
        upper = Part(faces, places, teeth_texture(), dim, INSIDE_BACK, 0.3)
        lower = Part(faces, places * [1, -1] + [0, 1], teeth_texture(), 0.75 * dim, INSIDE_BACK, 0.3)
        return [upper, lower, Part(faces, places, dark, np.full(len(places), 0.6), INSIDE_BACK)]

    def _ears(self, plain: np.ndarray) -> list[Part]:
        ball, faces = _sphere()
        texture = np.full((4, 4, 3), plain, np.float32)
        self._ear_ball = ball
        # The bowl of the ear lies in shadow.
        bowl = 1 - 0.45 * np.exp(-(((ball[:, 1] + 0.1) / 0.5) ** 2 + ((ball[:, 2] - 0.1) / 0.45) ** 2))
        return [Part(faces, np.full((len(ball), 2), 0.5), texture, bowl, gloss=0.05)] * 2

    def pose(self, weights: Float[np.ndarray, " e"], gaze: Float[np.ndarray, "2 2"]) -> list[Pieces]:
        """The pieces of a frame, in the order of `parts`; `gaze` is yaw and pitch of the left and the right eyeball."""
        coarse = self.model.vertices(self.identity, weights)
        face = self.refined.matrix @ coarse
        rim, columns = self.refined.rim, len(self.refined.rim)
        moved = face[rim] - (self.refined.matrix @ self.rest)[rim]
        shell = self._shell + self._fade[:, None, None] * moved[None]
        shell[0] = face[rim]
        # Normals over the joined skin, so that no seam shows where the shell takes over from the face.
        below = np.concatenate([rim, len(face) + np.arange((RINGS - 1) * columns)])
        joined = np.concatenate([face, shell[1:].reshape(-1, 3)])
        faces = np.concatenate([self.refined.triangles, below[self.parts[1].triangles]])
        normals = vertex_normals(joined, faces)
        pieces = [Pieces(face, normals[: len(face)]), Pieces(joined[below], normals[below])]
        pieces += [self._eye(centre, angles) for centre, angles in zip(self._eyes, gaze)]
        pieces += self._mouth(coarse, weights)
        pieces.append(self._neck())
        return pieces + [self._ear(side) for side in (1.0, -1.0)]

    def _eye(self, centre: np.ndarray, angles: np.ndarray) -> Pieces:
        yaw, pitch = angles
        about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        about_x = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
        turned = self._ball @ (about_y @ about_x).T
        return Pieces(centre + EYE_RADIUS * turned, turned)

    def _mouth(self, coarse: np.ndarray, weights: np.ndarray) -> list[Pieces]:
        lips = self.rest[[UPPER_LIP, LOWER_LIP]]
        middle, corner = lips.mean(axis=0), np.abs(self.rest[INNER_LIPS[0], 0])
        across = np.linspace(-1.25 * corner, 1.25 * corner, 24)
        jaw = weights[self.model.names.index("jawOpen")]
        drop = jaw * self.model.expression[self.model.names.index("jawOpen"), LOWER_LIP] * 0.95
        pieces = []
        for top, bottom, shift in ((0.55, -0.42, np.zeros(3)), (-0.42, -1.5, drop)):
            x, y = np.meshgrid(across, np.linspace(top, bottom, 6))
            z = middle[2] - 0.55 - 0.22 * x**2
            pieces.append(_sheet(np.stack([x, middle[1] + y, z], axis=-1) + shift))
        x, y = np.meshgrid(across * 1.5, np.linspace(1.2, -1.6, 6))
        y = np.where(y < 0, y * (1 - 0.8 * drop[1]), y)
        pieces.append(_sheet(np.stack([x, middle[1] + y, middle[2] - 2.4 - 0.1 * x**2], axis=-1)))
        return pieces

    def _neck(self) -> Pieces:
        normals = vertex_normals(self._body, _tube_faces()[0])
        high, low = NECK_BEND
        share = np.clip((high - self._body[:, 1]) / (high - low), 0, 1)
        return Pieces(self._body, normals, share * share * (3 - 2 * share))

    def _ear(self, side: float) -> Pieces:
        tilt = np.radians(25.0)
        turn = np.array([[np.cos(tilt), 0, -np.sin(tilt)], [0, 1, 0], [np.sin(tilt), 0, np.cos(tilt)]])
        width = np.abs(self.rest[234, 0])
        shaped = (self._ear_ball * [0.55, 2.7, 1.5]) @ turn.T
        shaped[:, 2] -= 0.25 * shaped[:, 1]
        points = (shaped + np.array([width + 0.75, 1.8, 0.0])) * [side, 1, 1]
        faces = self.parts[-1].triangles
        normals = vertex_normals(points, faces) * side
        return Pieces(points, normals)


def _sheet(grid: Float[np.ndarray, "rows columns 3"]) -> Pieces:
    faces = grid_triangles(grid.shape[0], grid.shape[1], closed=False)
    points = grid.reshape(-1, 3)
    return Pieces(points, vertex_normals(points, faces))


def _shell(
    face: np.ndarray, rim: np.ndarray, random: np.random.Generator
) -> tuple[Float[np.ndarray, "rings columns 3"], Float[np.ndarray, " rings"], Float[np.ndarray, "rings columns"]]:
    """The skull from the rim of the face to the nape, how far each ring follows the rim, and where hair grows."""
    arms = face[rim] - SKULL_CENTRE
    reach = np.linalg.norm(arms, axis=1)
    start = arms / reach[:, None]
    pole = NAPE / np.linalg.norm(NAPE)
    angle = np.arccos(np.clip(start @ pole, -1, 1))
    share = np.linspace(0, 1, RINGS)[:, None, None]
    # Great circles from each direction of the rim to the pole cover the rest of the sphere once.
    way = np.sin((1 - share) * angle[None, :, None]) * start + np.sin(share * angle[None, :, None]) * pole
    way /= np.linalg.norm(way, axis=-1, keepdims=True)
    base = 1 / np.linalg.norm(way / SKULL_RADII, axis=-1)
    travelled = np.linspace(0, 1, RINGS)[:, None] * angle[None]
    radius = base + (reach - base[0])[None] * np.exp(-RIM_FADE * travelled)
    points = SKULL_CENTRE + way * radius[..., None]
    # Hair: above and behind a line from the forehead past the ear to the nape.
    line = 0.30 * (points[..., 1] - 1.0) + 0.9 * np.minimum(points[..., 1] - 4.0, 0) * 0.5
    behind = np.clip((line - points[..., 2] + 0.4) / 1.6, 0, 1)
    top = np.clip((points[..., 1] - 7.2) / 1.5, 0, 1) * np.clip(travelled / 0.06, 0, 1)
    hair = np.maximum(behind * np.clip((points[..., 1] + 7.5) / 2.0, 0, 1), top) * np.clip(travelled / 0.05, 0, 1)
    lumps = 0.15 * random.standard_normal((RINGS, len(rim)))
    points += way * (HAIR_CM * hair * np.clip(travelled / 0.3, 0.25, 1) + lumps * hair)[..., None]
    return points, np.exp(-4.0 * np.linspace(0, 1, RINGS)), hair


def _eyeball(ring: Float[np.ndarray, "16 3"]) -> Float[np.ndarray, " 3"]:
    """The centre of the ball of known radius on which the rim of the lids lies best."""
    guess = ring.mean(axis=0) - [0, 0, 0.8 * EYE_RADIUS]
    return np.asarray(least_squares(lambda centre: np.linalg.norm(ring - centre, axis=1) - EYE_RADIUS, guess).x)


def _hemisphere() -> tuple[np.ndarray, np.ndarray]:
    """Unit ball from its pole at +z to a little behind its equator."""
    return _ball(1.65, 18)


def _sphere() -> tuple[np.ndarray, np.ndarray]:
    return _ball(np.pi - 1e-3, 24)


def _ball(last: float, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of a unit ball within the angle `last` of its pole at +z, and its triangles."""
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    angle, around = np.meshgrid(np.linspace(1e-3, last, rows), turn, indexing="ij")
    points = np.stack([np.sin(angle) * np.cos(around), np.sin(angle) * np.sin(around), np.cos(angle)], axis=-1)
    return points.reshape(-1, 3), grid_triangles(rows, 32, closed=True)


def _lid_shade(ball: np.ndarray) -> np.ndarray:
    """Lids shade the upper part of an eyeball and its sides."""
    above = np.clip((ball[:, 1] - 0.05) / 0.4, 0, 1)
    aside = np.clip(np.abs(ball[:, 0]) - 0.5, 0, 1)
    return np.asarray(1 - 0.45 * above - 0.25 * aside)


_TUBE_ROWS, _TUBE_COLUMNS = 60, 72


def _tube() -> np.ndarray:
    heights = np.linspace(BODY[0, 0], BODY[-1, 0], 400)
    rows = np.stack([np.interp(-heights, -BODY[:, 0], BODY[:, column]) for column in range(1, 4)], axis=1)
    kernel = np.hanning(41) / np.hanning(41).sum()
    rows = np.stack([np.convolve(np.pad(rows[:, k], 20, mode="edge"), kernel, "valid") for k in range(3)], axis=1)
    pick = np.linspace(0, 399, _TUBE_ROWS).astype(int)
    around = np.linspace(0, 2 * np.pi, _TUBE_COLUMNS, endpoint=False)[None]
    # Rings hang lower at the sides: shoulders slope.
    x = rows[pick, 1, None] * np.sin(around)
    z = rows[pick, 0, None] + rows[pick, 2, None] * np.cos(around)
    y = np.broadcast_to(heights[pick, None], x.shape) - 0.12 * np.maximum(np.abs(x) - 6.0, 0)
    return np.stack([x, y, z], axis=-1).reshape(-1, 3)


def _tube_faces() -> tuple[np.ndarray, np.ndarray]:
    down, around = np.meshgrid(np.linspace(0, 1, _TUBE_ROWS), np.linspace(0, 1, _TUBE_COLUMNS), indexing="ij")
    faces = grid_triangles(_TUBE_ROWS, _TUBE_COLUMNS, closed=True)
    return faces, np.stack([around.ravel(), down.ravel()], axis=1)


def _collar() -> float:
    return float((BODY[0, 0] - COLLAR_CM) / (BODY[0, 0] - BODY[-1, 0]))
