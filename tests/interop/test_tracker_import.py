"""A tracker's folder becomes a dataset that opens, whole or not at all."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from nerface.data import load_dataset
from nerface.errors import UserError
from nerface.interop.tracker_folder import read_tracker_folder
from nerface.interop.tracker_import import ImportOptions, import_tracker_folder
from nerface.interop.tracker_splits import SplitOptions
from tests.interop.tracker import write_tracker_folder

QUIET = {"overlay": False}


@pytest.fixture
def tracked(tmp_path):
    return write_tracker_folder(tmp_path / "source", frames=16, size=(48, 40))


def test_everything_of_the_tracker_is_in_the_dataset(tracked, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("jawOpen\n" + "\n".join(f"c{k}" for k in range(6)))
    options = ImportOptions(
        split=SplitOptions(test_frames=4, val_frames=2),
        background=tracked.folder / "empty.png",
        names=names,
        frame_rate=50.0,
    )
    report = import_tracker_folder(tracked.folder, tmp_path / "person", options)
    dataset = load_dataset(tmp_path / "person")
    assert report.counts == {"train": 10, "val": 2, "test": 4}
    assert report.intrinsics == dataset.intrinsics
    assert dataset.expression_names[0] == "jawOpen"
    assert dataset.frame_rate == 50.0
    assert np.array_equal(dataset.background, tracked.plate)
    assert dataset.head_boxes_stored
    assert dataset.index_map.shape == (16, 2)
    assert dataset.head_units_per_cm == pytest.approx(report.scale / 100)
    for split in dataset.splits.values():
        for frame in split:
            source = tracked.folder / "images" / f"{frame.source_frame:05d}.png"
            stored = tmp_path / "person" / f"{frame.name}.png"
            assert stored.read_bytes() == source.read_bytes()
            np.testing.assert_allclose(frame.expression, tracked.expressions[frame.source_frame], atol=1e-6)
            assert frame.timestamp == frame.source_frame / 50
    for row, frame in enumerate(dataset.train):
        assert dataset.index_map[frame.source_frame].tolist() == [frame.source_frame, row]
    assert dataset.splits["test"].sampling_boxes.tolist() == [[0, 1, 0, 1]] * 4
    assert (tmp_path / "person" / "overlay.mp4").stat().st_size > 1000


def test_a_shuffled_split_keeps_pictures_and_numbers_together(tracked, tmp_path):
    options = ImportOptions(split=SplitOptions(test_frames=4, shuffled=True, seed=2), **QUIET)
    import_tracker_folder(tracked.folder, tmp_path / "person", options)
    train = load_dataset(tmp_path / "person").train
    assert list(train.source_frames) != sorted(train.source_frames)
    for frame in train:
        source = cv2.imread(str(tracked.folder / "images" / f"{frame.source_frame:05d}.png"))[:, :, ::-1]
        assert np.array_equal(frame.image, source)
        np.testing.assert_allclose(frame.expression, tracked.expressions[frame.source_frame], atol=1e-6)


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_a_share_of_the_training_frames(tmp_path, share):
    tracked = write_tracker_folder(tmp_path / "source", frames=40, size=(24, 20))
    options = ImportOptions(split=SplitOptions(test_frames=8, val_frames=2, train_share=share), **QUIET)
    report = import_tracker_folder(tracked.folder, tmp_path / "person", options)
    assert report.counts == {"train": 32 * share - 2, "val": 2, "test": 8}
    assert report.unused == 32 - 32 * share


def test_a_plate_without_a_background_picture(tracked, tmp_path):
    """Outside the boxes the median finds the backdrop; where the head always is, the plate is marked as never seen."""
    report = import_tracker_folder(tracked.folder, tmp_path / "person", ImportOptions(**QUIET))
    assert any("median of the training pictures" in note for note in report.notes)
    dataset = load_dataset(tmp_path / "person")
    seen = ~dataset.background_unseen
    assert 0.3 < seen.mean() < 1
    assert np.abs(dataset.background.astype(int) - tracked.plate)[seen].max() <= 1


def test_transparent_jpeg_and_grey_pictures(tmp_path):
    clear = write_tracker_folder(tmp_path / "clear", frames=10, alpha=True)
    report = import_tracker_folder(clear.folder, tmp_path / "a", ImportOptions(**QUIET))
    assert any("transparent: white" in note for note in report.notes)
    assert (load_dataset(tmp_path / "a").train[0].image[0, 0] == 255).all()
    with_plate = ImportOptions(background=clear.folder / "empty.png")
    import_tracker_folder(clear.folder, tmp_path / "b", with_plate)
    dataset = load_dataset(tmp_path / "b")
    assert np.array_equal(dataset.train[0].image[0, 0], clear.plate[0, 0])

    jpeg = write_tracker_folder(tmp_path / "jpeg", frames=10, ending="JPG")
    grey = jpeg.folder / "images" / "00003.JPG"
    cv2.imwrite(str(grey), cv2.imread(str(grey), cv2.IMREAD_GRAYSCALE))
    import_tracker_folder(jpeg.folder, tmp_path / "c", ImportOptions(**QUIET))
    assert len(load_dataset(tmp_path / "c").train) == 3


def test_numbers_in_names_count_as_numbers(tracked):
    for file in sorted((tracked.folder / "images").iterdir()):
        file.rename(file.with_name(f"{int(file.stem)}.png"))
    names = [path.name for path in read_tracker_folder(tracked.folder).images]
    assert names == [f"{k}.png" for k in range(16)]


def rewrite(name, change):
    def spoil(folder):
        lines = (folder / name).read_text().splitlines()
        change(lines)
        (folder / name).write_text("\n".join(lines) + "\n")

    return spoil


def word(line, column, text):
    def change(lines):
        words = lines[line].split()
        words[column] = text
        lines[line] = " ".join(words)

    return change


def other_size(folder):
    cv2.imwrite(str(folder / "images" / "00009.png"), np.zeros((40, 50, 3), np.uint8))


FAULTS = [
    (lambda folder: shutil.rmtree(folder / "images"), r"images is missing"),
    (lambda folder: [path.unlink() for path in (folder / "images").iterdir()], r"images holds no PNG or JPEG"),
    (lambda folder: (folder / "rigid.txt").unlink(), r"rigid\.txt is missing"),
    (lambda folder: (folder / "images" / "00003.png").unlink(), r"15 pictures, expression\.txt 16 rows .* 16 matrices"),
    (rewrite("expression.txt", lambda lines: lines.pop()), r"16 pictures, expression\.txt 15 rows"),
    (rewrite("expression.txt", word(4, 2, "nan")), r"expression\.txt, line 5 holds a value that is not finite"),
    (rewrite("expression.txt", word(4, 2, "x1")), r"expression\.txt, line 5: 'x1' is not a number"),
    (rewrite("expression.txt", lambda lines: lines.insert(7, "1 2")), r"expression\.txt, line 8 has 2 numbers"),
    (rewrite("rigid.txt", word(9, 1, "inf")), r"rigid\.txt, line 10 holds a value that is not finite"),
    (rewrite("rigid.txt", lambda lines: lines.pop()), r"rigid\.txt has 63 rows of 4 numbers: 4x4 matrices"),
    (rewrite("rigid.txt", word(7, 0, "0.7")), r"rigid\.txt, matrix 1: the last row is .*transposed"),
    (rewrite("intrinsics.txt", word(0, 0, "1200")), r"intrinsics\.txt, line 1 .*look like pixels"),
    (rewrite("intrinsics.txt", word(0, 1, "0")), r"intrinsics\.txt, line 1 holds a focal length of 0"),
    (lambda folder: (folder / "intrinsics.txt").write_text("\n"), r"intrinsics\.txt is empty"),
    (other_size, r"00009\.png is 50x40 pixels, 00000\.png is 48x40"),
    (lambda folder: (folder / "images" / "00002.png").write_bytes(b"\x89PNG"), r"00002\.png does not decode"),
]


@pytest.mark.parametrize(("spoil", "message"), FAULTS)
def test_faults_are_one_line_and_leave_nothing(tracked, tmp_path, spoil, message):
    spoil(tracked.folder)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=message) as fault:
        import_tracker_folder(tracked.folder, tmp_path / "person", ImportOptions(**QUIET))
    assert "\n" not in str(fault.value)
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_is_overwritten_and_options_are_checked(tracked, tmp_path):
    (tmp_path / "person").mkdir()
    (tmp_path / "person" / "mine").touch()
    with pytest.raises(UserError, match="already holds something"):
        import_tracker_folder(tracked.folder, tmp_path / "person")
    names = tmp_path / "names.txt"
    names.write_text("a b c")
    with pytest.raises(UserError, match=r"3 names .* for 7 expression channels"):
        import_tracker_folder(tracked.folder, tmp_path / "new", ImportOptions(names=names))
    with pytest.raises(UserError, match=r"plate\.png is missing"):
        import_tracker_folder(tracked.folder, tmp_path / "new", ImportOptions(background=tmp_path / "plate.png"))
    assert not (tmp_path / "new").exists()


def test_the_unit_of_length_is_judged_by_the_distance(tracked, tmp_path):
    rigid = tracked.rigid.copy()
    rigid[:, :3, 3] *= 1000
    np.savetxt(tracked.folder / "rigid.txt", rigid.reshape(-1, 16))
    report = import_tracker_folder(tracked.folder, tmp_path / "person", ImportOptions(**QUIET))
    assert any("in millimetres" in note for note in report.notes)
    meta = json.loads((tmp_path / "person" / "transforms_test.json").read_text())
    assert meta["units"]["head_units_per_cm"] == pytest.approx(10 * report.scale)  # ten of its millimetres
