from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from nerface.capture import landmarker as module
from nerface.capture.detection import Detection, _suppress
from nerface.capture.landmarker import (
    SCORE_LANDMARKS,
    SCORE_NAMES,
    Face,
    FaceLandmarker,
    Region,
    face_patch,
    region_from,
)
from nerface.capture.torch_network import TorchNetwork
from nerface.capture.tracking_crops import crops_of
from nerface.capture.video import iterate
from nerface.errors import UserError
from tests.capture.clips import networks, portrait


@pytest.fixture(scope="module")
def landmarker():
    return FaceLandmarker(networks().face_landmarker)


def _face(landmarker, image):
    region = landmarker.detect(image)[0]
    for _ in range(3):
        face = landmarker.measure(image, region)
        region = region_from(face)
    return face


def test_tables():
    assert len(SCORE_NAMES) == len(set(SCORE_NAMES)) == 52
    assert len(SCORE_LANDMARKS) == 146
    assert (np.diff(SCORE_LANDMARKS) > 0).all()
    assert SCORE_LANDMARKS[-1] == 477


def test_region_is_levelled_by_the_eyes_and_one_and_a_half_times_the_box():
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[:, :2] = (50, 60)
    landmarks[33, :2], landmarks[263, :2] = (30, 50), (70, 90)
    region = region_from(Face(landmarks, 0.9, np.zeros(52, np.float32)))
    assert (region.x, region.y, region.size) == (50, 70, 60)
    assert region.angle == pytest.approx(math.pi / 4)


def test_suppression_averages_what_overlaps():
    def row(x, score):
        return [x, 50, 40, 40, x - 8, 45, x + 8, 45, score]

    found = _suppress(np.array([row(50, 0.9), row(54, 0.6), row(200, 0.7)], np.float64))
    assert [round(item.x, 3) for item in found] == [51.6, 200.0]
    assert isinstance(found[0], Detection)
    assert found[0].score == 0.9


def test_a_real_face_is_found_and_measured(landmarker):
    image = portrait()
    regions = landmarker.detect(image)
    assert len(regions) == 1
    face = _face(landmarker, image)
    assert face.presence > 0.99
    assert face.landmarks.shape == (478, 3)
    assert face.scores.shape == (52,)
    scores = dict(zip(landmarker.names, face.scores))
    assert scores["mouthSmileLeft"] > 0.5  # she smiles
    assert scores["eyeBlinkLeft"] < 0.5
    right_eye, left_eye, chin = face.landmarks[33], face.landmarks[263], face.landmarks[152]
    assert right_eye[0] < left_eye[0]
    assert chin[1] > right_eye[1] + 40
    nose, ear = face.landmarks[1], face.landmarks[234]
    assert nose[2] < ear[2]  # z grows away from the camera


def test_no_face_in_a_plain_picture(landmarker):
    assert landmarker.detect(np.full((200, 300, 3), 120, np.uint8)) == []


def test_landmarks_follow_turns_and_size(landmarker):
    image = portrait()
    face = _face(landmarker, image).landmarks[:, :2]
    turn = cv2.getRotationMatrix2D((160, 130), 25, 1.6)
    turn[:, 2] += 100
    turned = cv2.warpAffine(image, turn, (520, 520), flags=cv2.INTER_CUBIC)
    expected = face @ turn[:, :2].T + turn[:, 2]
    error = np.linalg.norm(_face(landmarker, turned).landmarks[:, :2] - expected, axis=1)
    eyes = np.linalg.norm(expected[33] - expected[263])
    assert error.mean() < 0.025 * eyes


