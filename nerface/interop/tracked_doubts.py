"""Are a tracked clip's axes and lengths ours? Told from landmarks in the pictures, before anything is written.

The commonest fault of imported tracking is another convention: it gives no error, only an avatar that never forms.
Where the face is, which way it looks and how large it is can be seen in the pictures; here the poses are held against
that. `nerface check` asks the same of a finished dataset by other means (boxes, motion of the pictures).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from nerface.errors import UserError
from nerface.interop.tracked import MEAN_DISTANCE, TrackedClip
from nerface.types import Intrinsics

# iBUG points: 8 the chin, 27 to 35 the nose, 36 and 45 the outer corners of the eyes to the left and right of the
# picture.
CHIN, BRIDGE, TIP, LEFT_EYE, RIGHT_EYE = 8, 27, 30, 36, 45
RIGID = (27, 28, 29, 30, 31, 33, 35, 36, 39, 42, 45)  # move with the skull, whatever the expression
NEAREST_M, FARTHEST_M = 0.1, 15.0  # where cameras of people stand
SMALLEST_EYES_M, LARGEST_EYES_M = 0.05, 0.18  # between the outer corners; people have 0.085 to 0.1
FARTHEST_ORIGIN = 1.5  # times the distance of bridge and chin: the head's origin from the middle of the face
LEAST_COSINE = 0.5  # the head's x and y axes run within 60 degrees of the eyes' line and of that from chin to bridge
LEAST_SWING = 0.15  # spread of the projected z axis, in eye distances, from which the nose must follow it
LEAST_FOLLOWING = 0.3  # correlation
MOST_RESIDUAL = 0.15  # of the eye distance: points fixed to the head, seen with the poses (good ones: 0.01 to 0.06)
LEAST_FRAMES = 8


@dataclass(frozen=True)
class LandmarkFit:
    """How poses and landmarks agree, over the frames with landmarks.

    `behind` share of frames with the head behind the camera; `away` median distance of the projected origin from the
    face's middle, in lengths of bridge to chin; `across`, `upright` median cosines of the projected x and y axes with
    the face's; `follows` correlations of the nose tip with the projected z axis, sideways and upwards (NaN: the head
    hardly moves); `residual` RMS of rigid points seen with the poses, in eye distances (NaN: too few frames); `eyes`
    distance of the outer eye corners in units of the poses.
    """

    behind: float
    away: float
    across: float
    upright: float
    follows: tuple[float, float]
    residual: float
    eyes: float


def refuse_doubtful(clip: TrackedClip, units_per_m: float) -> None:
    """Raise `UserError` where the clip's poses, camera or lengths cannot be right; one line that says which."""
    told = doubts(clip, units_per_m)
    if told:
        raise UserError(
            f"{clip.root}: as {clip.form} its poses do not fit its pictures: {'; '.join(told)} (--no-checks writes the "
            "dataset all the same)"
        )


def doubts(clip: TrackedClip, units_per_m: float) -> list[str]:
    """What looks wrong, in words; nothing where all is as it should be."""
    distance = MEAN_DISTANCE / units_per_m
    found = []
    if not NEAREST_M <= distance <= FARTHEST_M:
        found.append(
            f"the camera would stand {distance:.3g} m from the head on average: are translations in another unit? "
            "(--unit)"
        )
    if clip.landmarks is None:
        return found
    known = np.isfinite(clip.landmarks[:, [CHIN, *RIGID]]).all(axis=(1, 2))
    if not known.any():
        return found
    fit = landmark_fit(clip.landmarks[known], clip.poses()[known], clip.intrinsics)
    return found + _of_landmarks(fit, units_per_m)


def _of_landmarks(fit: LandmarkFit, units_per_m: float) -> list[str]:
    if fit.behind > 0.5:
        return ["the head is behind the camera: do its cameras look along +z, or are the matrices inverted?"]
    found = []
    if fit.away > FARTHEST_ORIGIN:
        found.append(
            f"the head's origin lies {fit.away:.1f} face lengths away from the face: are translations, the principal "
            "point or the matrices' order others?"
        )
    for value, axis, line in ((fit.across, "x", "left eye to right eye"), (fit.upright, "y", "chin to brow")):
        if not value > LEAST_COSINE:
            found.append(
                f"the head's {axis} axis does not run from {line} in the pictures (cosine {value:.2f}): is {axis} "
                "turned round, or head space another?"
            )
    for value, way in zip(fit.follows, ("sideways", "up and down")):
        if value < LEAST_FOLLOWING:
            found.append(
                f"the nose does not move {way} as the rotations say (correlation {value:.2f}): are they transposed, or "
                "their axes swapped?"
            )
    if fit.residual > MOST_RESIDUAL:
        found.append(
            f"points of the skull are off by {fit.residual:.2f} eye distances when seen with the poses: rotations, "
            "translations and focal length do not belong together"
        )
    eyes_m = fit.eyes / units_per_m
    if not SMALLEST_EYES_M <= eyes_m <= LARGEST_EYES_M:
        found.append(
            f"the eyes' outer corners would be {100 * eyes_m:.3g} cm apart (people: 8 to 10): are translations in "
            "another unit, or is the focal length wrong?"
        )
    return found


