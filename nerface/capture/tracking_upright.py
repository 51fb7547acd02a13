"""Whether a video is upside down: its frames are looked at once as they are and once turned by 180 degrees.

The networks make an upright face up where one stands on its head, and are a little less sure of it. On four clips,
three made ones and a drawn one the detector's score of upright faces was 0.82 to 0.97, and 0 to 0.80 of the same turned
over; of a face that lies on its side both are alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import cv2
import numpy as np
from jaxtyping import UInt8

from nerface.capture.landmarker import FaceLandmarker
from nerface.capture.tracking_chain import Chain
from nerface.capture.video import VideoFrame
from nerface.errors import UserError

LOOKS, LOOK_EVERY = 5, 8  # frames that are looked at, and the distance of two of them
SURE_SCORE = 0.85  # of the detector: what an upright face reaches
SURER_BY = 0.08
MIN_PRESENCE = 0.9  # of the landmarks in the turned frame


def check_upright(frames: Iterable[VideoFrame], landmarker: FaceLandmarker, chain: Chain) -> None:
    """Raise `UserError` where the first frames with a face (without: the first ones) stand on their head.

    `frames` is a fresh decoding; it is read to the last of five frames, the first 33 where the face is there at once.
    """
    start = next((number for number, region in enumerate(chain.regions) if region is not None), 0)
    looked = islice(frames, start, start + LOOKS * LOOK_EVERY - LOOK_EVERY + 1, LOOK_EVERY)
    scores = np.array([_scores(frame.image, landmarker) for frame in looked]).reshape(-1, 2)
    if not len(scores):
        return
    upright, turned = np.median(scores, axis=0)
    if turned >= SURE_SCORE and turned - upright >= SURER_BY:
        raise UserError("the video is upside down: turn it by 180 degrees first (ffmpeg -vf hflip,vflip)")


def _scores(image: UInt8[np.ndarray, "height width 3"], landmarker: FaceLandmarker) -> tuple[float, float]:
    """The detector's belief in its surest face, as the image is and turned over; 0 where there is none."""
    return _surest(image, landmarker, 0.0), _surest(cv2.rotate(image, cv2.ROTATE_180), landmarker, MIN_PRESENCE)


def _surest(image: UInt8[np.ndarray, "height width 3"], landmarker: FaceLandmarker, presence: float) -> float:
    regions = landmarker.detect(image, thorough=False)
    if not regions or (presence > 0 and landmarker.measure(image, regions[0]).presence < presence):
        return 0.0
    return regions[0].score
