"""The face check, with a landmarker whose answers are known."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from nerface.capture.landmarker import EYE_CORNERS, SCORE_NAMES, Face, FaceLandmarker, Region
from nerface.evaluation.faces import check_faces, find_face

EYE_DISTANCE_PX = 50.0


class KnownFaces:
    """Reads a made-up face out of a picture's first pixel: red is presence, green a shift in px, blue jawOpen."""

    names = SCORE_NAMES

    def __init__(self):
        self.sizes = []

    def detect(self, image):
        self.sizes.append(image.shape[:2])
        return [Region(0, 0, 1, 0, 1)] if image[0, 0, 0] > 0 else []

    def measure(self, image, region):
        presence, shift, jaw = image[0, 0].astype(float)
        landmarks = np.random.default_rng(0).uniform(0, 100, (478, 3)).astype(np.float32)
        landmarks[EYE_CORNERS[0]], landmarks[EYE_CORNERS[1]] = (10, 50, 0), (10 + EYE_DISTANCE_PX, 50, 0)
        landmarks[:, 0] += shift
        landmarks[:, 2] += 100 * shift  # depth does not count
        scores = np.zeros(52, np.float32)
        scores[SCORE_NAMES.index("jawOpen")] = jaw / 255
        return Face(landmarks, presence / 255, scores)


def picture(presence: int, shift: int, jaw: int, size: int = 256) -> np.ndarray:
    return np.full((size, size, 3), (presence, shift, jaw), dtype=np.uint8)


def test_shares_errors_and_correlation():
    truths = [picture(255, 0, jaw) for jaw in (0, 100, 200, 50, 0)] + [picture(0, 0, 0)]
    renders = [
        picture(255, 1, 10),
        picture(255, 2, 60),
        picture(255, 3, 110),
        picture(60, 0, 0),  # there, but not believed
        picture(0, 0, 0),  # not found at all
        picture(255, 0, 0),  # no truth to compare with
    ]
    found = check_faces(iter(renders), iter(truths), KnownFaces())
    assert found.frames == 6
    assert found.found_share == pytest.approx(3 / 5)
    assert found.truth_found_share == pytest.approx(5 / 6)
    assert found.landmark_error_mean == pytest.approx(2 / EYE_DISTANCE_PX, abs=1e-6)
    assert found.landmark_error_p95 == pytest.approx(2.9 / EYE_DISTANCE_PX, abs=1e-6)
    assert set(found.correlations) == {"jawOpen"}  # the others never move in the truth
    assert found.correlations["jawOpen"] == pytest.approx(1.0)


def test_a_frozen_mouth_has_no_correlation():
    truths = [picture(255, 0, jaw) for jaw in (0, 100, 200)]
    found = check_faces([picture(255, 0, 40)] * 3, truths, KnownFaces())
    assert math.isnan(found.correlations["jawOpen"])


def test_nothing_to_measure():
    found = check_faces([picture(0, 0, 0)], [picture(0, 0, 0)], KnownFaces())
    assert found.truth_found_share == 0
    assert math.isnan(found.found_share)
    assert math.isnan(found.landmark_error_mean)
    with pytest.raises(ValueError):
        check_faces([picture(255, 0, 0)] * 2, [picture(255, 0, 0)], KnownFaces())


def test_small_pictures_are_enlarged():
    landmarker = KnownFaces()
    find_face(np.full((64, 96, 3), 255, np.uint8), landmarker)
    find_face(np.full((300, 400, 3), 255, np.uint8), landmarker)
    assert landmarker.sizes == [(256, 384), (300, 400)]


def test_a_real_face_moved_by_known_pixels(shared):
    data = pytest.importorskip("skimage.data")
    task = shared / "models" / "face_landmarker.task"
    if not task.exists():
        pytest.skip(f"{task} is missing")
    image = data.astronaut()[0:256, 96:352]
    moved = cv2.warpAffine(image, np.array([[1.0, 0, 4], [0, 1, 0]]), (256, 256), borderMode=cv2.BORDER_REPLICATE)
    landmarker = FaceLandmarker(task)
    same = check_faces([image], [image], landmarker)
    assert same.found_share == 1
    assert same.landmark_error_mean == 0
    face = find_face(image, landmarker)
    distance = np.linalg.norm(face.landmarks[EYE_CORNERS[0], :2] - face.landmarks[EYE_CORNERS[1], :2])
    assert check_faces([moved], [image], landmarker).landmark_error_mean == pytest.approx(4 / distance, rel=0.25)
