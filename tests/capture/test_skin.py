"""Spots on the skin: known motions followed, cuts kept, and nothing followed where nothing rigid is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from nerface.capture.skin import MAX_ALIVE, MIN_LENGTH, SkinTracker, SkinTracks, _View
from nerface.capture.skin_region import _EYES, _MOUTH, _OVAL, head_frame, region_mask

SIDE, WIDTH = 300, 120.0  # of the picture and of the face, px


def face_landmarks(middle: tuple[float, float] = (150.0, 160.0), width: float = WIDTH) -> np.ndarray:
    """478 landmarks of a plain face seen from the front, px: outline, eyes, mouth; the rest in the middle."""
    landmarks = np.zeros((478, 3))
    angle = np.linspace(0, 2 * np.pi, len(_OVAL), endpoint=False)  # from the top of the forehead, to the right
    ring = np.stack([0.5 * np.sin(angle), -0.1 - 0.58 * np.cos(angle), np.zeros(len(angle))], axis=1)
    landmarks[list(_OVAL)] = ring
    landmarks[[234, 454]] = [[-0.5, 0, 0], [0.5, 0, 0]]
    landmarks[1] = [0, 0.05, -0.5]
    for indices, x in zip(_EYES, (-0.2, 0.2)):
        turn = np.linspace(0, 2 * np.pi, len(indices), endpoint=False)
        landmarks[list(indices)] = np.stack([x + 0.08 * np.cos(turn), -0.1 + 0.03 * np.sin(turn), 0 * turn], axis=1)
    turn = np.linspace(0, 2 * np.pi, len(_MOUTH), endpoint=False)
    landmarks[list(_MOUTH)] = np.stack([0.25 * np.sin(turn), 0.33 - 0.16 * np.cos(turn), 0 * turn], axis=1)
    return landmarks * width + [*middle, 0.0]


def texture(side: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5 * side / SIDE)
    grey = np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


@dataclass(frozen=True)
class Moved:
    """A picture and its landmarks after a known motion [2, 3]."""

    image: np.ndarray
    landmarks: np.ndarray
    motion: np.ndarray


def moving_face(frames: int, side: int = SIDE) -> list[Moved]:
    picture, scale = texture(side), side / SIDE
    still = face_landmarks((150 * scale, 160 * scale), WIDTH * scale)
    moved = []
    for number in range(frames):
        motion = cv2.getRotationMatrix2D((side / 2, side / 2), 6 * np.sin(0.3 * number), 1 + 0.004 * number)
        motion[:, 2] += scale * np.array([10 * np.sin(0.25 * number), 6 * np.cos(0.2 * number) - 6])
        image = cv2.warpAffine(picture, motion, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        landmarks = still.copy()
        landmarks[:, :2] = still[:, :2] @ motion[:, :2].T + motion[:, 2]
        moved.append(Moved(image, landmarks, motion))
    return moved


def follow(clip: list[Moved], segments: list[int] | None = None, lost: tuple[int, ...] = ()) -> SkinTracks:
    side = len(clip[0].image)
    tracker = SkinTracker((side, side))
    for number, frame in enumerate(clip):
        segment = 0 if segments is None else segments[number]
        tracker.add(number, frame.image, None if number in lost else frame.landmarks, segment)
    return tracker.finish()


def drift(tracks: SkinTracks, clip: list[Moved]) -> np.ndarray:
    """How far each observation is from where the motion took its spot's first one, px."""
    error = np.zeros(len(tracks))
    for number in np.unique(tracks.track):
        rows = np.flatnonzero(tracks.track == number)
        first = clip[tracks.frame[rows[0]]].motion
        home = np.linalg.solve(first[:, :2], tracks.place[rows[0]] - first[:, 2])
        for row in rows:
            motion = clip[tracks.frame[row]].motion
            error[row] = np.linalg.norm(motion[:, :2] @ home + motion[:, 2] - tracks.place[row])
    return error


@pytest.mark.parametrize("side", [SIDE, 4 * SIDE])
def test_a_known_motion_is_followed(side: int) -> None:
    clip = moving_face(20, side)
    tracks = follow(clip)
    alive = np.bincount(tracks.frame, minlength=20)
    assert alive.min() > 80
    assert alive.max() <= MAX_ALIVE
    error = drift(tracks, clip)
    assert np.median(error) < 0.15 * side / SIDE
    assert np.percentile(error, 95) < 0.6 * side / SIDE


