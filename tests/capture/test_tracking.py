from __future__ import annotations

import cv2
import numpy as np
import pytest

from nerface.capture.landmarker import SCORE_NAMES, Face, FaceLandmarker, Region
from nerface.capture.tracking import track_face
from nerface.capture.tracking_reasons import NO_FACE, OUTSIDE, REPEATED, STRANGER
from nerface.capture.video import VideoFrame
from nerface.errors import UserError
from tests.capture.clips import networks, portrait, swaying

SIDE = 40  # px: a face's box
WIDTH, HEIGHT = 160, 96


def _painting(person: int) -> np.ndarray:
    """A face-sized picture that tells one person from another."""
    coarse = np.random.default_rng(person).integers(40, 215, (5, 5, 3), dtype=np.uint8)
    return cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)


class World:
    """People (0, 1, ...) whose faces are at the places `people(frame number)` lists as (person, x, y), the front last.

    It draws the clip and stands in for the landmarker: the frame number is written into the first pixel.
    """

    frames_at_once = 1

    def __init__(self, count, people, noise=0.0, stills=(), scenes=()):
        self.count, self.people, self.noise, self.stills, self.scenes = count, people, noise, set(stills), scenes
        self.random = np.random.default_rng(0)
        self.detections = self.measurements = 0

    def frames(self):
        shown = 0
        for number in range(self.count):
            shown = shown if number in self.stills else number
            yield VideoFrame(number, number / 25, self.draw(shown))

    def draw(self, number):
        scene = sum(number >= start for start in self.scenes)
        coarse = np.random.default_rng(100 + scene).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        image[-16:, ::8] = np.random.default_rng(number).integers(0, 255, (16, WIDTH // 8, 3))  # something always moves
        for person, x, y in self.people(number):
            left, top = round(x) - SIDE // 2, round(y) - SIDE // 2
            shift = np.array([[1, 0, left], [0, 1, top]], np.float64)
            cv2.warpAffine(_painting(person), shift, (WIDTH, HEIGHT), image, borderMode=cv2.BORDER_TRANSPARENT)
        image[0, 0] = number
        return image

    def _visible(self, image):
        people = [person for person in self.people(int(image[0, 0, 0])) if -10 < person[1] < WIDTH + 10]
        return [
            (person, x, y)
            for row, (person, x, y) in enumerate(people)
            if not any(np.hypot(x - nearer[1], y - nearer[2]) < 0.6 * SIDE for nearer in people[row + 1 :])
        ]

    def detect(self, image, thorough=True):
        self.detections += 1
        return [Region(x, y, SIDE * 1.5, 0.0, 0.9) for _, x, y in self._visible(image)]

    def measure_batch(self, images, regions):
        return [[self.measure(image, region) for region in own] for image, own in zip(images, regions)]

    def measure(self, image, region):
        self.measurements += 1
        landmarks = np.zeros((478, 3), np.float32)
        inside = [p for p in self._visible(image) if np.hypot(region.x - p[1], region.y - p[2]) < SIDE]
        if not inside:
            return Face(landmarks, 0.01, np.zeros(52, np.float32))
        _, x, y = min(inside, key=lambda p: np.hypot(region.x - p[1], region.y - p[2]))
        angles = np.linspace(0, 2 * np.pi, 478)
        shift = self.random.normal(size=(478, 2)) * self.noise
        landmarks[:, 0] = x + SIDE / 2 * np.sin(angles)
        landmarks[:, 1] = y - SIDE / 2 * np.cos(angles)
        landmarks[:, 2] = 10
        for row, place in ((33, (-10, -5)), (263, (10, -5)), (1, (0, 3)), (234, (-18, 0)), (454, (18, 0))):
            landmarks[row, :2] = np.add((x, y), place)
        for row, place in ((10, (0, -20)), (152, (0, 20))):
            landmarks[row, :2] = np.add((x, y), place)
        landmarks[1, 2] = -10
        landmarks[:, :2] += shift
        return Face(landmarks, 0.99, np.full(52, 0.1, np.float32))


def _track(world, **options):
    return track_face(world.frames, world, **options)


def _place(track):
    return (track.landmarks[:, 33, 0] + track.landmarks[:, 263, 0]) / 2


def test_a_moving_face_is_followed_without_detecting_anew():
    world = World(30, lambda n: [(0, 40 + n, 50)])
    track = _track(world)
    assert len(track) == 30
    assert track.found.all()
    assert track.usable.all()
    assert track.reasons == ("",) * 30
    assert track.size == (WIDTH, HEIGHT)
    assert track.names == SCORE_NAMES
    np.testing.assert_allclose(_place(track), 40 + np.arange(30), atol=1e-4)
    np.testing.assert_allclose(track.timestamps, np.arange(30) / 25)
    assert not track.segment.any()
    assert world.detections == 6 + 2 * 4  # a look for others every fifth frame; at every eighth, which way is up
    assert (track.sharpness > 0).all()


def test_several_crops_are_averaged_and_their_spread_is_told():
    def noisy(crops):
        return _track(World(30, lambda n: [(0, 60, 50)], noise=0.5), crops=crops)

    one, five = noisy(1), noisy(5)
    assert not one.spread.any()
    assert five.spread.mean() == pytest.approx(0.5, rel=0.1)
    assert five.landmarks[:, 100, 0].std() < 0.7 * one.landmarks[:, 100, 0].std()


def test_frames_may_be_measured_several_at_once():
    def people(n):
        return [(0, 40 + n, 50)] if n not in (6, 13) else []

    one, several = World(31, people), World(31, people)
    several.frames_at_once = 4
    expected, track = _track(one), _track(several)
    np.testing.assert_array_equal(track.landmarks, expected.landmarks)
    np.testing.assert_array_equal(track.skin.place, expected.skin.place)


def test_a_lost_face_is_found_again_and_begins_a_new_segment():
    gone = {12, 13, 14}
    track = _track(World(30, lambda n: [] if n in gone else [(0, 40, 50) if n < 13 else (0, 90, 40)]))
    assert set(np.flatnonzero(~track.found)) == gone
    assert {track.reasons[number] for number in gone} == {NO_FACE}
    assert not track.landmarks[12].any()
    assert _place(track)[20] == pytest.approx(90)
    assert (track.segment[:12] == 0).all()
    assert (track.segment[15:] == 1).all()


def test_repeated_frames_are_told():
    stills = range(3, 40, 4)
    track = _track(World(40, lambda n: [(0, 40 + n, 50)], stills=stills))
    assert {number for number in range(40) if track.reasons[number] == REPEATED} == set(stills)
    assert not track.segment.any()


def test_a_cut_to_another_view_of_the_person_begins_a_segment():
    track = _track(World(40, lambda n: [(0, 40, 50) if n < 20 else (0, 110, 45)], scenes=(20,)))
    assert track.usable.all()
    assert track.segment.tolist() == [0] * 20 + [1] * 20


def test_a_jump_within_a_scene_begins_a_segment():
    track = _track(World(40, lambda n: [(0, 40, 50) if n < 20 else (0, 56, 50)]))
    assert track.segment.tolist() == [0] * 20 + [1] * 20


@pytest.mark.parametrize("before", [True, False])
def test_two_faces_that_cross_are_not_taken_for_each_other(before):
    def people(n):
        pair = [(0, 60, 50), (1, 230 - 3 * n, 50)]
        return pair if before else pair[::-1]

    track = _track(World(100, people))
    assert np.abs(_place(track)[track.found] - 60).max() < 0.01
    apart = np.abs(230 - 3 * np.arange(100) - 60) > 1.1 * SIDE
    assert track.usable[apart].all()
    assert track.found.all() != before  # hidden for a while only where the other one is before


def test_somebody_who_stays_when_the_person_leaves_is_not_taken_for_the_person():
    def people(n):
        others = [(1, 120, 50)] if 12 <= n < 36 else []
        return others if 20 <= n < 30 else [*others, (0, 50, 50)]

    track = _track(World(60, people))
    assert np.abs(_place(track)[track.found] - 50).max() < 0.01
    assert {track.reasons[number] for number in range(20, 30)} == {STRANGER}
    assert track.usable[30:].all()


def test_a_cut_to_somebody_else_is_told_and_the_person_comes_back():
    track = _track(World(60, lambda n: [(1, 80, 50)] if 20 <= n < 35 else [(0, 50, 50)], scenes=(20, 35)))
    assert [number for number in range(60) if track.reasons[number] == STRANGER] == list(range(20, 35))
    assert track.usable.sum() == 45


def test_the_person_seen_longest_is_the_one_to_track():
    track = _track(World(60, lambda n: [(1, 80, 50)] if n < 10 else [(0, 50, 50)], scenes=(10,)))
    assert set(track.reasons[:10]) == {STRANGER}
    assert track.usable[10:].all()


def test_a_face_that_leaves_the_picture_is_dropped_while_it_is_cut_off():
    def people(n):
        return [(0, min(100 + 2.0 * n, 230 - n), 50)]

    track = _track(World(150, people))
    middle = np.array([people(number)[0][1] for number in range(150)])
    assert track.usable[middle < WIDTH - SIDE / 2].all()
    assert not track.usable[middle > WIDTH].any()
    assert set(track.reasons) == {"", NO_FACE, OUTSIDE}


@pytest.mark.parametrize(
    ("count", "people", "words"),
    [
        (1, lambda n: [(0, 40, 50)], "single still picture"),
        (3, lambda n: [(0, 40, 50)], "3 frames"),
        (30, lambda n: [], "no face was found"),
        (30, lambda n: [(0, 40, 50)] if n < 12 else [], "12 of 30 frames"),
        (30, lambda n: [(0, 30, 50), (1, 120, 50)], "two faces throughout"),
    ],
)
def test_clips_that_cannot_be_used(count, people, words):
    with pytest.raises(UserError, match=words) as caught:
        _track(World(count, people))
    assert "\n" not in str(caught.value)


def test_a_photo_as_a_video_is_told():
    with pytest.raises(UserError, match="still picture"):
        _track(World(30, lambda n: [(0, 40, 50)], stills=range(1, 30)))


def test_unsure_landmarks_are_told():
    with pytest.raises(UserError, match="unsure"):
        _track(World(30, lambda n: [(0, 40, 50)], noise=3.0))


def test_a_passing_second_face_is_borne():
    track = _track(World(40, lambda n: [(0, 30, 50), (1, 120, 50)] if n < 8 else [(0, 30, 50)]))
    assert track.usable.all()


def test_the_share_of_frames_is_a_choice():
    world = World(30, lambda n: [(0, 40, 50)] if n < 12 else [])
    assert _track(world, min_share=0.3).found.sum() == 12


def test_a_real_face():
    images = swaying(14)
    frames = [VideoFrame(number, number / 25, image) for number, image in enumerate(images)]
    track = track_face(lambda: frames, FaceLandmarker(networks().face_landmarker))
    assert track.usable.all()
    eyes = np.linalg.norm(track.landmarks[:, 33, :2] - track.landmarks[:, 263, :2], axis=1)
    assert eyes.std() < 0.02 * eyes.mean()
    assert 0 < track.spread.mean() < 0.02 * eyes.mean()
    assert len(track.skin) > 100


def test_two_real_faces():
    pair = np.hstack([portrait(), portrait()[:, ::-1]])
    frames = [VideoFrame(number, number / 25, np.roll(pair, number, axis=1)) for number in range(11)]
    with pytest.raises(UserError, match="two faces"):
        track_face(lambda: frames, FaceLandmarker(networks().face_landmarker))
