"""Observations of spots on the skin, and how each one's place answers to pose, point and focal length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from nerface.capture.bundle_geometry import Poses, cross_matrix

DOF = 6  # of a pose: a rotation vector in camera axes, x, y (cm), log depth
_CHUNK_ROWS = 30_000  # observations linearised at once: some 40 MB


@dataclass(frozen=True)
class SpotTable:
    """M observations of P spots; a spot is seen in one unbroken run of frames.

    Spots come in order of their first frame, then the longest first. `start` [P + 1]: rows of spot p are
    start[p]:start[p + 1]; `frame` [M] index among the used frames; `place` [M, 2] px; `point` [P, 3] cm prior place in
    head space and `point_sigma` [P] cm; `sway_sigma` [P], cm that the skin there may follow a unit of a reduced score;
    `mobility` [P], cm of further motion that is expected.
    """

    start: Int[np.ndarray, " spots_1"]
    frame: Int[np.ndarray, " rows"]
    place: Float[np.ndarray, "rows 2"]
    point: Float[np.ndarray, "spots 3"]
    point_sigma: Float[np.ndarray, " spots"]
    sway_sigma: Float[np.ndarray, " spots"]
    mobility: Float[np.ndarray, " spots"]

    def __len__(self) -> int:
        return len(self.point)

    def chunks(self) -> Iterator[Chunk]:
        """Runs of spots and their rows, bounded in size."""
        first = 0
        while first < len(self):
            last = int(np.searchsorted(self.start, self.start[first] + _CHUNK_ROWS, side="right")) - 1
            last = min(max(last, first + 1), len(self))
            bounds = self.start[first : last + 1] - self.start[first]
            yield Chunk(
                slice(first, last),
                slice(int(self.start[first]), int(self.start[last])),
                bounds,
                np.repeat(np.arange(last - first), np.diff(bounds)),
            )
            first = last


@dataclass(frozen=True)
class Chunk:
    """Some spots and their rows: `bounds` [p + 1] of each spot's rows and `owner` [m] of each row, within the chunk."""

    spots: slice
    rows: slice
    bounds: Int[np.ndarray, " bounds"]
    owner: Int[np.ndarray, " rows"]

    def sums(self, values: Float[np.ndarray, "rows ..."]) -> Float[np.ndarray, "spots ..."]:
        """Sums over the rows of each spot."""
        return np.asarray(np.add.reduceat(values, self.bounds[:-1], axis=0))


@dataclass(frozen=True)
class SpotRows:
    """Seen minus predicted places (px) of some rows, and derivatives of the prediction.

    By pose as `Poses.moved` counts it, by the S = 3 (1 + J) numbers of a spot's point and sway, by log focal length.
    """

    residual: Float[np.ndarray, "rows 2"]
    by_pose: Float[np.ndarray, "rows 2 6"]
    by_point: Float[np.ndarray, "rows 2 numbers"]
    by_log_focal: Float[np.ndarray, "rows 2"]


def linearise_rows(
    spots: SpotTable,
    chunk: Chunk,
    poses: Poses,
    focal: float,
    centre: Float[np.ndarray, " 2"],
    activations: Float[np.ndarray, "frames channels"],
    point: Float[np.ndarray, "spots channels 3"],
) -> SpotRows:
    """Residuals and derivatives of the rows of a chunk; the place of a spot is `activations` @ `point` (cm)."""
    frame = spots.frame[chunk.rows]
    rotation, translation = poses.rotation[frame], poses.translation[frame]
    active = activations[frame]
    own = np.einsum("mj,mjc->mc", active, point[chunk.spots][chunk.owner])
    turned = (rotation @ own[..., None])[..., 0]
    place = turned + translation
    depth = np.maximum(-place[:, 2], 1.0)
    relative = focal * place[:, :2] * [1.0, -1.0] / depth[:, None]
    by_camera = np.zeros((len(frame), 2, 3))
    by_camera[:, 0, 0] = focal / depth
    by_camera[:, 1, 1] = -focal / depth
    by_camera[:, :, 2] = relative / depth[:, None]
    by_pose = np.concatenate([-by_camera @ cross_matrix(turned), by_camera], axis=2)
    by_pose[:, :, 5] *= translation[:, None, 2]
    by_point = (by_camera @ rotation)[:, :, None] * active[:, None, :, None]
    return SpotRows(spots.place[chunk.rows] - centre - relative, by_pose, by_point.reshape(len(frame), 2, -1), relative)
