"""Why frames of a tracked clip are not used, and clips that cannot be used at all."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float

from nerface.capture.covering import covered_frames, head_turn
from nerface.capture.landmarker import EYE_CORNERS
from nerface.capture.sharpness import blurred_frames
from nerface.capture.tracking_chain import Chain
from nerface.capture.tracking_measure import Measured
from nerface.errors import UserError

NO_FACE, STRANGER, REPEATED = "no face", "somebody else's face", "repeated"
OUTSIDE, TURNED, UNSURE = "partly outside the picture", "turned too far", "landmarks unsure"
COVERED, BLURRED = "covered", "blurred"

MIN_FRAMES = 10
RIVAL_SHARE = 0.5  # "two faces throughout": a second face in more than this share of the looked-at frames
OUTSIDE_SHARE = 0.1  # of the landmarks
# Mean spread over the distance of the outer eye corners (in space): up to 0.008 on four clips.
UNSURE_SPREAD, TURNED_SPREAD = 0.03, 0.015
TURNED_YAW = math.radians(60)
STILL_LEVELS, STILL_SHARE = 0.1, 0.95  # grey levels of thumbnails; of the frames


def reasons_of(chain: Chain, measured: Measured, repeated: Bool[np.ndarray, " frames"]) -> tuple[str, ...]:
    """For each frame "" or why it is not used."""
    found = measured.found
    reasons = np.full(len(chain), "", object)
    if found.any():
        landmarks = measured.landmarks[found]
        yaw = np.abs([head_turn(face)[0] for face in landmarks])
        unsure = _relative_spread(measured)[found]
        covered = covered_frames(measured.colours[found], landmarks, unsure)
        rows = np.flatnonzero(found)
        # The last that holds is told.
        reasons[rows[covered]] = COVERED
        reasons[blurred_frames(measured.sharpness, found)] = BLURRED
        reasons[rows[unsure > UNSURE_SPREAD]] = UNSURE
        reasons[rows[(yaw > TURNED_YAW) & (unsure > TURNED_SPREAD)]] = TURNED
        reasons[rows[_outside_share(landmarks, chain.size) > OUTSIDE_SHARE]] = OUTSIDE
    reasons[~found] = NO_FACE
    reasons[~found & np.array(chain.strangers, bool)] = STRANGER
    _explain_gaps(reasons, found)
    reasons[repeated] = REPEATED
    return tuple(reasons.tolist())


def _explain_gaps(reasons: np.ndarray, found: Bool[np.ndarray, " frames"]) -> None:
    """A face that is lost while it turns away or is covered is still turned or covered; a gap has one reason."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], found, [True]]).astype(int)))
    for start, stop in zip(edges[::2], edges[1::2]):
        gap = reasons[start:stop]
        beside = [reasons[place] for place in (start - 1, stop) if 0 <= place < len(reasons)]
        told = next((reason for reason in beside if reason in (TURNED, COVERED)), NO_FACE)
        gap[:] = STRANGER if np.mean(gap == STRANGER) > 0.5 else told


def check_chain(chain: Chain, min_share: float) -> None:
    """Raise `UserError` where pass 1 shows that the clip cannot be used."""
    count, found = len(chain), chain.found
    if count == 1:
        raise UserError("this is a single still picture: a video of the person talking and turning is needed")
    if count < MIN_FRAMES:
        raise UserError(f"the video has {count} frames and at least {MIN_FRAMES} are needed: record a longer one")
    if np.mean(np.array(chain.differences[1:]) <= STILL_LEVELS) >= STILL_SHARE:
        raise UserError(
            f"all {count} frames show the same still picture: a video of the person talking and turning is needed, "
            "a photo is not enough"
        )
    if found == 0:
        raise UserError(
            f"no face was found in any of the {count} frames: a real face must be seen from the front and well lit "
            "(drawn faces and animals are not found)"
        )
    if found < max(min_share * count, MIN_FRAMES):
        others = sum(chain.strangers)
        also = f", somebody else's in {others}" if others else ""
        raise UserError(
            f"a face was found in {found} of {count} frames ({found / count:.0%}){also} and {min_share:.0%} are "
            "needed: cut the video to the part that shows the face, or lower the share"
        )
    rival_share = chain.rivals / max(chain.looks, 1)
    if rival_share > RIVAL_SHARE:
        raise UserError(
            f"two faces throughout (in {rival_share:.0%} of the frames looked at): "
            "an avatar is made of one person, crop the video to that one"
        )


def check_measured(measured: Measured) -> None:
    """Raise `UserError` where what was followed is not a living face."""
    found = measured.found
    if not found.any():
        raise UserError("the face that was found could not be measured in any frame: is it a real face, well lit?")
    unsure = _relative_spread(measured)[found] > UNSURE_SPREAD
    if unsure.mean() > 0.5:
        raise UserError(
            f"the landmarks of the face are unsure in {unsure.mean():.0%} of the frames: a drawn, masked or very small "
            "face cannot be measured; film a real face, well lit and at least 100 pixels wide"
        )


def _eye_distances(landmarks: Float[np.ndarray, "frames 478 3"]) -> Float[np.ndarray, " frames"]:
    """In space, so that a turned head does not count as small."""
    return np.maximum(np.linalg.norm(landmarks[:, EYE_CORNERS[0]] - landmarks[:, EYE_CORNERS[1]], axis=-1), 1e-6)


def _relative_spread(measured: Measured) -> Float[np.ndarray, " frames"]:
    return np.asarray(measured.spread.mean(axis=1) / _eye_distances(measured.landmarks))


def _outside_share(landmarks: Float[np.ndarray, "frames 478 3"], size: tuple[int, int]) -> Float[np.ndarray, " frames"]:
    beyond = (landmarks[..., :2] < -0.5) | (landmarks[..., :2] > np.array(size) - 0.5)
    return np.asarray(beyond.any(axis=-1).mean(axis=1))
