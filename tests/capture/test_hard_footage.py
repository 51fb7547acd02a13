"""Hard footage through the real networks: each handled, or the frames dropped with the right reason."""

from __future__ import annotations

import weakref

import cv2
import numpy as np
import pytest

from nerface.capture.landmarker import FaceLandmarker
from nerface.capture.tracking import track_face
from nerface.capture.tracking_reasons import BLURRED, COVERED, NO_FACE, OUTSIDE, STRANGER
from nerface.capture.video import VideoFrame
from nerface.errors import UserError
from tests.capture.clips import networks, swaying
from tests.capture.hard_footage import (
    as_video,
    first_frames,
    motion_blurred,
    pasted,
    with_box,
    with_hand,
    with_head,
)

COUNT = 70


@pytest.fixture(scope="module")
def landmarker():
    return FaceLandmarker(networks().face_landmarker)


@pytest.fixture(scope="module")
def speaker(shared):
    return first_frames(shared / "data" / "clips" / "obama_450.mp4", COUNT)


@pytest.fixture(scope="module")
def plain(speaker, landmarker):
    return track_face(as_video(speaker), landmarker)


def _frames_with(track, reason):
    return [number for number, own in enumerate(track.reasons) if own == reason]


def test_a_small_face_in_a_4k_frame(landmarker):
    faces = swaying(10)
    images = [pasted(face, (3840, 2160), (2900, 600 + 3 * n), 380) for n, face in enumerate(faces)]  # about 170 px
    track = track_face(as_video(images), landmarker)
    assert track.usable.all()
    nose = track.landmarks[:, 1, :2]
    assert np.abs(nose - (2900, 600)).max() < 120


def test_a_drawn_face_is_told(landmarker):
    images = []
    for number in range(12):
        image = np.full((240, 320, 3), 235, np.uint8)
        cv2.circle(image, (160 + number, 120), 70, (250, 220, 60), -1)
        for eye in (-25, 25):
            cv2.circle(image, (160 + eye + number, 100), 9, (20, 20, 20), -1)
        cv2.ellipse(image, (160 + number, 135), (35, 22), 0, 10, 170, (20, 20, 20), 4)
        images.append(image)
    with pytest.raises(UserError, match=r"no face was found|unsure") as caught:
        track_face(as_video(images), landmarker)
    assert "\n" not in str(caught.value)


def test_no_frame_is_kept_in_memory(landmarker):
    alive, most = set(), 0

    def frames():
        nonlocal most
        for number, image in enumerate(swaying(16)):
            image = image.copy()
            alive.add(number)
            weakref.finalize(image, alive.discard, number)
            most = max(most, len(alive))
            yield VideoFrame(number, number / 25, image)
            del image

    track_face(frames, landmarker)
    assert most <= 3


@pytest.mark.slow
def test_nothing_is_dropped_from_a_plain_clip(plain):
    assert plain.usable.all()
    assert not plain.segment.any()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["box", "hand"])
def test_what_is_before_the_face_for_a_while(what, speaker, plain, landmarker):
    points = plain.landmarks[0]
    eyes = float(np.linalg.norm(points[33] - points[263]))
    column, row = np.rint(points[50, :2]).astype(int)
    skin = speaker[0][row - 3 : row + 3, column - 3 : column + 3].reshape(-1, 3).mean(axis=0)
    images = list(speaker)
    for number in range(20, 60):
        place = (points[:, 0].mean() + (number - 40) / 20 * 2.4 * eyes, points[1, 1] + 0.45 * eyes)
        image = images[number]
        images[number] = with_box(image, place, eyes) if what == "box" else with_hand(image, place, 1.1 * eyes, skin)
    track = track_face(as_video(images), landmarker)
    covered = _frames_with(track, COVERED)
    assert set(range(38, 43)) <= set(covered)  # over the middle of the face
    assert min(covered) > 22
    assert max(covered) < 58
    assert {*track.reasons} == {"", COVERED}
    error = np.linalg.norm(track.landmarks[..., :2] - plain.landmarks[..., :2], axis=-1).mean(axis=1)
    assert error[track.usable].max() < 0.03 * eyes


@pytest.mark.slow
def test_a_burst_of_motion_blur(speaker, plain, landmarker):
    eyes = float(np.linalg.norm(plain.landmarks[0, 33] - plain.landmarks[0, 263]))
    images = list(speaker)
    for number, share in ((30, 0.15), (31, 0.2), (32, 0.15), (50, 0.04)):
        images[number] = motion_blurred(images[number], share * eyes)
    track = track_face(as_video(images), landmarker)
    assert _frames_with(track, BLURRED) == [30, 31, 32]
    assert track.usable.sum() == COUNT - 3


@pytest.mark.slow
def test_two_people_cross(shared, speaker, landmarker):
    other = first_frames(shared / "data" / "clips" / "selfie_glasses.mp4", COUNT)
    alone = [pasted(image, (800, 450), (280, 225), 430) for image in speaker]
    images = [with_head(scene, head, (1000 - 20 * n, 225), 430) for n, (scene, head) in enumerate(zip(alone, other))]
    own = track_face(as_video(alone), landmarker)
    track = track_face(as_video(images), landmarker, min_share=0.3)
    error = np.linalg.norm(track.landmarks[..., :2] - own.landmarks[..., :2], axis=-1).mean(axis=1)
    assert error[track.usable].max() < 5
    assert track.usable[:22].all()  # until the other one comes near
    assert track.usable[58:].all()
    hidden = np.arange(33, 40)
    assert not track.usable[hidden].any()
    assert set(track.reasons) <= {"", STRANGER, COVERED, NO_FACE}


@pytest.mark.slow
def test_cuts(shared, speaker, landmarker):
    clips = shared / "data" / "clips"
    later = first_frames(clips / "obama_450.mp4", 30, start=300)
    other = [cv2.resize(image, (450, 450)) for image in first_frames(clips / "selfie_glasses.mp4", 20)]
    track = track_face(as_video([*other, *speaker[:40], *other, *later]), landmarker, min_share=0.5)
    assert set(_frames_with(track, STRANGER)) == {*range(20), *range(60, 80)}
    assert track.usable[20:60].all()
    assert track.usable[80:].all()
    assert len({track.segment[30], track.segment[50]}) == 1
    assert track.segment[50] < track.segment[90]
    jump = track_face(as_video([*speaker[:40], *later]), landmarker)
    assert jump.usable.all()
    assert jump.segment.tolist() == [0] * 40 + [1] * 30


@pytest.mark.slow
def test_a_face_leaves_the_picture_and_comes_back(speaker, landmarker):
    places = [400 + 16 * max(0, n - 10) if n < 40 else 400 + 16 * max(0, 65 - n) for n in range(COUNT)]
    images = [pasted(image, (800, 450), (place, 225), 430) for image, place in zip(speaker, places)]
    track = track_face(as_video(images), landmarker, min_share=0.3)
    gone = [number for number, place in enumerate(places) if place > 800]
    assert not track.usable[gone].any()
    assert track.usable[:25].all()
    assert track.usable[-5:].all()
    assert set(track.reasons) == {"", OUTSIDE, NO_FACE}
    assert track.segment[-1] > track.segment[0]
