"""The frame cache: built once, renewed when a file changes, and never left half-built."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from nerface.data import cache, load_dataset
from nerface.errors import UserError
from tests.data.make import write_tiny_dataset


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_tiny_dataset(tmp_path / "person")


def entries(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if path.is_dir()}


def test_the_second_opening_decodes_nothing(folder, monkeypatch):
    first = load_dataset(folder)
    monkeypatch.setattr(cache, "read_image", None)
    second = load_dataset(folder)
    assert isinstance(second.train.images, np.memmap)
    assert np.array_equal(first.train.images, second.train.images)
    assert not second.train.images.flags.writeable
    assert entries(folder / ".cache") == {path.parent.name for path in (folder / ".cache").glob("*/shape.json")}


def test_a_changed_picture_renews_its_split_only(folder):
    load_dataset(folder)
    before = entries(folder / ".cache")
    (folder / ".cache" / ".partial-train-full-4-0123456789abcdef").mkdir()  # left by a killed process
    path = folder / "train" / "f_0002.png"
    cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    os.utime(path, ns=(1, 1))
    dataset = load_dataset(folder)
    assert np.array_equal(dataset.train[2].image, cv2.imread(str(path))[:, :, ::-1])
    after = entries(folder / ".cache")
    assert len(after) == len(before) == 3  # neither the old entry nor the partial one is left
    assert len(after & before) == 2


def test_half_and_full_stand_side_by_side(folder):
    load_dataset(folder)
    load_dataset(folder, half_res=True)
    assert len(entries(folder / ".cache")) == 6


def test_a_read_only_dataset_uses_the_users_cache(folder, tmp_path, monkeypatch):
    def refuse(self, *args, **kwargs):
        if self.name == ".cache":
            raise OSError(errno.EROFS, "Read-only file system")
        return make(self, *args, **kwargs)

    make = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setenv("NERFACE_CACHE", str(tmp_path / "mine"))
    assert len(load_dataset(folder).train) == 4
    assert list((tmp_path / "mine").glob("frames/*/train-full-*/images.u8"))
    load_dataset(folder, cache=tmp_path / "named")
    assert list((tmp_path / "named").glob("*/train-full-*/images.u8"))
    assert not (folder / ".cache").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"transforms_train\.json, frame 2 .*f_0002.* is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:20]), r"f_0002\.png does not decode"),
        (lambda path: path.write_bytes(b""), r"f_0002\.png does not decode"),
        (lambda path: cv2.imwrite(str(path), np.zeros((16, 21, 3), np.uint8)), r"f_0002\.png is 21x16 .* 20x16"),
        (
            lambda path: cv2.imwrite(str(path.parents[1] / "bg/00050.png"), np.zeros((8, 8, 3), np.uint8)),
            r"00050\.png is 8x8",
        ),
        (
            lambda path: cv2.imwrite(str(path.parents[1] / "bg/unseen.png"), np.zeros((8, 8), np.uint8)),
            r"unseen\.png is 8x8",
        ),
        (
            lambda path: cv2.imwrite(str(path.parents[1] / "test/f_0000.png"), np.zeros((8, 8, 3), np.uint8)),
            r"test.f_0000",
        ),
        (
            lambda path: cv2.imwrite(str(path.parents[1] / "masks/train/f_0002.png"), np.zeros((8, 8), np.uint8)),
            r"masks.*8x8",
        ),
    ],
)
def test_damaged_pictures_leave_no_entry_of_their_split(folder, damage, message):
    damage(folder / "train" / "f_0002.png")
    with pytest.raises(UserError, match=message) as fault:
        load_dataset(folder)
    assert "\n" not in str(fault.value)
    assert not list((folder / ".cache").glob(".partial-*"))


def test_a_full_disk(folder, monkeypatch):
    def full(file, arrays, progress):
        file.write_bytes(b"some")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "_write", full)
    with pytest.raises(UserError, match="no room for the frame cache"):
        load_dataset(folder)
    assert entries(folder / ".cache") == set()
    monkeypatch.undo()
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match="free some space or name another"):
        load_dataset(folder)
    assert entries(folder / ".cache") == set()


def test_frames_keep_their_order_however_they_are_decoded():
    import time

    def slow_first(path: Path) -> np.ndarray:
        time.sleep(0.02 if path.name == "0" else 0)
        return np.array([int(path.name)])

    paths = [Path(str(k)) for k in range(50)]
    assert [int(value[0]) for value in cache._in_order(slow_first, paths)] == list(range(50))
