"""Rows of the seed's feature table that are about its data, proven end to end with the seed's own formulas."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from nerface.cameras import all_pixels, pixel_directions, to_head_space
from nerface.data import load_dataset
from tests.data.make import write_tiny_dataset

SEED_KEYS = {"camera_angle_x", "intrinsics", "frames"}
SEED_FRAME_KEYS = {"file_path", "transform_matrix", "expression", "bbox"}


def strip_to_the_seeds_keys(folder):
    for split in ("train", "val", "test"):
        file = folder / f"transforms_{split}.json"
        meta = json.loads(file.read_text())
        meta["frames"] = [{key: frame[key] for key in SEED_FRAME_KEYS} for frame in meta["frames"]]
        file.write_text(json.dumps({key: meta[key] for key in SEED_KEYS}))


@pytest.mark.parametrize("fx_sign", [1, -1])
def test_rays_of_a_seed_dataset_follow_its_formula(tmp_path, fx_sign):
    """F1: every ray of every frame is R ((u - W cx) / fx, -(v - H cy) / fy, -1) from the pose's translation."""
    folder = write_tiny_dataset(tmp_path / "person", size=(20, 14), fx_sign=fx_sign)
    strip_to_the_seeds_keys(folder)
    dataset = load_dataset(folder)
    assert dataset.background is not None
    assert dataset.index_map is not None
    pixels = all_pixels(dataset.intrinsics)
    for split in ("train", "val", "test"):
        meta = json.loads((folder / f"transforms_{split}.json").read_text())
        fx, fy, cx, cy = meta["intrinsics"]
        assert np.sign(fx) == fx_sign
        for row, frame in enumerate(meta["frames"]):
            pose = np.array(frame["transform_matrix"])
            local = pixel_directions(dataset.intrinsics, pixels[:, 0], pixels[:, 1])
            origins, directions = to_head_space(local, dataset.camera(split, row).camera_to_head)
            for index in range(0, 20 * 14, 7):
                v, u = index // 20, index % 20
                direction = pose[:3, :3] @ [(u - 20 * cx) / fx, -(v - 14 * cy) / fy, -1]
                np.testing.assert_allclose(directions[index], direction, atol=1e-6)
                np.testing.assert_allclose(origins[index], pose[:3, 3], atol=1e-6)


def test_focal_length_of_the_angle_and_boxes_that_are_missing(tmp_path):
    """F2: without 'intrinsics' f = W / 2 / tan(angle / 2) with the middle as principal point; no bbox: the picture."""
    folder = write_tiny_dataset(tmp_path / "person", size=(30, 20))
    for split in ("train", "val", "test"):
        file = folder / f"transforms_{split}.json"
        meta = json.loads(file.read_text())
        meta.update(intrinsics=None, camera_angle_x=2 * np.arctan(0.25))
        for frame in meta["frames"]:
            del frame["bbox"]
        file.write_text(json.dumps(meta))
    dataset = load_dataset(folder)
    inner = dataset.intrinsics
    assert (inner.fx, inner.fy, inner.cx, inner.cy) == (pytest.approx(60.0), pytest.approx(60.0), 0.5, 0.5)
    assert all((split.sampling_boxes == [0, 1, 0, 1]).all() for split in dataset.splits.values())


def test_half_resolution_and_every_nth_frame_together(tmp_path):
    """F3: focal lengths halve, fractions stay, pictures halve; stride 1 in train, n in val and test."""
    folder = write_tiny_dataset(tmp_path / "person", frames=40, size=(32, 24))
    full, half = load_dataset(folder), load_dataset(folder, half_res=True, test_skip=2)
    assert half.train.images.shape == (33, 12, 16, 3)
    assert len(half.splits["test"]) == 3
    assert (half.intrinsics.fx, half.intrinsics.fy) == (full.intrinsics.fx / 2, full.intrinsics.fy / 2)
    assert (half.intrinsics.cx, half.intrinsics.cy) == (full.intrinsics.cx, full.intrinsics.cy)
    assert np.array_equal(half.train.sampling_boxes, full.train.sampling_boxes)


MEASURE = """
import resource, sys
import numpy as np
from nerface.data import load_dataset

def private_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024

before, peak = private_mb(), 0.0
dataset = load_dataset(sys.argv[1])
after = private_mb()
train = dataset.train
assert train.images.shape == (40, 480, 640, 3), train.images.shape
for row in range(len(train)):
    frame = train[row]
    peak = max(peak, private_mb())
print(after - before, peak - before)
"""


def test_transparent_640x480_pictures_load_within_a_ram_bound(tmp_path):
    """F4: pictures that are neither square nor opaque, laid over the plate; opening them all keeps none in memory."""
    folder = write_tiny_dataset(tmp_path / "person", frames=4, size=(640, 480))
    plate = cv2.imread(str(folder / "bg" / "00050.png"))
    picture = cv2.imread(str(folder / "train" / "f_0000.png"))
    alpha = cv2.imread(str(folder / "masks" / "train" / "f_0000.png"), cv2.IMREAD_GRAYSCALE) // 2
    transparent = cv2.imencode(".png", np.dstack([picture, alpha]), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    mask = (folder / "masks" / "train" / "f_0000.png").read_bytes()
    file = folder / "transforms_train.json"
    meta = json.loads(file.read_text())
    meta["frames"] = [
        {**meta["frames"][0], "file_path": f"./train/f_{k:04d}", "mask_path": f"./masks/train/f_{k:04d}.png"}
        for k in range(40)
    ]
    file.write_text(json.dumps(meta))
    for k in range(40):
        (folder / "train" / f"f_{k:04d}.png").write_bytes(transparent)
        (folder / "masks" / "train" / f"f_{k:04d}.png").write_bytes(mask)

    done = subprocess.run([sys.executable, "-c", MEASURE, str(folder)], capture_output=True, text=True, check=True)
    opened, used = map(float, done.stdout.split())
    stored = 40 * 480 * 640 * 3 / 2**20  # 35 MB of pixels, of which the seed makes 141 MB of floats
    assert used < 0.6 * stored, (opened, used)
    frame = load_dataset(folder).train[39]
    weight = alpha[..., None] / 255
    expected = weight * picture[:, :, ::-1] + (1 - weight) * plate[:, :, ::-1]
    assert np.abs(frame.image - expected).max() <= 0.51
