"""Pictures of the drawn head in linear light, and what is truly seen at each pixel: which part, how far away.

Camera axes here are x right, y down, z forward, cm; a pixel's centre lies at whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from gt_head import Head, Part, Pieces
from gt_motion import FLIP, Motion
from gt_raster import Hits, rasterise
from gt_texture import looked_up
from jaxtyping import Bool, Float, Int

FOCAL_SHARE = 1.6  # focal length over the picture's side: a phone's portrait camera
LIGHT = np.array([0.72, 0.42, 0.55])  # towards the light, model axes: from the right; the older clips have it in front
KEY, AMBIENT_TOP, AMBIENT_LOW = np.array([1.05, 0.95, 0.83]), np.array([0.34, 0.38, 0.44]), np.array([0.20, 0.17, 0.15])
INSIDE_COSINE = -0.3  # of normal and view, below which a surface is seen from its inner side (outlines come near 0)


@dataclass(frozen=True)
class Lens:
    """A square picture of `size` px, its `focal` length in px, and `supersample` samples to a pixel's side.

    `lamp_follows`: each part keeps the light that it has when it looks straight ahead, as if the lamp were fixed to the
    head (and to the body), so that the head is one and the same thing to look at from every side. Else the lamp stands
    still in the room.
    """

    size: int
    focal: float
    supersample: int = 2
    lamp_follows: bool = False


@dataclass(frozen=True)
class State:
    """The person at one moment: poses of `head` and `body` [4, 4] from model axes to the camera, `weights`, `gaze`."""

    head: Float[np.ndarray, "4 4"]
    body: Float[np.ndarray, "4 4"]
    weights: Float[np.ndarray, " shapes"]
    gaze: Float[np.ndarray, "2 2"]


@dataclass(frozen=True)
class Seen:
    """What the middle of each pixel shows: `depth` along the camera's axis, cm, and where the `head` is.

    The head is all but neck and body. Depth is NaN for backdrop, and where a gap at the corner of an eye shows the back
    of the skull from inside.
    """

    depth: Float[np.ndarray, "size size"]
    head: Bool[np.ndarray, "size size"]


@dataclass(frozen=True)
class Drawn:
    """A picture in linear light and how much of each pixel the person covers, in [0, 1]."""

    picture: Float[np.ndarray, "size size 3"]
    cover: Float[np.ndarray, "size size"]


@dataclass(frozen=True)
class _Placed:
    """The vertices of all parts in one list.

    `camera` are places in camera axes; `normals` and `towards` (from the vertex to the camera, any length) are in the
    axes of the lamp. `starts` [P + 1] is where each part's vertices begin, `owner` [T] a triangle's part.
    """

    camera: Float[np.ndarray, "vertices 3"]
    normals: Float[np.ndarray, "vertices 3"]
    towards: Float[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "triangles 3"]
    back: Float[np.ndarray, " triangles"]
    owner: Int[np.ndarray, " triangles"]
    starts: list[int]


class Painter:
    """Draws one person through one lens before one backdrop."""

    def __init__(self, head: Head, lens: Lens, behind: Float[np.ndarray, "size size 3"]) -> None:
        self.head, self.lens, self.behind = head, lens, behind

    def draw(self, state: State) -> Drawn:
        """The picture of a moment."""
        placed = self._place(self.head.pose(state.weights, state.gaze), state)
        size = self.lens.size * self.lens.supersample
        hits = self._hits(placed, self.lens.supersample)
        picture = cv2.resize(self.behind, (size, size), interpolation=cv2.INTER_LINEAR).reshape(-1, 3)
        covered = np.zeros(size * size, np.float32)
        covered[hits.sample] = 1
        corners, owner = placed.triangles[hits.triangle], placed.owner[hits.triangle]
        for number, part in enumerate(self.head.parts):
            mine = owner == number
            if mine.any():
                at = corners[mine]
                picture[hits.sample[mine]] = _shade(
                    part, at - placed.starts[number], hits.weights[mine], placed.towards[at], placed.normals[at]
                )
        small = (self.lens.size, self.lens.size)
        return Drawn(
            cv2.resize(picture.reshape(size, size, 3), small, interpolation=cv2.INTER_AREA),
            cv2.resize(covered.reshape(size, size), small, interpolation=cv2.INTER_AREA),
        )

    def look(self, state: State) -> Seen:
        """What the rays through the pixels' centres meet."""
        pieces = self.head.pose(state.weights, state.gaze)
        placed, size = self._place(pieces, state), self.lens.size
        hits = self._hits(placed, 1)
        of_head = np.array([np.ndim(piece.bodily) == 0 for piece in pieces])
        depth, head = np.full(size * size, np.nan), np.zeros(size * size, bool)
        corners = placed.triangles[hits.triangle]
        facing = np.einsum("kc,kcx->kx", hits.weights, placed.normals[corners])
        towards = np.einsum("kc,kcx->kx", hits.weights, placed.towards[corners])
        inside = (facing * towards).sum(axis=1) < INSIDE_COSINE * np.linalg.norm(towards, axis=1)
        depth[hits.sample] = np.where(inside, np.nan, (hits.weights * placed.camera[corners, 2]).sum(axis=1))
        head[hits.sample] = of_head[placed.owner[hits.triangle]]
        return Seen(depth.reshape(size, size), head.reshape(size, size))

    def _hits(self, placed: _Placed, fineness: int) -> Hits:
        screen = self.lens.focal * placed.camera[:, :2] / placed.camera[:, 2:] + (self.lens.size - 1) / 2
        # A sample s of the finer grid lies at pixel (s + 0.5) / fineness - 0.5.
        fine = np.concatenate([(screen + 0.5) * fineness - 0.5, placed.camera[:, 2:]], axis=1)
        return rasterise(fine, placed.triangles, placed.back, (self.lens.size * fineness,) * 2)

    def _place(self, pieces: list[Pieces], state: State) -> _Placed:
        parts = self.head.parts
        starts = np.cumsum([0, *(len(piece.points) for piece in pieces)]).tolist()
        camera = np.concatenate([_moved(piece.points, piece.bodily, state, place=1.0) for piece in pieces])
        if self.lens.lamp_follows:
            normals = np.concatenate([piece.normals for piece in pieces]) @ FLIP
            towards = np.concatenate([_to_camera(piece, state) for piece in pieces]) @ FLIP
        else:
            normals = np.concatenate([_moved(piece.normals, piece.bodily, state, place=0.0) for piece in pieces])
            towards = -camera
        return _Placed(
            camera,
            normals,
            towards,
            np.concatenate([part.triangles + start for part, start in zip(parts, starts)]),
            np.concatenate([np.full(len(part.triangles), part.back) for part in parts]),
            np.repeat(np.arange(len(parts)), [len(part.triangles) for part in parts]),
            starts,
        )