def landmark_fit(
    landmarks: Float[np.ndarray, "frames 68 2"], poses: Float[np.ndarray, "frames 4 4"], intrinsics: Intrinsics
) -> LandmarkFit:
    """Hold iBUG landmarks (px) against poses (any unit of length); all points that are asked for must be there."""
    eyes_px = np.linalg.norm(landmarks[:, RIGHT_EYE] - landmarks[:, LEFT_EYE], axis=1)
    tall_px = np.linalg.norm(landmarks[:, BRIDGE] - landmarks[:, CHIN], axis=1)
    origin, depth = _seen(poses, intrinsics, np.zeros(3))
    ahead = depth > 0
    if ahead.mean() <= 0.5:
        return LandmarkFit(float(1 - ahead.mean()), np.nan, np.nan, np.nan, (np.nan, np.nan), np.nan, np.nan)
    eyes = float(np.percentile((eyes_px * depth / abs(intrinsics.fx))[ahead], 90))
    tips = [_seen(poses, intrinsics, eyes * axis)[0] - origin for axis in np.eye(3)]  # three times [N, 2]
    middle = landmarks[:, list(RIGID)].mean(axis=1)
    across = _cosines(tips[0], landmarks[:, RIGHT_EYE] - landmarks[:, LEFT_EYE])
    upright = _cosines(tips[1], landmarks[:, BRIDGE] - landmarks[:, CHIN])
    nose = landmarks[:, TIP] - (landmarks[:, LEFT_EYE] + landmarks[:, RIGHT_EYE]) / 2
    scale = np.percentile(eyes_px, 90)
    follows = tuple(_following(tips[2][ahead, way] / scale, nose[ahead, way] / scale) for way in (0, 1))
    away = np.linalg.norm(origin - middle, axis=1) / tall_px
    return LandmarkFit(
        behind=float(1 - ahead.mean()),
        away=float(np.median(away[ahead])),
        across=float(np.median(across[ahead])),
        upright=float(np.median(upright[ahead])),
        follows=(follows[0], follows[1]),
        residual=_residual(landmarks[:, list(RIGID)], poses, intrinsics, ahead) / float(scale),
        eyes=eyes,
    )


def _seen(
    poses: Float[np.ndarray, "frames 4 4"], intrinsics: Intrinsics, point: Float[np.ndarray, " 3"]
) -> tuple[Float[np.ndarray, "frames 2"], Float[np.ndarray, " frames"]]:
    """Where every camera sees one head-space point (column, row), and its depth."""
    local = np.linalg.solve(poses[:, :3, :3], (point - poses[:, :3, 3])[:, :, None])[:, :, 0]
    depth = -local[:, 2]
    safe = np.where(depth > 0, depth, np.nan)
    u = intrinsics.fx * local[:, 0] / safe + intrinsics.width * intrinsics.cx
    v = -intrinsics.fy * local[:, 1] / safe + intrinsics.height * intrinsics.cy
    return np.stack([u, v], axis=1), depth


def _cosines(
    first: Float[np.ndarray, "frames 2"], second: Float[np.ndarray, "frames 2"]
) -> Float[np.ndarray, " frames"]:
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.asarray((first * second).sum(axis=1) / np.maximum(lengths, 1e-12))


def _following(axis: Float[np.ndarray, " frames"], nose: Float[np.ndarray, " frames"]) -> float:
    """Correlation of the nose's place with the projected z axis, NaN where that hardly swings."""
    if len(axis) < LEAST_FRAMES or not axis.std() > LEAST_SWING or nose.std() < 1e-6:
        return float("nan")
    return float(np.corrcoef(axis, nose)[0, 1])


def _residual(
    landmarks: Float[np.ndarray, "frames points 2"],
    poses: Float[np.ndarray, "frames 4 4"],
    intrinsics: Intrinsics,
    ahead: Bool[np.ndarray, " frames"],
) -> float:
    """RMS distance (px) of the points, each fixed to the head where that suits all frames best, from where they are
    seen.

    A pixel says that the point lies on a ray: with camera coordinates (X, Y, Z) = A p + b, both X + x Z = 0 and
    Y + y Z = 0, linear in p (x, y: the ray's direction for z = -1). Frames count by 1 / depth, which makes that pixels.
    """
    if ahead.sum() < LEAST_FRAMES:
        return float("nan")
    turn = np.linalg.inv(poses[ahead, :3, :3])
    back = -np.einsum("nij,nj->ni", turn, poses[ahead, :3, 3])
    x = (landmarks[ahead, :, 0] - intrinsics.width * intrinsics.cx) / intrinsics.fx
    y = -(landmarks[ahead, :, 1] - intrinsics.height * intrinsics.cy) / intrinsics.fy
    weight = -1 / back[:, 2]
    squares = []
    for k in range(landmarks.shape[1]):
        ray = np.stack([x[:, k], y[:, k]], axis=1)[:, :, None]  # [N, 2, 1]
        rows = (turn[:, :2] + ray * turn[:, 2:]) * weight[:, None, None]
        right = -(back[:, :2] + ray[:, :, 0] * back[:, 2:]) * weight[:, None]
        place = np.linalg.lstsq(rows.reshape(-1, 3), right.reshape(-1), rcond=None)[0]
        off = (rows @ place - right) * [intrinsics.fx, intrinsics.fy]
        squares.append((off**2).sum(axis=1))
    return float(np.sqrt(np.mean(squares)))
