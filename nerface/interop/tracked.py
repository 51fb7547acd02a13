"""The noun of every importer: a clip as another tracker left it, said in this project's convention.

A reader (one file a format) turns a folder into a `TrackedClip`; `nerface.interop.tracked_dataset` writes any of them
as a dataset. Nothing else knows of formats.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from nerface.errors import UserError
from nerface.interop.tracked_pictures import Pictures
from nerface.types import Intrinsics

MEAN_DISTANCE = 0.5  # head units: what the mean distance of the camera becomes
TURNED_YZ = np.diag([1.0, -1.0, -1.0, 1.0])  # OpenCV's axes (y down, z forward) as OpenGL's (y up, z back), and back
EDGE_TO_CENTRE_PX = 0.5  # where a format counts pixels from the picture's edge, the first pixel's centre is at 0.5


@dataclass(frozen=True)
class TrackedClip:
    """A tracked clip of N frames in temporal order.

    `form` names the format. `camera_to_head` [N, 4, 4] are poses in our axes (camera x right, y up, looking along -z;
    head x right of the picture, y up, z out of the face), with translations in the tracker's unit of `unit_m` metres
    (None: unknown). `scale` is head units in that unit (None: such that the mean camera distance becomes 0.5).
    `expressions` [N, E] are named by `names` (empty: unnamed); `numbers` [N] are the frames' numbers in the video,
    rising. `splits` gives each frame's split where the source has them; `times` [N] in seconds and `frame_rate` in Hz
    where it tells. `plate` is a picture of the empty scene. `landmarks` [N, 68, 2] are the iBUG points in px (u, v),
    NaN where unknown. `estimated` tells that poses come from a video, so that training may refine them. `notes` are
    lines for the user.
    """

    root: Path
    form: str
    pictures: Pictures
    intrinsics: Intrinsics
    camera_to_head: Float[np.ndarray, "frames 4 4"]
    expressions: Float[np.ndarray, "frames expression"]
    names: tuple[str, ...]
    numbers: Int[np.ndarray, " frames"]
    unit_m: float | None
    scale: float | None = None
    splits: tuple[str, ...] | None = None
    times: Float[np.ndarray, " frames"] | None = None
    frame_rate: float | None = None
    plate: Path | None = None
    landmarks: Float[np.ndarray, "frames 68 2"] | None = None
    estimated: bool = True
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.camera_to_head)

    def head_units(self) -> float:
        """Head units in the tracker's unit of length. Raises `UserError` where the cameras stand in the head."""
        if self.scale is not None:
            return self.scale
        mean = float(np.linalg.norm(self.camera_to_head[:, :3, 3], axis=1).mean())
        if not (np.isfinite(mean) and mean > 1e-9):
            raise UserError(
                f"{self.root}: the mean distance of the camera from the head is {mean:.4g}: poses are missing"
            )
        return MEAN_DISTANCE / mean

    def poses(self) -> Float[np.ndarray, "frames 4 4"]:
        """The poses in head units."""
        poses = np.array(self.camera_to_head, dtype=np.float64)
        poses[:, :3, 3] *= self.head_units()
        return poses


def pixel_intrinsics(
    focal: tuple[float, float], centre_px: tuple[float, float], size: tuple[int, int], edges: bool
) -> Intrinsics:
    """A camera from pixels: `centre_px` (u, v), counted from the picture's edge (`edges`) or from the centre of its
    first pixel, of pictures of `size` (W, H)."""
    shift = EDGE_TO_CENTRE_PX if edges else 0.0
    width, height = size
    return Intrinsics(
        fx=float(focal[0]),
        fy=float(focal[1]),
        cx=(float(centre_px[0]) - shift) / width,
        cy=(float(centre_px[1]) - shift) / height,
        width=width,
        height=height,
    )


def inverse(rigid: Float[np.ndarray, "frames 4 4"], where: str) -> Float[np.ndarray, "frames 4 4"]:
    """Inverse matrices. Raises `UserError`, naming `where`, for one that has none."""
    volumes = np.abs(np.linalg.det(rigid[:, :3, :3]))
    flat = np.flatnonzero(~(volumes > 1e-9))
    if len(flat):
        raise UserError(f"{where}: the matrix of frame {flat[0]} has no inverse: leave frames without a face out")
    return np.asarray(np.linalg.inv(rigid), dtype=np.float64)


def rigid_matrices(
    rotation: Float[np.ndarray, "frames 3 3"], translation: Float[np.ndarray, "frames 3"]
) -> Float[np.ndarray, "frames 4 4"]:
    """Homogeneous matrices."""
    matrices = np.tile(np.eye(4), (len(rotation), 1, 1))
    matrices[:, :3, :3], matrices[:, :3, 3] = rotation, translation
    return matrices