class Scene:
    """A head in motion before a backdrop: linear-light pictures of any moment, times in frames."""

    blur_steps = 5  # pictures averaged over the time that the shutter is open
    shutter = 0.5  # of the time between two frames

    def __init__(self, painter: Painter, motion: Motion) -> None:
        self.painter, self.motion = painter, motion

    def exposed(self, number: int) -> Float[np.ndarray, "size size 3"]:
        """The mean over the time that the shutter is open, about the moment of the frame."""
        moments = number + self.shutter * (np.arange(self.blur_steps) / (self.blur_steps - 1) - 0.5)
        return np.asarray(np.mean([self.draw(float(moment)) for moment in moments], axis=0))

    def draw(self, moment: float) -> Float[np.ndarray, "size size 3"]:
        """The picture at one moment."""
        return self.painter.draw(self.state(moment)).picture

    def state(self, moment: float) -> State:
        """Poses, weights and gaze at a moment, between frames as well."""
        motion = self.motion
        moment = float(np.clip(moment, 0, len(motion.weights) - 1))
        low = int(min(np.floor(moment), len(motion.weights) - 2))
        share = moment - low

        def between(values: np.ndarray) -> np.ndarray:
            return np.asarray((1 - share) * values[low] + share * values[low + 1])

        pose = np.eye(4)
        left, _, right = np.linalg.svd(between(motion.rotation))  # the rotation nearest to the mean of two close ones
        pose[:3, :3], pose[:3, 3] = left @ right, between(motion.translation)
        flip = np.diag([1.0, -1.0, -1.0, 1.0])
        return State(pose @ flip, between(motion.body) @ flip, between(motion.weights), between(motion.gaze))


def _moved(
    points: np.ndarray, bodily: np.ndarray | float, state: State, place: float
) -> Float[np.ndarray, "vertices 3"]:
    """Points (`place` 1) or directions (0) in camera axes; what is between head and body goes with both."""
    with_head = points @ state.head[:3, :3].T + place * state.head[:3, 3]
    if np.ndim(bodily) == 0:
        return np.asarray(with_head)
    share = np.asarray(bodily)[:, None]
    return np.asarray((1 - share) * with_head + share * (points @ state.body[:3, :3].T + place * state.body[:3, 3]))


def _to_camera(piece: Pieces, state: State) -> Float[np.ndarray, "vertices 3"]:
    """From each vertex to the camera, in the model axes of head or body."""
    by_head, by_body = (-pose[:3, :3].T @ pose[:3, 3] for pose in (state.head, state.body))
    if np.ndim(piece.bodily) == 0:
        return np.asarray(by_head - piece.points)
    share = np.asarray(piece.bodily)[:, None]
    return np.asarray((1 - share) * by_head + share * by_body - piece.points)


def _shade(
    part: Part, corners: np.ndarray, weights: np.ndarray, towards: np.ndarray, normal: np.ndarray
) -> Float[np.ndarray, "samples 3"]:
    """Linear light of samples of one part: texture under one lamp, light from above and below, and a highlight.

    `towards` and `normal` [K, 3, 3] are those of each sample's corners, in the axes of the lamp.
    """
    places = np.einsum("kc,kcx->kx", weights, part.places[corners])
    pixels = places * (np.array(part.texture.shape[1::-1]) - 1)
    colour = looked_up(part.texture, pixels)
    dim = np.einsum("kc,kc->k", weights, part.shade[corners])[:, None]
    facing = np.einsum("kc,kcx->kx", weights, normal)
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-9)
    to_camera = np.einsum("kc,kcx->kx", weights, towards)
    to_camera /= np.linalg.norm(to_camera, axis=1, keepdims=True)
    lamp = FLIP @ (LIGHT / np.linalg.norm(LIGHT))
    # Light goes a little round the terminator, as in skin.
    direct = np.clip((facing @ lamp + 0.15) / 1.15, 0, 1)[:, None]
    upward = (0.5 - 0.5 * facing[:, 1])[:, None]
    light = KEY * direct + AMBIENT_TOP * upward + AMBIENT_LOW * (1 - upward)
    half = to_camera + lamp
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    highlight = part.gloss * np.clip((half * facing).sum(axis=1), 0, 1)[:, None] ** (24 if part.gloss < 0.2 else 120)
    return np.asarray(dim * (colour * light + highlight * KEY))
