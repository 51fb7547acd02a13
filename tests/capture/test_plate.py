from __future__ import annotations

import cv2
import numpy as np

from nerface.capture.plate import MAX_FRAMES, PlateBuilder, filled


def _scene(height=48, width=64):
    grid = np.indices((height, width)).sum(axis=0)
    return np.stack([grid * 2, 200 - grid, (grid * 3) % 256], axis=-1).astype(np.uint8)


def _disc(centre, radius=8, height=48, width=64):
    return cv2.circle(np.zeros((height, width), np.float32), centre, radius, 1.0, -1)


def test_a_moving_person_uncovers_the_scene():
    scene = _scene()
    centres = [(16 + n, 24) for n in range(30)]
    builder = PlateBuilder(48, 64, len(centres))
    covered = np.ones((48, 64), bool)
    for centre in centres:
        mask = _disc(centre)
        image = scene.copy()
        image[mask > 0] = (255, 0, 255)
        builder.add(image, mask)
        covered &= mask > 0
    plate = builder.finish()
    assert not covered.any()
    assert not plate.unseen.any()
    assert plate.seen_share == 1
    np.testing.assert_array_equal(plate.image, scene)


def test_what_is_always_covered_is_marked_and_filled_smoothly():
    scene = np.full((48, 64, 3), 90, np.uint8)
    builder = PlateBuilder(48, 64, 12)
    for _ in range(12):
        image = scene.copy()
        image[_disc((32, 24)) > 0] = 255
        builder.add(image, _disc((32, 24)))
    plate = builder.finish()
    assert plate.unseen[24, 32]
    assert not plate.unseen[4, 4]
    assert (plate.unseen >= (_disc((32, 24)) > 0)).all()
    assert np.abs(plate.image.astype(int) - 90).max() <= 1
    assert 0.5 < plate.seen_share < 0.95


def test_outliers_do_not_reach_the_median():
    scene = _scene()
    builder = PlateBuilder(48, 64, 21)
    for number in range(21):
        image = np.full_like(scene, 255) if number % 3 == 0 else scene
        builder.add(image, np.zeros((48, 64), np.float32))
    np.testing.assert_array_equal(builder.finish().image, scene)


def test_a_sight_outside_the_chosen_frames_still_counts():
    frames = 10 * MAX_FRAMES
    scene = _scene(12, 16)
    builder = PlateBuilder(12, 16, frames)
    rare = next(n for n in range(frames) if n not in builder._chosen)
    person = np.ones((12, 16), np.float32)
    for number in range(frames):
        builder.add(scene, np.zeros_like(person) if number == rare else person)
    plate = builder.finish()
    assert not plate.unseen.any()
    np.testing.assert_array_equal(plate.image, scene)
    assert len(builder._images) <= MAX_FRAMES


def test_fill_continues_a_gradient_and_bears_extremes():
    ramp = np.linspace(0, 255, 64).astype(np.uint8)[None, :, None].repeat(48, 0).repeat(3, 2)
    unknown = _disc((32, 24), 10) > 0
    error = np.abs(filled(ramp, unknown).astype(int) - ramp)[unknown]
    assert error.mean() < 25
    np.testing.assert_array_equal(filled(ramp, np.zeros((48, 64), bool)), ramp)
    assert (filled(ramp, np.ones((48, 64), bool)) == 127).all()
