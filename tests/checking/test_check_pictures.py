"""Faults that show in the pictures: leaks, repetitions, the plate, transparency, masks."""

from __future__ import annotations

import shutil

import cv2
import numpy as np

from nerface.checking.check import check_dataset
from tests.checking.spoil import TRAIN, edit, in_frame, picture, save_plate, wrong
from tests.data.make import write_tiny_dataset


def test_a_training_picture_among_the_test_pictures(clean):
    shutil.copy(picture(clean, "train", 5), picture(clean, "test", 2))
    said = wrong(clean)["error", "leaks"]
    assert "train frame 5" in said
    assert "test frame 2" in said


def test_a_frame_of_the_video_in_two_splits(clean):
    edit(clean, in_frame(3, source_frame=10), ("test",))
    assert "1 frames of the video are in two splits: 10" in wrong(clean)["error", "leaks"]


def test_test_frames_between_training_frames(clean):
    def every_fifth(meta):
        for row, frame in enumerate(meta["frames"]):
            frame["source_frame"], frame["timestamp"] = 5 * row + 1000, float(5 * row + 1000)

    def the_others(meta):
        for row, frame in enumerate(meta["frames"]):
            frame["source_frame"] = row + row // 4 + 1 + 1000
            frame["timestamp"] = float(frame["source_frame"])

    edit(clean, every_fifth, ("test",))
    edit(clean, the_others, TRAIN)
    assert "stand right beside training frames" in wrong(clean)["warning", "leaks"]


def test_repeated_and_missing_frames(clean):
    for row in (11, 12, 13):
        shutil.copy(picture(clean, "train", 10), picture(clean, "train", row))
    assert "3 of 48 pictures of train repeat" in wrong(clean)["warning", "sequence"]

    def gap(meta):
        meta["frames"] = meta["frames"][:10] + meta["frames"][20:]

    edit(clean, gap, TRAIN)
    np.save(clean / "index_map.npy", np.stack([np.arange(38), np.arange(38)], 1))
    assert "10 frames from 0 to 59 are in no split" in wrong(clean)["warning", "sequence"]


def test_a_plate_of_another_scene_of_another_exposure_and_none(clean):
    plate = cv2.imread(str(clean / "bg" / "00050.png"))
    save_plate(clean, 255 - plate)
    assert "differ from bg/00050.png by" in wrong(clean)["error", "background"]
    save_plate(clean, np.clip(plate.astype(int) + 18, 0, 255).astype(np.uint8))
    assert "differ from bg/00050.png by 18 of 255" in wrong(clean)["warning", "background"]
    (clean / "bg" / "00050.png").unlink()
    assert "bg/00050.png is missing" in wrong(clean)["warning", "background"]


def test_a_plate_with_the_person_on_it(clean):
    frames = [cv2.imread(str(picture(clean, "train", row))) for row in range(48)]
    save_plate(clean, np.median(frames, axis=0).astype(np.uint8))
    assert "the person seems to be on it" in wrong(clean)["warning", "background"]


def test_one_frame_before_another_scene(clean):
    odd = picture(clean, "train", 47)
    cv2.imwrite(str(odd), 255 - cv2.imread(str(odd)))
    assert "train frame 47" in wrong(clean)["warning", "background"]


def test_forms_of_pictures(clean):
    paths = sorted((clean / "train").iterdir())
    for path in paths:
        pixels = cv2.imread(str(path))
        cv2.imwrite(str(path), np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]))
    report = check_dataset(clean)
    assert report.errors == report.warnings == 0
    (form,) = (one.what for one in report.findings if one.check == "pictures")
    assert "not square" in form
    assert "transparent" in form

    for path in paths:
        cv2.imwrite(str(path), np.dstack([cv2.imread(str(path)), np.full(pixels.shape[:2], 120, np.uint8)]))
    assert "half-transparent" in wrong(clean)["warning", "pictures"]
    cv2.imwrite(str(paths[0]), np.zeros_like(pixels))
    assert "are black: train frame 0" in wrong(clean)["error", "pictures"]


def test_masks_that_say_nothing(tmp_path):
    folder = write_tiny_dataset(tmp_path / "person", frames=60, size=(64, 48))
    for path in (folder / "masks" / "train").iterdir():
        cv2.imwrite(str(path), np.zeros((48, 64), np.uint8))
    assert "do not hold the head" in wrong(folder)["warning", "masks"]


def test_few_frames_and_nothing_held_out(clean):
    edit(clean, lambda meta: meta.update(frames=meta["frames"][:8]), TRAIN)
    edit(clean, lambda meta: meta.update(frames=[]), ("test",))
    report = check_dataset(clean)
    said = [one.what for one in report.findings if one.check == "pictures"]
    assert "only 8 training frames" in said
    assert "the test split is empty" in said


def test_pictures_that_have_nothing_to_do_with_the_poses(clean):
    """Boxes and poses agree, since both are in the JSON; only the pictures can tell."""

    def shuffled(meta):
        names = [frame["file_path"] for frame in meta["frames"]]
        order = np.random.default_rng(1).permutation(len(names))
        for frame, place in zip(meta["frames"], order):
            frame["file_path"] = names[place]

    edit(clean, shuffled, TRAIN)
    assert "the pictures do not follow the poses" in wrong(clean)["warning", "signs"]


def test_transparent_pictures_without_a_plate_are_looked_at(clean):
    for split in ("train", "val", "test"):
        for file in (clean / split).glob("*.png"):
            pixels = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2BGRA)
            pixels[:4, :, 3] = 0
            cv2.imwrite(str(file), pixels)
    (clean / "bg" / "00050.png").unlink()
    said = wrong(clean)
    assert "transparent pictures without a plate" in said["warning", "layout"]
    assert ("error", "layout") not in said
