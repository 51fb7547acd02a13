"""The seed's change of convention, from the tracker's camera and poses to a dataset's (spec of NeRFace's converter).

The tracker's camera has x to the right of the picture, y up and z *forward*: a left-handed frame. Turning columns 0 and
2 (x and z) round makes it look along -z, as OpenGL's does, and leaves the determinant alone; the picture's x then runs
against the camera's, which is what the negative fx says.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from nerface.errors import UserError
from nerface.types import Intrinsics

MEAN_DISTANCE = 0.5  # head units: what the mean z translation of a clip becomes
TURNED_COLUMNS = (0, 2)


def to_intrinsics(
    stored: Float[np.ndarray, " 4"], size: tuple[int, int], cropped_from: tuple[int, int] | None = None
) -> Intrinsics:
    """A dataset's camera for pictures of `size` (W, H): fx = -fx W, fy = -fy H, cx, 1 - cy.

    `cropped_from` is the (W, H) that the fractions belong to, where the pictures are the middle of larger ones, cut to
    another shape and then scaled.
    """
    width, height = size
    whole_width, whole_height = cropped_from or size
    # The middle part of the picture's shape, scaled so that it fills the picture.
    scale = max(width / whole_width, height / whole_height)
    full = np.array([whole_width, whole_height]) * scale  # the uncropped picture at the pictures' scale, px
    fx, fy, cx, cy = (float(value) for value in stored)
    cut = (full - [width, height]) / 2
    return Intrinsics(
        fx=float(-fx * full[0]),
        fy=float(-fy * full[1]),
        cx=float((cx * full[0] - cut[0]) / width),
        cy=float(((1 - cy) * full[1] - cut[1]) / height),
        width=width,
        height=height,
    )


def pose_scale(rigid: Float[np.ndarray, "frames 4 4"]) -> float:
    """Head units in the tracker's unit of length: 0.5 / mean z translation.

    Raises `UserError` where that mean is not positive: no picture of the face could have been taken from there.
    """
    mean = float(rigid[:, 2, 3].mean())
    if not mean > 1e-9:
        raise UserError(
            f"the mean z translation of the poses is {mean:.4g}: it must be positive (are the matrices those of the "
            "camera in head space, and not their inverses?)"
        )
    return MEAN_DISTANCE / mean


def to_poses(rigid: Float[np.ndarray, "frames 4 4"], scale: float) -> Float[np.ndarray, "frames 4 4"]:
    """`camera_to_head` [N, 4, 4] of the tracker's matrices: columns 0 and 2 turned, translations times `scale`."""
    poses = np.array(rigid, dtype=np.float64)
    poses[:, :, TURNED_COLUMNS] *= -1
    poses[:, :3, 3] *= scale
    return poses
