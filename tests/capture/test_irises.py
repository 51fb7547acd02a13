"""Irises found in drawn eyes: places to a part of a pixel, half hidden ones too, and what cannot be seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from nerface.capture.eye_landmarks import EYES
from nerface.capture.irises import SETTLE_EYES, IrisReader

EYES_PX = 180.0  # between the outer corners
RADIUS = 12.0
CENTRES = np.array([[222.0, 110.0], [98.0, 110.0]])  # left, then right: of the subject
HALF_WIDTH, HALF_HEIGHT = 28.0, 11.0


def _face(off: np.ndarray, half_height: float = HALF_HEIGHT, shade: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A picture [220, 320, 3] of two eyes whose irises lie `off` [2] px from the middle, and landmarks [478, 3].

    Drawn four times larger and averaged. The landmarks keep to the middle up and down, as the network's do.
    """
    z = 4
    image = np.full((220 * z, 320 * z, 3), (190, 140, 120), np.uint8)
    landmarks = np.zeros((478, 3), np.float32)
    for eye, centre in zip(EYES, CENTRES):
        angle = np.linspace(0, 2 * np.pi, len(eye.outline), endpoint=False)
        if eye.temporal < 0:
            angle = np.pi - angle
        outline = centre + np.stack([HALF_WIDTH * np.cos(angle), -half_height * np.sin(angle)], axis=1)
        lids = np.zeros(image.shape[:2], np.uint8)
        cv2.fillPoly(lids, [np.round((outline + 0.5) * z).astype(np.int32)], 255)
        white = np.linspace(230 * (1 - shade), 230, 320 * z)[None, :, None].repeat(220 * z, axis=0)
        image[lids > 0] = white.repeat(3, axis=2)[lids > 0].astype(np.uint8)
        disc = np.zeros_like(lids)
        cv2.circle(disc, tuple(np.round((centre + off + 0.5) * z).astype(int).tolist()), int(RADIUS * z), 255, -1)
        image[(lids > 0) & (disc > 0)] = (60, 50, 45)
        landmarks[list(eye.outline), :2] = outline
        landmarks[eye.outer, :2] = centre + np.array([eye.temporal * HALF_WIDTH, 0])
        landmarks[eye.inner, :2] = centre - np.array([eye.temporal * HALF_WIDTH, 0])
        landmarks[eye.iris, :2] = centre + np.array([0.9, 0.2]) * off
    small = cv2.resize(image, (320, 220), interpolation=cv2.INTER_AREA)
    return small, landmarks


def _read(offs, **drawn):
    reader = IrisReader()
    for off in offs:
        reader.add(*_face(np.asarray(off, float), **drawn))
    return reader.finish()


@pytest.mark.parametrize("shade", [0.0, 0.4])
def test_irises_are_found_where_they_are_drawn(shade):
    """Where the lids hide much of the disc as well: 8 px down leaves a cap of it."""
    offs = np.array([[0, 0], [7, 0], [-8, 2], [3, -6], [0, 6], [-4, 8], [2.5, 3.25]], float)
    found = _read(offs, shade=shade)
    away = found.places - (CENTRES[None] + offs[:, None])
    assert np.abs(away[:, :, 0]).max() < 0.5
    assert np.abs(away[:, :, 1]).max() < 1.5
    assert np.abs(away).mean() < 0.4
    assert (found.sure > 0.9).all()


def test_up_and_down_is_measured_not_taken_from_the_landmark():
    offs = np.stack([np.zeros(9), np.linspace(-6, 6, 9)], axis=1)
    found = _read(offs).places[:, :, 1] - CENTRES[None, :, 1]
    for eye in range(2):
        assert np.polyfit(offs[:, 1], found[:, eye], 1)[0] == pytest.approx(1.0, abs=0.15)


def test_closed_eyes_are_not_seen():
    reader = IrisReader()
    open_face, shut_face = _face(np.zeros(2)), _face(np.zeros(2), half_height=1.0)
    for face in (open_face, shut_face, open_face):
        reader.add(*face)
    found = reader.finish()
    assert (found.sure[1] < 0.2).all()
    assert (found.sure[[0, 2]] > 0.9).all()


def test_eyes_outside_the_picture_without_contrast_or_too_small():
    image, landmarks = _face(np.zeros(2))
    outside = landmarks + np.float32([2000, 0, 0])
    grey, tiny, broken = np.full_like(image, 128), landmarks * 0.1, np.full_like(landmarks, np.nan)
    reader = IrisReader()
    for picture, points in ((image, outside), (grey, landmarks), (image, tiny), (image, broken)):
        reader.add(picture, points)
    found = reader.finish()
    np.testing.assert_array_equal(found.sure, 0)
    np.testing.assert_allclose(found.places[1], landmarks[[eye.iris for eye in EYES], :2])


def test_a_long_clip_keeps_few_patches():
    reader, face = IrisReader(), _face(np.array([2.0, 1.0]))
    for _ in range(SETTLE_EYES + 10):
        reader.add(*face)
    assert len(reader._waiting) == 0
    found = reader.finish()
    assert found.places.shape == (SETTLE_EYES + 10, 2, 2)
    np.testing.assert_allclose(found.places[0], found.places[-1])


def test_no_frames_are_no_irises():
    found = IrisReader().finish()
    assert found.places.shape == (0, 2, 2)
    assert found.sure.shape == (0, 2)