def test_mirrored_face_gives_mirrored_midline(landmarker):
    # Catches an offset of half a pixel in the sampling: midline landmarks of a picture and of its mirror image.
    midline = [10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 164, 0, 13, 14, 17, 18, 200, 199, 175, 152]
    image = cv2.resize(portrait(), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    there = _face(landmarker, image)
    mirrored = _face(landmarker, np.ascontiguousarray(image[:, ::-1]))
    total = (there.landmarks[midline, 0] + mirrored.landmarks[midline, 0]).mean()
    pixel_of_input = region_from(there).size / 256
    assert abs(total - (image.shape[1] - 1)) < 0.75 * pixel_of_input


def test_small_face_is_found_in_a_part_of_the_picture(landmarker):
    scene = np.full((720, 720, 3), 128, np.uint8)
    scene[430:560, 560:690] = cv2.resize(portrait(), (130, 130), interpolation=cv2.INTER_AREA)
    regions = landmarker.detect(scene)
    assert len(regions) == 1
    assert 560 < regions[0].x < 690
    assert 430 < regions[0].y < 560
    assert landmarker.measure(scene, regions[0]).presence > 0.5


def test_large_faces_are_measured_as_well_as_small_ones(landmarker):
    small = _face(landmarker, portrait()).landmarks[:, :2]
    image = cv2.resize(portrait(), None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)
    large = _face(landmarker, image).landmarks[:, :2]
    expected = (small + 0.5) * 6 - 0.5
    assert np.linalg.norm(large - expected, axis=1).mean() < 0.02 * np.linalg.norm(expected[33] - expected[263])


def test_rendered_head_with_known_landmarks(landmarker, shared):
    folder = shared / "data" / "groundtruth"
    with np.load(folder / "head_rigid_gt.npz", allow_pickle=False) as truth:
        expected = truth["x"]
    errors = []
    for frame in iterate(folder / "head_rigid.mp4"):
        if frame.index % 15 == 0:
            errors.append(_face(landmarker, frame.image).landmarks[:468, :2] - expected[frame.index])
    errors = np.stack(errors)
    # The networks mark other points than the rendered model's vertices: a bias of about 4 px, constant over frames.
    assert np.linalg.norm(errors, axis=-1).mean() < 7
    assert np.linalg.norm(errors - errors.mean(axis=0), axis=-1).mean() < 2.5


def test_other_files_are_refused(tmp_path):
    broken = tmp_path / "face_landmarker.task"
    broken.write_bytes(b"not a bundle")
    with pytest.raises(UserError, match=r"not a face_landmarker\.task"):
        FaceLandmarker(broken)


def test_starting_the_networks_is_quiet(capfd):
    FaceLandmarker(networks().face_landmarker)
    assert capfd.readouterr().err == ""


def test_several_regions_of_several_images_in_one_call(landmarker):
    image = portrait()
    mirrored = np.ascontiguousarray(image[:, ::-1])
    regions = [crops_of(landmarker.detect(picture)[0], 3) for picture in (image, mirrored)]
    faces = landmarker.measure_batch([image, mirrored], [regions[0], regions[1][:2]])
    assert [len(own) for own in faces] == [3, 2]
    alone = landmarker.measure(mirrored, regions[1][1])
    np.testing.assert_array_equal(faces[1][1].landmarks, alone.landmarks)
    np.testing.assert_array_equal(faces[1][1].scores, alone.scores)


def test_a_batched_network_measures_the_same(landmarker, monkeypatch):
    monkeypatch.setattr(module, "open_network", lambda content, threads, device: TorchNetwork(content))
    batched = FaceLandmarker(networks().face_landmarker)
    image = portrait()
    crops = crops_of(landmarker.detect(image)[0], 5)
    for one, other in zip(landmarker.measure_batch([image], [crops])[0], batched.measure_batch([image], [crops])[0]):
        np.testing.assert_allclose(other.landmarks, one.landmarks, atol=0.01)
        np.testing.assert_allclose(other.scores, one.scores, atol=1e-3)


@pytest.mark.parametrize(
    "region", [Region(700, 500, 640, 0.4, 1), Region(40, 900, 900, -1.0, 1), Region(1150, 60, 520, 2, 1)]
)
def test_a_large_face_is_cut_from_its_part_of_the_frame_as_from_the_whole(region):
    random = np.random.default_rng(0)
    image = cv2.resize(random.integers(0, 255, (60, 80, 3), dtype=np.uint8), (1201, 961), interpolation=cv2.INTER_CUBIC)
    shrink = int(region.size / 256)
    small = cv2.resize(
        image[: 961 - 961 % shrink, : 1201 - 1201 % shrink],
        (1201 // shrink, 961 // shrink),
        interpolation=cv2.INTER_AREA,
    )
    offset = (shrink - 1) / 2
    inside = Region((region.x - offset) / shrink, (region.y - offset) / shrink, region.size / shrink, region.angle, 1)
    difference = face_patch(image, region).astype(int) - face_patch(small, inside)
    assert np.abs(difference).max() <= 1