def test_the_table_is_sorted_and_without_gaps() -> None:
    tracks = follow(moving_face(12))
    same = tracks.track[1:] == tracks.track[:-1]
    assert (np.diff(tracks.track) >= 0).all()
    assert (np.diff(tracks.frame)[same] == 1).all()
    assert np.unique(tracks.track, return_counts=True)[1].min() >= MIN_LENGTH


def test_no_track_crosses_a_cut_or_a_lost_face() -> None:
    clip = moving_face(24)
    tracks = follow(clip, segments=[0] * 8 + [1] * 16, lost=(16,))
    for number in np.unique(tracks.track):
        frames = tracks.frame[tracks.track == number]
        assert not (frames[0] < 8 <= frames[-1])
        assert not (frames[0] < 16 <= frames[-1])
    assert {0, 8, 17} <= set(tracks.frame.tolist())


def test_only_what_moves_with_the_skull_is_followed() -> None:
    landmarks = face_landmarks()
    mask = region_mask(head_frame(landmarks), landmarks, lambda places: places, SIDE)

    def at(x: float, y: float) -> bool:
        return bool(mask[round(160 + y * WIDTH), round(150 + x * WIDTH)])

    assert at(0.0, -0.45)  # forehead
    assert at(0.0, -0.68)  # hair line, above the landmarks
    assert at(0.0, -0.1)  # bridge of the nose
    assert at(0.53, 0.0)  # ear
    assert at(-0.35, 0.1)  # cheek
    assert not at(-0.2, -0.1)  # eye
    assert not at(0.0, 0.33)  # mouth
    assert not at(0.0, 0.7)  # neck
    assert not at(0.8, -0.3)  # backdrop


def test_the_backdrop_is_not_followed() -> None:
    """A textured backdrop that stays while the face moves leaves no still spots."""
    clip = moving_face(15)
    backdrop = texture(SIDE, 9)
    tracker = SkinTracker((SIDE, SIDE))
    for number, frame in enumerate(clip):
        image = backdrop.copy()
        hull = cv2.convexHull(np.rint(frame.landmarks[list(_OVAL), :2]).astype(np.int32))
        inside = cv2.dilate(cv2.fillConvexPoly(np.zeros((SIDE, SIDE), np.uint8), hull, 1), np.ones((25, 25), np.uint8))
        image[inside > 0] = frame.image[inside > 0]
        tracker.add(number, image, frame.landmarks, 0)
    tracks = tracker.finish()
    assert np.mean(drift(tracks, clip) > 2) < 0.06


def test_a_picture_without_texture_gives_no_tracks() -> None:
    tracker = SkinTracker((SIDE, SIDE))
    for number in range(8):
        tracker.add(number, np.full((SIDE, SIDE, 3), 90, np.uint8), face_landmarks(), 0)
    assert len(tracker.finish()) == 0
    assert len(SkinTracker((SIDE, SIDE)).finish()) == 0


def test_a_face_at_the_edge_or_of_no_size_is_survived() -> None:
    clip = moving_face(8)
    tracker = SkinTracker((SIDE, SIDE))
    for number, frame in enumerate(clip):
        tracker.add(number, frame.image, frame.landmarks + np.array([140.0, -120.0, 0.0]), 0)
    tracker.add(8, clip[0].image, np.zeros((478, 3)), 0)
    tracks = tracker.finish()
    assert (tracks.place >= 0).all()
    assert (tracks.place <= SIDE - 1).all()


def test_the_square_goes_to_its_own_pixels_and_back() -> None:
    view = _View(left=-7, top=12, source_px=60, work_px=20)
    places = np.array([[3.0, 40.0], [11.5, 15.25]])
    np.testing.assert_allclose(view.outward(view.inward(places)), places)
    ramp = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 90, axis=0).repeat(3, axis=2)
    cut = view.cut(ramp)
    assert cut.shape == (20, 20)
    # A pixel of the small square holds the mean of the columns that it covers.
    assert cut[5, 10] == pytest.approx(view.outward(np.array([[10.0, 5.0]]))[0, 0], abs=0.5)
