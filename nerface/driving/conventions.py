"""Mirrored and plain datasets: poses of one convention said in another.

A dataset with fx < 0, as the seed's are, counts the camera's x to the left of the picture. Its poses are proper
rotations all the same, so that its head space is the mirror image of the one that a dataset with fx > 0 has (spec 1.3).
The poses of the one mean nothing to an avatar of the other until both mirrors are taken into account.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from nerface.errors import UserError
from nerface.types import Intrinsics


@dataclass(frozen=True)
class Convention:
    """Which axes poses are counted along.

    `camera_signs` are those of fx and fy: -1 where the camera's x (y) axis runs to the left (downwards) in the picture.
    `head_mirrored`: whether head space is a mirror image of the head, its x axis being the one turned round.
    """

    camera_signs: tuple[int, int] = (1, 1)
    head_mirrored: bool = False


def convention_of(intrinsics: Intrinsics, camera_to_head: Float[np.ndarray, "*frames 4 4"]) -> Convention:
    """The convention of poses that go with a camera.

    Raises `UserError` where poses of both kinds, right-handed and mirrored, stand side by side.
    """
    signs = (1 if intrinsics.fx > 0 else -1, 1 if intrinsics.fy > 0 else -1)
    handedness = np.sign(np.linalg.det(np.asarray(camera_to_head, dtype=np.float64)[..., :3, :3]))
    kinds = np.unique(handedness * signs[0] * signs[1])
    if len(kinds) != 1 or kinds[0] == 0:
        raise UserError("poses that are rotations and poses that are mirror images are mixed: repair the dataset")
    return Convention(signs, bool(kinds[0] < 0))


def in_convention(
    camera_to_head: Float[np.ndarray, "*frames 4 4"], source: Convention, target: Convention
) -> Float[np.ndarray, "*frames 4 4"]:
    """Poses recorded in `source`, as `target` would have recorded the same cameras round the same head.

    With camera axes C and head axes H (diagonal matrices of signs) a pose P becomes H P C. Signs are all that changes,
    so that a pose said in another convention and back is the same to the last bit.
    """
    camera = np.array([a * b for a, b in zip(source.camera_signs, target.camera_signs)] + [1, 1], dtype=np.float32)
    head = np.array([-1 if source.head_mirrored != target.head_mirrored else 1, 1, 1, 1], dtype=np.float32)
    return np.asarray(camera_to_head, dtype=np.float32) * head[:, None] * camera[None, :]


PLAIN = Convention()
