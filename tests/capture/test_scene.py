from __future__ import annotations

import cv2
import numpy as np
import pytest

from nerface.capture.camera_motion import put_back, steadied_points, turned
from nerface.capture.scene import ScenePass
from nerface.capture.scene_look import SceneFrame, SceneLook
from nerface.capture.video_colour import on_backdrop
from tests.capture.scenes import PERSON, ColourMatte, camera, room, swaying_person, with_person


def _look_and_pass(images, alpha=None, train=None, steady=False, segments=None):
    frames = [
        SceneFrame(
            number=number,
            image=image,
            train=train is None or number in train,
            alpha=None if alpha is None else alpha[number],
            segment=0 if segments is None else segments[number],
        )
        for number, image in enumerate(images)
    ]
    matte, inner = ColourMatte(), camera(images[0])
    look = SceneLook(len(frames), list(range(len(frames))) if train is None else train, inner, matte)
    for frame in frames:
        if look.wants(frame.number):
            look.add(frame)
    known = look.finish()
    second = ScenePass(known, matte, steady)
    return list(second.pictures(iter(frames))), second.finish()


def _levels(scene):
    return {finding.level for finding in scene.findings}


def test_a_still_scene_is_green_and_its_plate_is_the_room():
    images = swaying_person(room(), 20)
    pictures, scene = _look_and_pass(images)
    assert [picture.number for picture in pictures] == list(range(20))
    assert all((picture.image == image).all() for picture, image in zip(pictures, images))
    truth = with_person(room(), (128, 106))[1]
    assert np.abs(pictures[0].mask - truth).mean() < 0.004
    assert scene.kind == "scene"
    assert np.abs(scene.plate.image.astype(int) - room())[~scene.plate.unseen].max() <= 1
    np.testing.assert_allclose(scene.exposure.gains, 1, atol=0.003)
    assert not scene.motion.moves
    assert _levels(scene) == {"green"}


def test_exposure_that_changes_is_measured_told_and_kept_out_of_the_plate():
    gains = 1 + 0.2 * np.sin(np.linspace(0, 6, 40))
    images = swaying_person(room(), 40)
    lit = [(image * gain).round().clip(0, 255).astype(np.uint8) for image, gain in zip(images, gains)]
    _, scene = _look_and_pass(lit)
    relative = scene.exposure.gains[:, 1] / gains
    assert np.abs(relative / np.median(relative) - 1).max() < 0.01
    seen = ~scene.plate.unseen
    assert np.abs(scene.plate.image[seen] / np.median(gains) - room()[seen]).mean() < 2
    told = next(finding for finding in scene.findings if "brightness" in finding.what)
    assert told.level == "red"
    assert "lock exposure" in told.advice


def _drifting(steady):
    scene = room(240, 320)
    inner = camera(scene)
    turns = np.radians(np.stack([np.zeros(30), np.linspace(-1.2, 1.2, 30), np.zeros(30)], axis=1))
    images = [
        with_person(turned(scene, turn, inner), (160 + round(20 * np.sin(number / 3)), 130), 40)[0]
        for number, turn in enumerate(turns)
    ]
    return (*_look_and_pass(images, steady=steady), turns)


def test_a_drifting_camera_is_told_with_its_figures_and_the_plate_stays_sharp():
    pictures, scene, turns = _drifting(steady=False)
    found = scene.motion.rotation[:, 1] - scene.motion.rotation[15, 1]
    assert np.degrees(np.abs(found - (turns[:, 1] - turns[15, 1])).max()) < 0.03
    told = next(finding for finding in scene.findings if "camera moves" in finding.what)
    assert told.level == "red"
    assert "on a stand" in told.advice
    middle = turned(room(240, 320), turns[15], camera(room(240, 320)))
    inner = np.s_[10:-10, 20:-20]
    seen = ~scene.plate.unseen[inner]
    assert np.abs(scene.plate.image.astype(int) - middle)[inner][seen].mean() < 2.5
    truth = with_person(room(240, 320), (160 + round(20 * np.sin(29 / 3)), 130), 40)[1]
    assert np.abs(pictures[29].mask - truth).mean() < 0.006


