from __future__ import annotations

import numpy as np
import pytest

from nerface.capture import tracking
from nerface.capture.landmarker import SCORE_NAMES, Face, FaceLandmarker, Region
from nerface.capture.tracking import track_face
from nerface.capture.video import VideoFrame
from nerface.errors import UserError
from tests.capture.clips import networks, portrait, swaying

SIDE = 40.0


class FakeLandmarker:
    """Sees the faces that `faces(frame number)` lists as (x, y); the frame number stands in the image's first pixel."""

    def __init__(self, faces, noise=0.0):
        self.faces, self.noise, self.random = faces, noise, np.random.default_rng(0)
        self.detections = 0

    def _places(self, image):
        return self.faces(int(image[0, 0, 0]))

    def detect(self, image):
        self.detections += 1
        return [Region(x, y, SIDE * 1.5, 0.0, 0.9) for x, y in self._places(image)]

    def measure(self, image, region):
        landmarks = np.zeros((478, 3), np.float32)
        inside = [p for p in self._places(image) if np.hypot(region.x - p[0], region.y - p[1]) < SIDE]
        if not inside:
            return Face(landmarks, 0.01, np.zeros(52, np.float32))
        x, y = inside[0]
        shift = self.random.normal(size=2) * self.noise
        angles = np.linspace(0, 2 * np.pi, 478)
        landmarks[:, 0] = x + shift[0] + SIDE / 2 * np.cos(angles)
        landmarks[:, 1] = y + shift[1] + SIDE / 2 * np.sin(angles)
        landmarks[33, :2], landmarks[263, :2] = (x - 10, y), (x + 10, y)
        return Face(landmarks, 0.99, np.full(52, 0.1, np.float32))


def clip(count):
    def frames():
        for number in range(count):
            image = np.random.default_rng(number).integers(0, 255, (96, 128, 3), dtype=np.uint8)
            image[0, 0, 0] = number
            yield VideoFrame(number, number / 25, image)

    return frames


def test_a_moving_face_is_followed_without_detecting_anew():
    fake = FakeLandmarker(lambda n: [(40 + n, 50)])
    track = track_face(clip(30), fake)
    assert len(track) == 30
    assert track.found.all()
    assert track.size == (128, 96)
    assert track.names == SCORE_NAMES
    np.testing.assert_allclose(track.landmarks[:, 33, 0], 30 + np.arange(30), atol=1e-4)
    np.testing.assert_allclose(track.timestamps, np.arange(30) / 25)
    assert fake.detections == 1 + 3  # the start, and a look for rivals at frames 0, 10, 20


def test_a_lost_face_is_found_again():
    gone = {12, 13, 14}
    track = track_face(clip(30), FakeLandmarker(lambda n: [] if n in gone else [(40, 50) if n < 13 else (90, 40)]))
    assert set(np.flatnonzero(~track.found)) == gone
    assert not track.landmarks[12].any()
    assert track.landmarks[20, 33, 0] == pytest.approx(80)


def test_the_region_is_smoothed_within_stretches_only():
    regions = [Region(50 + (-1) ** n, 50, 60, 0.0, 1.0) for n in range(20)]
    regions += [None, None] + [Region(200, 50, 60, 3.1 if n % 2 else -3.1, 1.0) for n in range(10)]
    steady = tracking._steady(regions)
    assert steady[20] is None
    assert steady[21] is None
    assert max(abs(region.x - 50) for region in steady[5:15]) < 0.1
    assert all(region.x == pytest.approx(200) for region in steady[22:])
    assert abs(abs(steady[26].angle) - np.pi) < 0.02  # angles are averaged on the circle


@pytest.mark.parametrize(
    ("count", "faces", "words"),
    [
        (3, lambda n: [(40, 50)], "3 frames"),
        (30, lambda n: [], "no face was found"),
        (30, lambda n: [(40, 50)] if n < 12 else [], "12 of 30 frames"),
        (30, lambda n: [(30, 50), (100, 50)], "two faces throughout"),
    ],
)
def test_clips_that_cannot_be_used(count, faces, words):
    with pytest.raises(UserError, match=words) as caught:
        track_face(clip(count), FakeLandmarker(faces))
    assert "\n" not in str(caught.value)


def test_a_passing_second_face_is_borne():
    track = track_face(clip(40), FakeLandmarker(lambda n: [(30, 50), (100, 50)] if n < 8 else [(30, 50)]))
    assert track.found.all()


def test_the_share_of_frames_is_a_choice():
    fake = FakeLandmarker(lambda n: [(40, 50)] if n < 12 else [])
    assert track_face(clip(30), fake, min_share=0.3).found.sum() == 12


def test_a_real_face():
    images = swaying(14)
    frames = [VideoFrame(number, number / 25, image) for number, image in enumerate(images)]
    track = track_face(lambda: frames, FaceLandmarker(networks().face_landmarker))
    assert track.found.all()
    assert not track.repeated.any()
    eyes = np.linalg.norm(track.landmarks[:, 33, :2] - track.landmarks[:, 263, :2], axis=1)
    assert eyes.std() < 0.02 * eyes.mean()


def test_two_real_faces():
    pair = np.hstack([portrait(), portrait()[:, ::-1]])
    frames = [VideoFrame(number, number / 25, pair) for number in range(11)]
    with pytest.raises(UserError, match="two faces"):
        track_face(lambda: frames, FaceLandmarker(networks().face_landmarker))
