"""A video that stands on its head is refused before anything is measured."""

from __future__ import annotations

import numpy as np
import pytest

from nerface.capture.landmarker import Face, FaceLandmarker, Region
from nerface.capture.tracking_chain import Chain
from nerface.capture.tracking_upright import LOOK_EVERY, LOOKS, check_upright
from nerface.capture.video import VideoFrame
from nerface.errors import UserError
from tests.capture.clips import networks, swaying


class Detector:
    """Believes in faces by `upright` where an image is brighter above than below, by `turned` where it is not."""

    def __init__(self, upright: float, turned: float, presence: float = 1.0) -> None:
        self.scores, self.presence = (turned, upright), presence

    def detect(self, image, thorough=True):
        score = self.scores[int(image[0].mean() > image[-1].mean())]
        return [Region(8.0, 8.0, 8.0, 0.0, score)] if score else []

    def measure(self, image, region):
        return Face(np.zeros((478, 3), np.float32), self.presence, np.zeros(52, np.float32))


def _frames(count: int, seen: list[int]):
    image = np.repeat(np.linspace(255, 0, 16).astype(np.uint8), 48).reshape(16, 16, 3)
    for number in range(count):
        seen.append(number)
        yield VideoFrame(number, number / 25, image)


@pytest.mark.parametrize(
    ("detector", "refused"),
    [
        (Detector(0.79, 0.95), True),
        (Detector(0.0, 0.9), True),
        (Detector(0.95, 0.79), False),
        (Detector(0.79, 0.8), False),  # on its side
        (Detector(0.0, 0.0), False),
        (Detector(0.79, 0.95, presence=0.1), False),
    ],
)
def test_the_surer_way_up_decides_from_a_few_frames(detector, refused):
    seen: list[int] = []
    chain = Chain(regions=[None] * 10 + [Region(8.0, 8.0, 8.0, 0.0, 0.9)] * 190)
    if refused:
        with pytest.raises(UserError, match="upside down: turn it by 180 degrees"):
            check_upright(_frames(200, seen), detector, chain)
    else:
        check_upright(_frames(200, seen), detector, chain)
    assert len(seen) == 10 + (LOOKS - 1) * LOOK_EVERY + 1


def test_a_clip_of_no_frames_is_left_to_other_checks():
    check_upright(iter(()), Detector(0.0, 0.9), Chain())


def test_a_real_face_is_told_apart_from_one_upside_down():
    landmarker = FaceLandmarker(networks().face_landmarker)
    clip = [VideoFrame(number, number / 25, image) for number, image in enumerate(swaying(10))]
    check_upright(iter(clip), landmarker, Chain())
    over = [VideoFrame(f.index, f.timestamp, np.ascontiguousarray(f.image[::-1, ::-1])) for f in clip]
    with pytest.raises(UserError, match="upside down"):
        check_upright(iter(over), landmarker, Chain())
