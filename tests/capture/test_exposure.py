from __future__ import annotations

import numpy as np
import pytest

from nerface.capture.exposure import (
    Gain,
    balance,
    divided,
    exposure_over_time,
    glance,
    measure,
)
from tests.capture.scenes import room, swaying_person


def _gains(frames):
    time = np.linspace(0, 1, frames)
    light = 1 + 0.15 * np.sin(5 * time)
    return np.stack([light * (1 + 0.08 * time), light, light * (1 - 0.06 * time)], axis=1)


def _lit(image, gain):
    return (image * gain).round().clip(0, 255).astype(np.uint8)


def _person(image):
    return (np.abs(image.astype(int) - room()) > 12).any(axis=2)


def test_known_gains_and_white_balance_are_recovered_within_one_percent():
    images = swaying_person(room(), 40)
    hidden = [_person(image) for image in images]
    true = _gains(40)
    seen = [glance(_lit(image, gain), person) for image, gain, person in zip(images, true, hidden)]
    reference, known, gains = balance(seen)
    assert np.abs(gains / (true / np.median(true, axis=0)) - 1).max() < 0.01
    measured = [measure(one, reference, known) for one in seen]
    smooth = exposure_over_time(measured)
    assert smooth.measured.all()
    assert np.abs(smooth.gains / (true / np.median(true, axis=0)) - 1).max() < 0.01
    assert np.nanmax(smooth.errors) < 0.01


def test_a_passer_by_does_not_change_the_gain():
    scene = room()
    reference = glance(scene, np.zeros(scene.shape[:2], bool))
    changed = _lit(scene, np.array([1.1, 1.0, 0.9]))
    changed[:, :70] = 190
    gain = measure(glance(changed, np.zeros(scene.shape[:2], bool)), reference.colours, reference.background)
    np.testing.assert_allclose(gain.value, [1.1, 1.0, 0.9], rtol=0.01)


def test_clipped_and_hidden_cells_are_left_out():
    scene = room()
    scene[:40] = 255
    hidden = np.zeros(scene.shape[:2], bool)
    hidden[:, :100] = True
    background = glance(scene, hidden).background
    assert not background[:12].any()
    assert not background[:, :24].any()
    assert background[20:, 30:].all()


def test_too_little_background_is_no_measurement():
    scene = room()
    whole = glance(scene, np.zeros(scene.shape[:2], bool))
    assert np.isnan(measure(glance(scene, np.ones(scene.shape[:2], bool)), whole.colours, whole.background).value).all()


def test_missing_frames_are_interpolated_and_steps_kept():
    values = np.where(np.arange(60) < 30, 1.0, 1.2)
    measured = [Gain(np.full(3, value), 0.001) for value in values]
    for frame in range(10, 16):
        measured[frame] = Gain(np.full(3, np.nan), float("nan"))
    exposure = exposure_over_time(measured)
    np.testing.assert_allclose(exposure.gains[:, 0], values, atol=2e-3)
    assert exposure.measured.sum() == 54
    assert np.isnan(exposure.errors[12])


def test_nothing_is_smoothed_across_a_cut():
    random = np.random.default_rng(0)
    levels = np.repeat([1.0, 1.3, 0.8], [40, 40, 4])
    values = levels[:, None] * np.exp(random.normal(0, 0.002, (84, 3)))
    values[38:42] = values[80:] = np.nan  # at the cut, and a whole segment
    measured = [Gain(row, 0.002 if np.isfinite(row).all() else float("nan")) for row in values]
    exposure = exposure_over_time(measured, np.repeat([0, 3, 4], [40, 40, 4]))
    np.testing.assert_allclose(exposure.gains[:40], 1.0, rtol=0.005)
    np.testing.assert_allclose(exposure.gains[40:80], 1.3, rtol=0.005)
    np.testing.assert_allclose(exposure.gains[80:], exposure.gains[79:80].repeat(4, axis=0))
    # One segment alone comes out as it does within the clip, but for the variance that all share.
    alone = exposure_over_time(measured[:40])
    np.testing.assert_allclose(exposure.gains[:40], alone.gains, rtol=0.005)


def test_noise_is_smoothed_where_the_camera_holds_its_gain():
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.01, (200, 3))
    exposure = exposure_over_time([Gain(1 + row, 0.01) for row in noise])
    assert exposure.gains.std() < 0.35 * noise.std()


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_measured_means_gain_one(count):
    exposure = exposure_over_time([Gain(np.full(3, np.nan), float("nan"))] * count)
    assert exposure.gains.shape == (count, 3)
    assert (exposure.gains == 1).all()
    assert not exposure.measured.any()


def test_division_by_the_gain_brings_the_plate_back():
    scene = room()
    gain = np.array([1.2, 1.0, 0.85])
    assert np.abs(divided(_lit(scene, gain), gain).astype(int) - scene).max() <= 1
    assert divided(scene, np.full(3, 1.0001)) is scene
