"""The ICT-FaceKit face on the 468 vertices of MediaPipe's mesh: x to the right of the picture, y up, z outwards, cm."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

# Rings of MediaPipe's mesh: subject's right eye, left eye, inner lips. The mesh fills them in; a face does not.
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
UPPER_LIP, LOWER_LIP = 13, 14
IDENTITY_SHAPES = 60  # of 100, as the two older clips have it


@dataclass(frozen=True)
class FaceModel:
    """The ICT-FaceKit face on MediaPipe's vertices: `neutral`, linear `identity` and `expression` shapes with names."""

    neutral: Float[np.ndarray, "468 3"]
    identity: Float[np.ndarray, "identities 468 3"]
    expression: Float[np.ndarray, "expressions 468 3"]
    names: tuple[str, ...]
    triangles: Int[np.ndarray, "triangles 3"]

    def vertices(self, identity: Float[np.ndarray, " a"], weights: Float[np.ndarray, " e"]) -> np.ndarray:
        """The 468 vertices for identity coefficients and expression weights."""
        shape = self.neutral + np.tensordot(identity, self.identity[: len(identity)], 1)
        return np.asarray(shape + np.tensordot(weights, self.expression, 1))


def read_face_model(path: Path) -> FaceModel:
    """Read `ict_mediapipe468.npz`."""
    with np.load(path, allow_pickle=False) as stored:
        return FaceModel(
            neutral=stored["neutral"].astype(np.float64),
            identity=stored["identity"].astype(np.float64),
            expression=stored["expression"].astype(np.float64),
            names=tuple(str(name) for name in stored["expression_names"]),
            triangles=stored["faces468"].astype(np.int64),
        )