def test_a_drifting_camera_can_be_taken_out_of_the_pictures():
    pictures, scene, _ = _drifting(steady=True)
    away = cv2.circle(np.ones((240, 320), np.uint8), (160, 130), 75, 0, -1) > 0
    away[:, :20] = away[:, -20:] = False
    first, last = (pictures[place].image.astype(int) for place in (0, -1))
    assert np.abs(first - last)[away].mean() < 2
    told = next(finding for finding in scene.findings if "camera moves" in finding.what)
    assert scene.steadied
    assert told.level == "yellow"
    assert told.advice == "put the phone on a stand; small camera motion was taken out"
    assert "of the picture's longer side" in told.what


def test_poses_can_follow_exactly_what_was_done_to_each_picture():
    random = np.random.default_rng(0)
    scene = room(240, 320)
    inner = camera(scene)
    turns = np.radians(np.stack([np.zeros(30), np.linspace(-1.2, 1.2, 30), np.zeros(30)], axis=1))
    turns += np.radians(random.normal(0, 0.3, turns.shape))
    centres = [(160 + round(20 * np.sin(number / 3)), 130) for number in range(30)]
    blind = (8, 13, 14, 22)  # nothing of the backdrop is seen, and the first look passes these frames by
    images = []
    for number, (turn, centre) in enumerate(zip(turns, centres)):
        backdrop = np.full_like(scene, 90) if number in blind else turned(scene, turn, inner)
        images.append(with_person(backdrop, centre, 40)[0])
    pictures, found = _look_and_pass(images, train=list(range(0, 30, 3)), steady=True)
    assert found.steadied
    assert np.flatnonzero(~found.motion.measured).tolist() == list(blind)
    # The motion over time, interpolated, is not what was done to the frames that could not be measured.
    apart = np.abs(found.motion.rotation - found.applied).max(axis=1)
    assert apart[list(blind)].max() > np.radians(0.1)
    assert np.delete(apart, blind).max() == 0
    where = steadied_points(np.array(centres, dtype=np.float64)[:, None], found.applied, inner)[:, 0]
    for picture, image, rotation, place in zip(pictures, images, found.applied, where):
        np.testing.assert_array_equal(picture.image, put_back(image, rotation, inner))
        person = (np.abs(picture.image.astype(int) - PERSON) < 40).all(axis=2)
        np.testing.assert_allclose(np.argwhere(person).mean(axis=0)[::-1], place, atol=0.3)


def test_nothing_was_applied_to_pictures_that_are_left_as_they_are():
    assert not _drifting(steady=False)[1].applied.any()
    assert _look_and_pass(swaying_person(room(), 6), steady=True)[1].applied.shape == (6, 3)


def test_frames_that_are_held_out_do_not_enter_the_plate():
    images = swaying_person(room(), 20)
    spoilt = [image if number < 15 else np.full_like(image, 60) for number, image in enumerate(images)]
    _, scene = _look_and_pass(spoilt, train=list(range(15)))
    assert np.abs(scene.plate.image.astype(int) - room())[~scene.plate.unseen].max() <= 1


def test_a_thing_that_moves_behind_the_person_is_told():
    images = swaying_person(room(), 24)
    for number, image in enumerate(images):
        image[20:80, 10 + 4 * (number % 12) : 40 + 4 * (number % 12)] = (30, 60, 90)
    _, scene = _look_and_pass(images)
    assert any("of the background moves" in finding.what and finding.level != "green" for finding in scene.findings)


def test_light_that_moves_is_told():
    across = np.linspace(-0.5, 0.5, 256)[None, :, None]
    images = swaying_person(room(), 24)
    lit = [(image * (1 + 0.3 * np.sin(n / 4) * across)).clip(0, 255).astype(np.uint8) for n, image in enumerate(images)]
    _, scene = _look_and_pass(lit)
    told = next(finding for finding in scene.findings if "the light moves" in finding.what)
    assert told.level == "red"


