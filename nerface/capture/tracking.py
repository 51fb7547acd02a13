"""One face through a clip: found, followed, and measured again in several crops of a steadied region.

Pass 1 (`tracking_chain`) chains the region from frame to frame; `tracking_segments` finds cuts and gaps and smooths the
region between them; pass 2 (`tracking_measure`) measures there; `tracking_reasons` tells which frames not to use. Both
passes stream the video: besides one frame there are small tables, about 10 kB a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from nerface.capture.face_track import FaceTrack
from nerface.capture.landmarker import FaceLandmarker
from nerface.capture.skin import SkinTracker
from nerface.capture.track_store import TrackStore
from nerface.capture.tracking_chain import Chain, add_frame, swapped
from nerface.capture.tracking_crops import CROPS
from nerface.capture.tracking_measure import Measured, Plan, measure_frames
from nerface.capture.tracking_reasons import MIN_FRAMES, check_chain, check_measured, reasons_of
from nerface.capture.tracking_segments import segments_of, steady_regions
from nerface.capture.tracking_upright import check_upright
from nerface.capture.video import VideoFrame, repeated_frames
from nerface.progress import SILENT, Progress

__all__ = ["MIN_FRAMES", "FaceTrack", "track_face"]

Frames = Callable[[], Iterable[VideoFrame]]
KEEP_EVERY = 300  # frames between two notes of what is done


def track_face(
    frames: Frames,
    landmarker: FaceLandmarker,
    expected: int = 0,
    min_share: float = 0.6,
    progress: Progress = SILENT,
    crops: int = CROPS,
    store: TrackStore | None = None,
) -> FaceTrack:
    """Track the one face of a clip; `frames` starts a fresh decoding each time it is called (twice).

    `expected` is the number of frames for the progress bar, `min_share` the least share of frames that must show the
    face, `crops` (1, or 3 and more) the number of crops averaged in each frame; more are steadier and slower. With a
    `store`, what is done is noted every few hundred frames and taken up from there by the next call, to the same
    result. Raises `UserError` where the clip is shorter than 10 frames, a still picture, shows no face, shows it too
    rarely, stands on its head, or shows two faces throughout.
    """
    chain = _first_pass(frames, landmarker, expected, progress, store)
    check_upright(frames(), landmarker, chain)
    check_chain(chain, min_share)
    repeated = repeated_frames(np.array(chain.differences))
    segment = segments_of(chain, repeated)
    plan = Plan(steady_regions(chain.regions, segment), segment, crops)
    measured, skin = _second_pass(frames, landmarker, plan, SkinTracker(chain.size), progress, store)
    check_measured(measured)
    return FaceTrack(
        landmarks=measured.landmarks,
        spread=measured.spread,
        scores=measured.scores,
        presence=measured.presence,
        sharpness=measured.sharpness,
        found=measured.found,
        repeated=repeated,
        reasons=reasons_of(chain, measured, repeated),
        segment=segment,
        timestamps=np.array(chain.timestamps),
        size=chain.size,
        skin=skin.finish(),
    )


def _first_pass(
    frames: Frames, landmarker: FaceLandmarker, expected: int, progress: Progress, store: TrackStore | None
) -> Chain:
    chain, whole = store.chain() if store else (Chain(), False)
    if whole:
        return chain
    progress.start("finding the face", expected)
    chain = _chained(frames, landmarker, chain, progress, store)
    other = swapped(chain)
    if other is not None:
        progress.start("finding the face that is seen longest", expected)
        chain = _chained(frames, landmarker, other, progress, store)
    if store:
        store.keep_chain(chain, whole=True)
    return chain


def _chained(
    frames: Frames, landmarker: FaceLandmarker, chain: Chain, progress: Progress, store: TrackStore | None
) -> Chain:
    done = len(chain)
    for frame in frames():
        if frame.index >= done:
            add_frame(chain, frame, landmarker)
            if store and len(chain) % KEEP_EVERY == 0:
                store.keep_chain(chain, whole=False)
        progress.advance()
    return chain


def _second_pass(
    frames: Frames,
    landmarker: FaceLandmarker,
    plan: Plan,
    skin: SkinTracker,
    progress: Progress,
    store: TrackStore | None,
) -> tuple[Measured, SkinTracker]:
    measured = Measured.empty(len(plan.regions))
    done = store.measured(measured) if store else 0
    progress.start("measuring the face", len(plan.regions))
    before, kept = 0, done
    for count in measure_frames(frames(), landmarker, plan, measured, skin, done):
        progress.advance(count - before)
        before = count
        if store and count - kept >= KEEP_EVERY:
            store.keep_measured(measured.rows(kept, count), kept)
            kept = count
    return measured, skin
