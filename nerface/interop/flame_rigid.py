"""The rigid motion of a FLAME head, and its parameters as expression channels.

FLAME (Li et al., "Learning a model of facial shape and expression from 4D scans", SIGGRAPH Asia 2017) is a skinned mesh
with five joints: a root at the base of the neck, the neck joint on top of it (between the ears: the skull turns about
it), jaw, left eye and right eye. Model space is in metres, x to the person's left, y up, z out of the face: our head
axes. Forward kinematics as in smplx's and GaussianAvatars' `lbs.py` (commit fb60212): a joint's rotation is about its
own place in the shaped mesh; vertices of the skull move with the neck joint. So a point x of the skull goes to

    R_root (R_neck (x - J_neck) + J_neck - J_root) + J_root + t

The places of root and neck depend a little on the person's shape, through data that only FLAME's licence gives. Here
they are those of one average head (a published skeleton of LAM, `bone_tree.json`: root, neck); persons differ by some 5
to 10 mm, which a turn by 20 degrees makes 2 to 3 mm of head position. Whoever has FLAME can state them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from nerface.interop.tracked import rigid_matrices

EYES = ("left", "right")


@dataclass(frozen=True)
class FlameJoints:
    """Places of two joints in model space, metres."""

    root: tuple[float, float, float] = (-0.0011, -0.1443, -0.0830)
    neck: tuple[float, float, float] = (0.0004, -0.0091, -0.0542)

    @classmethod
    def of(cls, stated: Sequence[float] | None) -> FlameJoints:
        """Six numbers (root, then neck), or the average head."""
        if stated is None:
            return cls()
        x, y, z, u, v, w = (float(value) for value in stated)
        return cls((x, y, z), (u, v, w))


AVERAGE = FlameJoints()


def head_to_world(
    root: Float[np.ndarray, "frames 3"],
    neck: Float[np.ndarray, "frames 3"],
    translation: Float[np.ndarray, "frames 3"],
    joints: FlameJoints = AVERAGE,
) -> Float[np.ndarray, "frames 4 4"]:
    """Where the skull goes: FLAME's model space at rest to the world, from rotation vectors (radians) and metres."""
    turn_root, turn_neck = (Rotation.from_rotvec(part).as_matrix() for part in (root, neck))
    place_root, place_neck = np.array(joints.root), np.array(joints.neck)
    inner = place_neck - np.einsum("nij,j->ni", turn_neck, place_neck) - place_root
    shift = np.einsum("nij,nj->ni", turn_root, inner) + place_root + translation
    return rigid_matrices(turn_root @ turn_neck, shift)


def expression_names(count: int) -> tuple[str, ...]:
    """Names of FLAME's expression coefficients."""
    return tuple(f"flame_expr_{k:03d}" for k in range(count))


def vector_names(joint: str) -> tuple[str, ...]:
    """Names of the three numbers of a rotation vector."""
    return tuple(f"flame_{joint}_{axis}" for axis in "xyz")


EYE_NAMES = tuple(name for side in EYES for name in vector_names(f"eye_{side}"))
JAW_NAMES = vector_names("jaw")