def test_a_second_person_is_left_out_and_told():
    images = [with_person(image, (230, 150), 18)[0] for image in swaying_person(room(), 20)]
    pictures, scene = _look_and_pass(images)
    assert max(picture.mask[140:160, 225:235].max() for picture in pictures) == 0
    assert any("another person" in finding.what for finding in scene.findings)


def test_masks_and_exposure_keep_to_their_segment():
    images = [with_person(room(), (90, 100))[0]] * 8
    images += [(0.8 * with_person(room(), (110, 100))[0]).round().astype(np.uint8)] * 8
    cut = [0] * 8 + [1] * 8
    pictures, scene = _look_and_pass(images, segments=cut)
    assert [picture.number for picture in pictures] == list(range(16))
    np.testing.assert_array_equal(pictures[7].mask, pictures[0].mask)
    np.testing.assert_array_equal(pictures[8].mask, pictures[15].mask)
    light = scene.exposure.gains[:, 1]
    np.testing.assert_allclose(light[8:] / light[0], 0.8, rtol=0.005)
    np.testing.assert_allclose(light[:8], light[0], rtol=1e-6)


def test_the_files_own_transparency_is_the_mask():
    images, masks = zip(*(with_person(room(), (100 + n, 90)) for n in range(6)))
    alpha = [(mask * 255).round().astype(np.uint8) for mask in masks]
    images = [on_backdrop(image, own, multiplied=False) for image, own in zip(images, alpha)]
    pictures, scene = _look_and_pass(images, alpha)
    assert scene.kind == "alpha"
    assert (scene.plate.image == 255).all()
    assert not scene.plate.unseen.any()
    for picture, own in zip(pictures, alpha):
        np.testing.assert_allclose(picture.mask, own / 255, atol=1e-6)
        assert (picture.image[own == 0] == 255).all()
    assert _levels(scene) == {"green"}
    assert (scene.exposure.gains == 1).all()


def test_a_half_covered_pixel_is_half_the_person_and_half_the_plate():
    alpha = np.zeros((96, 128), np.uint8)
    alpha[20:, 40:90], alpha[50, 60] = 255, 128
    image = on_backdrop(np.full((96, 128, 3), 200, np.uint8), alpha, multiplied=False)
    pictures, scene = _look_and_pass([image] * 3, [alpha] * 3)
    assert scene.kind == "alpha"
    for picture in pictures:  # 200 * 128 / 255 + 255 * 127 / 255
        assert np.abs(picture.image[50, 60].astype(int) - 227).max() <= 1
        assert (picture.image[60, 60] == 200).all()


def test_opaque_transparency_is_no_mask():
    images = swaying_person(room(), 6)
    opaque = [np.full(image.shape[:2], 255, np.uint8) for image in images]
    assert _look_and_pass(images, opaque)[1].kind == "scene"


def test_a_plain_wall_is_known_everywhere():
    wall = np.full((192, 256, 3), (150, 170, 160), np.uint8)
    pictures, scene = _look_and_pass([with_person(wall, (128, 100))[0] for _ in range(8)])
    assert scene.kind == "plain"
    assert not scene.plate.unseen.any()
    assert np.abs(scene.plate.image.astype(int) - wall).max() <= 2
    assert np.abs(pictures[3].mask - with_person(wall, (128, 100))[1]).mean() < 0.004


def test_figures_hold_numbers_and_findings_only():
    figures = _look_and_pass(swaying_person(room(), 6))[1].figures()
    assert figures["kind"] == "scene"
    assert 0 < figures["seen_share"] < 1
    assert all(set(finding) == {"level", "what", "advice"} for finding in figures["findings"])
    assert all(value is None or np.isfinite(value) for value in figures.values() if isinstance(value, float))


@pytest.mark.parametrize(("level", "words"), [(252, "overexposed"), (8, "too little of the background")])
def test_what_was_not_measured_is_told_with_its_cause_and_without_figures(level, words):
    _, scene = _look_and_pass(swaying_person(np.full((212, 256, 3), level, np.uint8), 20))
    assert not scene.exposure.measured.any()
    told = next(finding for finding in scene.findings if words in finding.what)
    assert told.level == ("yellow" if words == "overexposed" else "red")
    assert not any("brightness varies" in finding.what for finding in scene.findings)
