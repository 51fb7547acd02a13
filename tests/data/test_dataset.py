"""A dataset on disk is read as it stands, and every fault of it is one line that names the place."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from nerface.data import load_dataset
from nerface.errors import UserError
from nerface.types import Intrinsics
from tests.data.make import write_tiny_dataset


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_tiny_dataset(tmp_path / "person")


def edit(folder: Path, split: str, change) -> None:
    file = folder / f"transforms_{split}.json"
    meta = json.loads(file.read_text())
    change(meta)
    file.write_text(json.dumps(meta))


def test_everything_stored_is_read(folder):
    dataset = load_dataset(folder)
    meta = json.loads((folder / "transforms_train.json").read_text())
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 4, "val": 1, "test": 1}
    assert dataset.intrinsics == Intrinsics(32.0, 30.0, 0.48, 0.53, 20, 16)
    assert dataset.expression_names[0] == "jawOpen"
    assert len(dataset.expression_names) == 5
    assert dataset.frame_rate == 25.0
    assert dataset.head_units_per_cm == 0.012
    assert dataset.source["file"] == "made.mp4"
    assert dataset.background.shape == (16, 20, 3)
    assert dataset.background_unseen.any()
    assert dataset.index_map.tolist() == [[0, 0], [1, 1], [2, -1], [3, 2], [4, 3]]
    assert dataset.head_boxes_stored
    np.testing.assert_allclose(dataset.expression_stats.mean, dataset.train.expressions.mean(0), atol=1e-6)
    for row, (frame, stored) in enumerate(zip(dataset.train, meta["frames"])):
        image = cv2.imread(str(folder / f"{stored['file_path']}.png"))[:, :, ::-1]
        mask = cv2.imread(str(folder / stored["mask_path"]), cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(frame.image, image)
        assert np.array_equal(frame.mask, mask)
        assert frame.source_frame == stored["source_frame"]
        assert frame.timestamp == stored["timestamp"]
        assert frame.name == stored["file_path"]
        np.testing.assert_allclose(frame.camera_to_head, stored["transform_matrix"], atol=1e-7)
        np.testing.assert_allclose(frame.head_box, stored["head_box"], atol=1e-7)
        np.testing.assert_allclose(frame.sampling_box, stored["bbox"], atol=1e-7)
        assert np.array_equal(dataset.camera("train", row).camera_to_head.numpy(), frame.camera_to_head)
    assert dataset.splits["test"].sampling_boxes.tolist() == [[0, 1, 0, 1]]
    assert np.array_equal(dataset.train[-1].image, dataset.train[3].image)


def test_the_seeds_own_keys_are_enough(folder):
    ours = ("mask_path", "head_box", "source_frame", "timestamp")

    def strip(meta):
        meta["frames"] = [{key: frame[key] for key in frame if key not in ours} for frame in meta["frames"]]
        for key in set(meta) - {"camera_angle_x", "intrinsics", "frames"}:
            del meta[key]

    for split in ("train", "val", "test"):
        edit(folder, split, strip)
    edit(folder, "train", lambda meta: meta["frames"][2].pop("bbox"))
    shutil.rmtree(folder / "masks")
    (folder / "bg" / "unseen.png").unlink()
    (folder / "index_map.npy").unlink()
    dataset = load_dataset(folder)
    frame = dataset.train[2]
    assert frame.mask is None
    assert frame.source_frame == -1
    assert math.isnan(frame.timestamp)
    assert frame.sampling_box.tolist() == [0, 1, 0, 1]
    assert not dataset.background_unseen.any()
    assert dataset.index_map is None
    assert dataset.frame_rate is None
    assert dataset.expression_names == tuple(f"channel_{k}" for k in range(5))
    np.testing.assert_allclose(dataset.expression_stats.max, dataset.train.expressions.max(0))
    assert not dataset.head_boxes_stored


def test_names_of_padded_channels(folder):
    edit(folder, "train", lambda meta: meta.update(expression_names=["a", "b"]))
    assert load_dataset(folder).expression_names == ("a", "b", "channel_2", "channel_3", "channel_4")


@pytest.mark.parametrize("empty", [None, []])
def test_focal_length_from_the_angle(folder, empty):
    for split in ("train", "val", "test"):
        edit(folder, split, lambda meta: meta.update(intrinsics=empty))
    inner = load_dataset(folder).intrinsics
    assert (inner.cx, inner.cy) == (0.5, 0.5)
    assert inner.fx == inner.fy == pytest.approx(32.0)


def test_negative_fx_gives_the_same_pictures_and_keeps_its_sign(tmp_path):
    plain = load_dataset(write_tiny_dataset(tmp_path / "a"))
    seeds = load_dataset(write_tiny_dataset(tmp_path / "b", fx_sign=-1))
    assert seeds.intrinsics.fx == -plain.intrinsics.fx
    assert np.array_equal(plain.train.images, seeds.train.images)


def test_half_resolution_of_a_picture_that_is_not_square(tmp_path):
    folder = write_tiny_dataset(tmp_path / "person", size=(27, 17))
    full, half = load_dataset(folder), load_dataset(folder, half_res=True)
    assert half.train.images.shape == (4, 8, 13, 3)
    assert half.train.masks.shape == (4, 8, 13)
    assert half.background.shape == (8, 13, 3)
    assert half.background_unseen.shape == (8, 13)
    assert (half.intrinsics.width, half.intrinsics.height) == (13, 8)
    assert half.intrinsics.fx == full.intrinsics.fx / 2
    assert half.intrinsics.cy == full.intrinsics.cy
    even = load_dataset(write_tiny_dataset(tmp_path / "even"), half_res=True)
    full = load_dataset(tmp_path / "even")
    means = full.train.images.reshape(4, 8, 2, 10, 2, 3).mean(axis=(2, 4))
    assert np.abs(even.train.images - means).max() <= 0.5


def test_jpeg_frames(tmp_path):
    jpeg = load_dataset(write_tiny_dataset(tmp_path / "jpg", image_format="jpg", size=(64, 48)))
    png = load_dataset(write_tiny_dataset(tmp_path / "png", size=(64, 48)))
    assert np.abs(jpeg.train.images.astype(int) - png.train.images).mean() < 4


def test_transparent_pictures_lie_over_the_plate(folder):
    path = folder / "train" / "f_0001.png"
    picture = cv2.imread(str(path))
    alpha = np.full(picture.shape[:2], 51, np.uint8)  # one fifth
    cv2.imwrite(str(path), np.dstack([picture, alpha]))
    dataset = load_dataset(folder)
    expected = 0.2 * picture[:, :, ::-1] + 0.8 * dataset.background
    assert np.abs(dataset.train[1].image - expected).max() <= 0.51


def test_every_nth_test_frame(tmp_path):
    folder = write_tiny_dataset(tmp_path / "person", frames=40)
    dataset = load_dataset(folder, test_skip=4)
    assert [int(k) for k in dataset.splits["test"].source_frames] == [34, 38]
    assert len(dataset.train) == 33
    assert len(load_dataset(folder, test_skip=0).splits["test"]) == 6


def test_one_split_alone(folder):
    whole = load_dataset(folder)
    part = load_dataset(folder, splits=("test",))
    assert list(part.splits) == ["test"]
    assert np.array_equal(part.expression_stats.std, whole.expression_stats.std)
    shutil.rmtree(folder / "train")
    (folder / "transforms_train.json").unlink()
    assert len(load_dataset(folder, splits=("test",)).splits["test"]) == 1


def test_no_background(folder):
    (folder / "bg" / "00050.png").unlink()
    with pytest.raises(UserError, match=r"00050\.png is missing"):
        load_dataset(folder)
    assert load_dataset(folder, background_required=False).background is None


def frame_key(row, key, value):
    return lambda meta: meta["frames"][row].update({key: value})


NAN_POSE = [[1.0, 0, 0, 0], [0, math.nan, 0, 0], [0, 0, 1, 0.5], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta: meta.pop("frames"), r"transforms_train\.json has no list under the key 'frames'"),
        (lambda meta: meta.update(frames=[]), r"transforms_train\.json lists no frames"),
        (lambda meta: meta["frames"][1].pop("expression"), r"frame 1 \(./train/f_0001\) has no key 'expression'"),
        (lambda meta: meta["frames"][1].pop("file_path"), r"frame 1 has no text under the key 'file_path'"),
        (frame_key(2, "transform_matrix", NAN_POSE), r"frame 2 .*'transform_matrix' .*not finite"),
        (frame_key(2, "transform_matrix", [[1.0, 0, 0]] * 3), r"frame 2 .*shape \[3, 3\], 4x4"),
        (frame_key(2, "transform_matrix", [[1.0, 0], [0]]), r"frame 2 .*not an array of numbers"),
        (frame_key(3, "expression", [0, 1, math.inf, 0, 0]), r"frame 3 .*'expression' .*not finite"),
        (frame_key(3, "expression", [0, 1]), r"frame 3 .*has 2 expression values, the first frame has 5"),
        (frame_key(0, "head_box", [0.9, 0.1, 0, 1]), r"frame 0 .*'head_box' is not"),
        (frame_key(0, "timestamp", "soon"), r"frame 0 .*'timestamp'"),
        (frame_key(0, "mask_path", "./masks/none.png"), r"frame 0 .*the mask .*none\.png is missing"),
        (lambda meta: meta.update(intrinsics=[1.0, 2.0]), r"'intrinsics' is not"),
        (lambda meta: meta.update(intrinsics=[0.0, 30.0, 0.5, 0.5]), r"focal length of 0"),
        (lambda meta: meta.update(intrinsics=[33.0, 30.0, 0.48, 0.53]), r"different 'intrinsics'"),
        (lambda meta: [meta.pop("intrinsics"), meta.pop("camera_angle_x")], r"neither 'intrinsics' nor"),
        (lambda meta: meta.update(expression_names=list("abcdef")), r"6 'expression_names' for 5"),
        (lambda meta: meta["expression_stats"].update(std=[1.0]), r"'expression_stats.std' is not 5"),
    ],
)
def test_faults_of_the_json_name_file_and_frame(folder, change, message):
    edit(folder, "train", change)
    with pytest.raises(UserError, match=message) as fault:
        load_dataset(folder)
    assert "\n" not in str(fault.value)
    assert "transforms_train.json" in str(fault.value)


def test_other_faults_are_one_line(folder):
    def fault(match: str) -> None:
        with pytest.raises(UserError, match=match) as found:
            load_dataset(folder)
        assert "\n" not in str(found.value)

    with pytest.raises(UserError, match="is not a folder"):
        load_dataset(folder / "nowhere")
    np.save(folder / "index_map.npy", np.zeros((3, 3)))
    fault(r"index_map\.npy has shape \[3, 3\]")
    np.save(folder / "index_map.npy", np.array([{}]), allow_pickle=True)
    fault(r"index_map\.npy is not")
    (folder / "index_map.npy").unlink()
    edit(folder, "test", frame_key(0, "expression", [0.5] * 6))
    fault(r"transforms_test\.json has 6 expression values")
    (folder / "transforms_val.json").write_text('{"frames": [')
    fault(r"transforms_val\.json is not valid JSON: line 1")
    (folder / "transforms_val.json").unlink()
    fault(r"transforms_val\.json is missing")


def test_shared_dataset_without_its_pictures(shared, tmp_path):
    with pytest.raises(UserError, match=r"transforms_train\.json, frame 0 .* is missing"):
        load_dataset(shared / "data" / "nerface_obama_256", cache=tmp_path)
