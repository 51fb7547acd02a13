"""From a track to solved frames: which frames are used, their head poses and the camera."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from nerface.capture.bundle import Bundle, BundleOptions, Observations, solve_bundle
from nerface.capture.canonical import read_canonical_face
from nerface.capture.face_track import FaceTrack
from nerface.capture.report import Dropped, eye_distance
from nerface.capture.tracking import MIN_FRAMES
from nerface.capture.video import PADDED_SHARE
from nerface.errors import UserError
from nerface.progress import SILENT, Progress

MISFIT = "landmarks do not fit the head"
# A frame that fits the solved head this many times worse than the middle frame does, and by more than this share of the
# eye distance, is a tracking fault (a hand before the face, a blurred turn).
MISFIT_TIMES, MISFIT_SHARE = 4.0, 0.06

WEIGHT_RANGE = (0.1, 4.0)  # of a landmark's trust by its spread: crops do not show every error


@dataclass(frozen=True)
class SolvedClip:
    """The N used frames of a video, in temporal order.

    `numbers` [N] in the video; `landmarks` [N, 478, 2] px and `projected` [N, 468, 2] px of the upright frame; `scores`
    [N, 52] named by `names`; `timestamps` [N] s; `camera_to_head` [N, 4, 4]; `frame_rms_px` [N], and
    `held_out_rms_px` over the frames that shape and basis were not solved from; `spots` how many points on the skin
    told of the motion; `focal` px and `centre` (u, v) px of the upright frame; `frame_rate` Hz of the used frames;
    `dropped` tells of the others.
    """

    numbers: Int[np.ndarray, " frames"]
    landmarks: Float[np.ndarray, "frames 478 2"]
    projected: Float[np.ndarray, "frames 468 2"]
    scores: Float[np.ndarray, "frames 52"]
    names: tuple[str, ...]
    timestamps: Float[np.ndarray, " frames"]
    camera_to_head: Float[np.ndarray, "frames 4 4"]
    frame_rms_px: Float[np.ndarray, " frames"]
    focal: float
    focal_assumed: bool
    centre: tuple[float, float]
    units_per_cm: float
    frame_rate: float
    dropped: Dropped
    held_out_rms_px: float = float("nan")
    spots: int = 0

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def rms_px(self) -> float:
        """Reprojection error over all used frames, px of the upright frame."""
        return float(np.sqrt(np.mean(self.frame_rms_px**2)))


def solve_clip(
    track: FaceTrack,
    task_file: Path,
    focal_px: float | None,
    frame_rate: float,
    progress: Progress = SILENT,
    focal_guess_px: float | None = None,
) -> SolvedClip:
    """Choose the frames to use and solve camera and head poses for them.

    Frames without a face, repeated ones, and ones whose landmarks do not fit the solved head are dropped and listed.
    `focal_px` is the stated focal length, `focal_guess_px` what the file tells of it (a prior), `frame_rate` that of
    the video. Raises `UserError` where fewer than 10 frames remain or the solution does not hold.
    """
    usable = track.usable & track.found
    options = BundleOptions(focal_px=focal_px)
    if focal_guess_px is not None:
        options = replace(options, focal_prior_ratio=focal_guess_px / max(track.size))
    _check_enough(int(usable.sum()), track)
    bundle = solve_bundle(
        Observations(
            landmarks=track.landmarks[usable, :, :2],
            scores=track.scores[usable],
            size=track.size,
            depths=track.landmarks[usable, :, 2],
            weights=_weights(track, usable),
            times=track.timestamps[usable],
            segment=track.segment[usable],
            skin=track.skin,
            numbers=np.flatnonzero(usable),
        ),
        read_canonical_face(task_file),
        options,
        progress,
    )
    good = _fits(bundle, eye_distance(track.landmarks[usable, :, :2]))
    numbers = np.flatnonzero(usable)[good]
    _check_enough(len(numbers), track)
    # A padded rate (25 Hz stored as 30) is undone: the used frames are evenly spaced at the true one.
    repeated_share = float(np.mean(track.repeated))
    true_rate = frame_rate * (1 - repeated_share) if repeated_share > PADDED_SHARE else frame_rate
    return SolvedClip(
        numbers=numbers,
        landmarks=track.landmarks[numbers, :, :2],
        projected=bundle.projected[good],
        scores=track.scores[numbers],
        names=track.names,
        timestamps=track.timestamps[numbers],
        camera_to_head=bundle.camera_to_head[good],
        frame_rms_px=bundle.frame_rms_px[good],
        held_out_rms_px=_rms(bundle.frame_rms_px[good & bundle.held_out], bundle.held_out_rms_px),
        spots=bundle.spots,
        focal=bundle.focal,
        focal_assumed=bundle.focal_assumed,
        centre=bundle.centre,
        units_per_cm=bundle.units_per_cm,
        frame_rate=true_rate,
        dropped=_dropped(track, usable, numbers),
    )


def _weights(track: FaceTrack, usable: np.ndarray) -> Float[np.ndarray, " 478"] | None:
    """Trust in each landmark: the square of the usual spread between crops over its own; None where none is known."""
    spread = np.sqrt(np.mean(track.spread[usable].astype(np.float64) ** 2, axis=0))
    usual = float(np.median(spread))
    if not usual > 0:
        return None
    return np.asarray(np.clip((usual / np.maximum(spread, 1e-6)) ** 2, *WEIGHT_RANGE))


def _rms(values: np.ndarray, otherwise: float) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else otherwise


def _fits(bundle: Bundle, eyes_px: float) -> Bool[np.ndarray, " frames"]:
    limit = max(MISFIT_TIMES * float(np.median(bundle.frame_rms_px)), MISFIT_SHARE * eyes_px)
    return np.asarray(bundle.frame_rms_px <= limit)


def _check_enough(count: int, track: FaceTrack) -> None:
    if count < MIN_FRAMES:
        raise UserError(
            f"only {count} of {len(track)} frames can be used ({int((~track.found).sum())} without a face, "
            f"{int(track.repeated.sum())} repeated) and at least {MIN_FRAMES} are needed"
        )


def _dropped(track: FaceTrack, usable: np.ndarray, numbers: np.ndarray) -> Dropped:
    kept = {int(number) for number in numbers}
    rows = []
    for number in range(len(track)):
        if number in kept:
            continue
        rows.append((number, MISFIT if usable[number] else track.reasons[number]))
    return Dropped(tuple(rows))
