from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from nerface.capture.plate import Plate
from nerface.capture.splits import index_map, rows_of, split_frames
from nerface.capture.writer import CapturedFrames, CapturedScene, DatasetWriter, expression_stats, write_image
from nerface.data import load_dataset
from nerface.errors import UserError
from nerface.types import Intrinsics

WIDTH, HEIGHT, COUNT = 24, 16, 20


@pytest.mark.parametrize(("count", "share"), [(10, 0.15), (75, 0.15), (499, 0.15), (1200, 0.3)])
def test_split_is_temporal_with_the_end_held_out(count, share):
    places = split_frames(count, share, seed=3)
    tests, vals, trains = (rows_of(places, split) for split in ("test", "val", "train"))
    assert len(tests) == max(1, round(count * share))
    assert tests[-1] == count - 1
    assert (np.diff(tests) == 1).all()
    assert 1 <= len(vals) <= 5
    assert len(trains) + len(vals) + len(tests) == count
    for rows, split in ((tests, "test"), (vals, "val"), (trains, "train")):
        assert [places[row].row for row in rows] == list(range(len(rows)))
        assert places[rows[0]].name == f"./{split}/f_0000"
    assert split_frames(count, share, seed=3) == places
    mapped = index_map(places)
    assert mapped.shape == (count - len(tests), 2)
    assert set(mapped[mapped[:, 1] < 0][:, 0]) == set(vals)


def test_too_few_frames_to_split():
    with pytest.raises(UserError, match="too few"):
        split_frames(3, 0.5, seed=0)


def _write(folder, image_format="png"):
    random = np.random.default_rng(0)
    places = split_frames(COUNT, 0.2, seed=0)
    poses = np.tile(np.eye(4), (COUNT, 1, 1))
    poses[:, 2, 3] = 0.5
    boxes = np.tile([0.2, 0.8, 0.3, 0.7], (COUNT, 1))
    frames = CapturedFrames(
        places=places,
        camera_to_head=poses,
        expressions=random.random((COUNT, 5)),
        names=("a", "b", "c", "d", "e"),
        head_boxes=boxes,
        sampling_boxes=boxes + np.array([-0.1, 0.1, -0.1, 0.1]),
        source_frames=np.arange(COUNT) * 2,
        timestamps=np.arange(COUNT) / 12.5,
        exposures=np.linspace(0.8, 1.2, 3 * len(places)).reshape(-1, 3),
    )
    camera = Intrinsics(40.0, 41.0, 0.48, 0.51, WIDTH, HEIGHT)
    scene = CapturedScene(camera, 12.5, 0.01, {"file": "clip.mp4", "sha256": "0" * 64, "crop": [0, 0, 9, 9]})
    images = random.integers(0, 256, (COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)
    folder.mkdir()
    writer = DatasetWriter(folder, image_format)
    for place, image in zip(places, images):
        stored = writer.add(place, image, np.full((HEIGHT, WIDTH), 0.5, np.float32))
        assert stored.dtype == np.uint8
        assert stored[0, 0] == 128
    unseen = np.zeros((HEIGHT, WIDTH), bool)
    unseen[4:8] = True
    writer.add_plate(Plate(images[0], unseen))
    writer.finish(frames, scene)
    return frames, images


def test_the_dataset_reads_back(tmp_path):
    frames, images = _write(tmp_path / "person")
    dataset = load_dataset(tmp_path / "person", cache=tmp_path / "cache")
    trains = rows_of(frames.places, "train")
    frame = dataset.train[3]
    np.testing.assert_array_equal(frame.image, images[trains[3]])
    np.testing.assert_allclose(frame.expression, frames.expressions[trains[3]], rtol=1e-6)
    np.testing.assert_allclose(frame.head_box, [0.2, 0.8, 0.3, 0.7], rtol=1e-6)
    np.testing.assert_allclose(frame.sampling_box, [0.1, 0.9, 0.2, 0.8], rtol=1e-6)
    assert frame.source_frame == trains[3] * 2
    assert frame.mask is not None
    np.testing.assert_allclose(dataset.splits["test"][0].sampling_box, [0, 1, 0, 1])


def test_tables_hold_what_the_format_says(tmp_path):
    frames, _ = _write(tmp_path / "person")
    table = json.loads((tmp_path / "person" / "transforms_train.json").read_text())
    assert table["intrinsics"] == [40.0, 41.0, 0.48, 0.51]
    assert table["camera_angle_x"] == pytest.approx(2 * np.arctan(12 / 40))
    assert table["image_size"] == [WIDTH, HEIGHT]
    assert table["background_unseen"] == "bg/unseen.png"
    assert table["units"] == {"head_units_per_cm": 0.01}
    trained = frames.expressions[rows_of(frames.places, "train")]
    np.testing.assert_allclose(table["expression_stats"]["std"], trained.std(axis=0))
    unseen = cv2.imread(str(tmp_path / "person" / "bg" / "unseen.png"), cv2.IMREAD_GRAYSCALE)
    assert unseen[5, 0] == 255
    assert unseen[0, 0] == 0
    assert (tmp_path / "person" / "bg" / "00050.png").exists()


def test_jpeg_frames_read_back(tmp_path):
    _write(tmp_path / "person", "jpg")
    assert (tmp_path / "person" / "train" / "f_0000.jpg").exists()
    assert (tmp_path / "person" / "masks" / "train" / "f_0000.png").exists()
    assert load_dataset(tmp_path / "person", cache=tmp_path / "cache").train[0].image.shape == (HEIGHT, WIDTH, 3)


def test_colours_are_rgb(tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    write_image(tmp_path / "red.png", red)
    assert cv2.imread(str(tmp_path / "red.png"))[0, 0].tolist() == [0, 0, 255]


def test_stats():
    stats = expression_stats(np.array([[0.0, 1.0], [1.0, 1.0]]))
    assert stats == {"mean": [0.5, 1.0], "std": [0.5, 0.0], "min": [0.0, 1.0], "max": [1.0, 1.0]}
