from __future__ import annotations

import cv2
import numpy as np
import pytest

from nerface.capture.likeness import ALBUM_SIZE, STRANGER, Album, Look, look_of


def _patch(person: int) -> np.ndarray:
    """As much contrast and as little colour as faces have."""
    random = np.random.default_rng(person)
    coarse = random.integers(30, 200, (7, 7, 1)) + random.integers(0, 35, (7, 7, 3))
    coarse = coarse.astype(np.uint8)
    return cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_CUBIC)


def test_the_same_face_differs_by_nothing_and_another_by_much():
    album = Album()
    album.add(look_of(_patch(0)))
    assert album.difference(look_of(_patch(0))) == pytest.approx(0.0, abs=1e-3)
    assert album.difference(look_of(_patch(1))) > STRANGER


def test_exposure_and_a_little_motion_do_not_make_a_stranger():
    album = Album()
    album.add(look_of(_patch(0)))
    darker = (_patch(0) * 0.7).astype(np.uint8)
    moved = np.roll(_patch(0), (6, -6), axis=(0, 1))
    assert album.difference(look_of(darker)) < 0.6
    assert album.difference(look_of(moved)) < 0.6


def test_an_empty_album_knows_nobody():
    assert Album().difference(look_of(_patch(0))) == float("inf")


def test_an_album_keeps_new_looks_of_its_own_person_only():
    album = Album()
    album.add(look_of(_patch(0)))
    album.add(look_of(_patch(0)))
    album.add(look_of(_patch(1)))
    assert len(album) == 1


def test_an_album_follows_a_face_that_changes_slowly_and_stays_small():
    album = Album()
    ends = np.random.default_rng(0).normal(size=(30, 576))
    for step in range(1000):  # from one look to the next, in small steps
        part, share = divmod(step, 40)
        grey = (1 - share / 40) * ends[part] + share / 40 * ends[part + 1]
        grey = (grey - grey.mean()) / grey.std()
        album.add(Look(grey.astype(np.float32), np.zeros(128, np.float32)))
    assert len(album) == ALBUM_SIZE
