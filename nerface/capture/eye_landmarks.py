"""Which of the 478 landmarks lie on the eyes, and where the canonical face has their corners.

The left eye is the subject's left one, on the right of a picture that is not mirrored; so are `eyeBlinkLeft` and the
other scores of FaceLandmarker (the sides' difference in score and in opening correlate at 0.44 to 0.51 on three clips).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EyeLandmarks:
    """One eye: `side` as in channel names, the corners, the iris's centre and its two ends along the eye, pairs of
    (upper, lower) points of the lids' middle, and the lids' outline in order.

    `outer_cm` and `inner_cm`: the corners on the canonical face, from the head's origin (x right in the picture, y up,
    z to the camera). `temporal`: the sign of x towards the temple.
    """

    side: str
    outer: int
    inner: int
    iris: int
    iris_ends: tuple[int, int]
    lids: tuple[tuple[int, int], ...]
    outline: tuple[int, ...]
    outer_cm: tuple[float, float, float]
    inner_cm: tuple[float, float, float]
    temporal: float


LEFT = EyeLandmarks(
    side="left",
    outer=263,
    inner=362,
    iris=473,
    iris_ends=(474, 476),
    lids=((386, 374), (385, 380), (387, 373)),
    outline=(263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
    outer_cm=(4.446, 2.664, 6.673),
    inner_cm=(1.856, 2.585, 7.258),
    temporal=1.0,
)
RIGHT = EyeLandmarks(
    side="right",
    outer=33,
    inner=133,
    iris=468,
    iris_ends=(469, 471),
    lids=((159, 145), (158, 153), (160, 144)),
    outline=(33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    outer_cm=(-4.446, 2.664, 6.673),
    inner_cm=(-1.856, 2.585, 7.258),
    temporal=-1.0,
)
EYES = (LEFT, RIGHT)
