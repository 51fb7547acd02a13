"""What is missing or broken in another tracker's folder is one clear line, and nothing is written."""

from __future__ import annotations

import json
import os
import pickle
import shutil

import numpy as np
import pytest
import torch

from nerface.errors import UserError
from nerface.interop.formats import SourceOptions, import_tracking
from nerface.interop.tracked_dataset import ImportOptions
from tests.interop import person
from tests.interop.foreign import WRITERS

QUIET = ImportOptions(overlay=False)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    return {name: write(folder / name).source for name, write in WRITERS.items()}


def in_json(name, change):
    def spoil(folder):
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return spoil


def frame(row, **keys):
    return lambda content: content["frames"][row].update(keys)


def without(row, key):
    return lambda content: content["frames"][row].pop(key)


def in_npz(folder, **keys):
    file = folder / "flame_param" / "00003.npz"
    with np.load(file) as content:
        stored = dict(content)
    np.savez(file, **{**stored, **keys})


def in_lines(name, change):
    def spoil(folder):
        lines = (folder / name).read_text().splitlines()
        change(lines)
        (folder / name).write_text("\n".join(lines) + "\n")

    return spoil


def word(line, column, text):
    def change(lines):
        words = lines[line].split(",")
        words[column] = text
        lines[line] = ",".join(words)

    return change


TRAIN, FLAME = "transforms_train.json", "flame_params.json"
FAULTS = [
    ("vhap", lambda f: (f / "flame_param" / "00003.npz").unlink(), r"00003\.npz is missing"),
    ("vhap", lambda f: (f / "flame_param" / "00003.npz").write_bytes(b"PK"), r"00003\.npz does not read as arrays"),
    ("vhap", lambda f: in_npz(f, expr=np.zeros((1, 7))), r"\[7, 8\] expression coefficients"),
    ("vhap", lambda f: in_npz(f, rotation=np.zeros((1, 4))), r"'rotation' has 4 numbers, 3 are needed"),
    ("vhap", lambda f: in_npz(f, translation=np.full((1, 3), np.nan)), "a value that is not finite"),
    ("vhap", lambda f: in_npz(f, expr=np.array([{"a": 1}], dtype=object)), "does not read as arrays of numbers"),
    ("vhap", lambda f: (f / "images" / "00004_00.png").unlink(), r"00004_00\.png.* is missing"),
    (
        "vhap",
        in_json(TRAIN, frame(2, transform_matrix=[[1, 2], [3, 4]])),
        r"frame 2: 'transform_matrix' is not a matrix",
    ),
    ("vhap", in_json(TRAIN, frame(2, fl_x=400.0)), "frame 2 has another camera than the first frame"),
    ("vhap", in_json(TRAIN, frame(2, w=640)), "pictures of 640x80 pixels, they are 96x80"),
    ("vhap", in_json(TRAIN, without(2, "timestep_index")), "no whole number under 'timestep_index'"),
    ("vhap", in_json(TRAIN, frame(0, camera_index=3)), r"has cameras 0, 3: a dataset has one, choose it with --camera"),
    ("insta", lambda f: (f / "flame" / "exp" / "00003.txt").unlink(), r"00003\.txt is missing"),
    (
        "insta",
        lambda f: (f / "flame" / "exp" / "00003.txt").write_text("1 2\n"),
        r"holds 2 numbers, 00001\.txt holds 9",
    ),
    ("insta", in_json(TRAIN, frame(1, file_path="images/face.png")), "'images/face.png' tells no frame number"),
    ("insta", lambda f: (f / TRAIN).write_text("{"), r"transforms_train\.json is not valid JSON: line 1"),
    (
        "metrical-tracker",
        lambda f: (f / "checkpoint" / "00003.frame").write_bytes(b"junk"),
        "does not read as a file of",
    ),
    (
        "metrical-tracker",
        lambda f: torch.save({"flame": 1}, f / "checkpoint" / "00003.frame"),
        "is no frame of the metr",
    ),
    ("metrical-tracker", lambda f: (f / "input" / "00003.png").unlink(), r"input/00003\{.png,.jpg,.jpeg\} is missing"),
    ("imavatar", in_json(FLAME, frame(1, pose=[0.0] * 6)), "'pose' is not a list of 15 finite numbers"),
    ("imavatar", in_json(FLAME, frame(1, file_path="./image/1")), "lists a picture twice"),
    ("imavatar", in_json(FLAME, lambda c: c.update(intrinsics=[1, 0, 0.5, 0.5])), "holds a focal length of 0"),
    ("imavatar", in_json(FLAME, lambda c: c.update(frames=[])), "has no list of objects under the key 'frames'"),
    (
        "adnerf",
        lambda f: shutil.rmtree(f / "gt_imgs") or shutil.rmtree(f / "ori_imgs"),
        "no gt_imgs, com_imgs or ori_imgs",
    ),
    ("adnerf", lambda f: (f / "transforms_val.json").unlink(), r"transforms_val\.json is missing"),
    ("adnerf", in_json(TRAIN, lambda c: c.update(cx=256.0)), "the splits have different cameras"),
    (
        "adnerf",
        lambda f: [in_json(f"transforms_{split}.json", lambda c: c.update(cx=256.0))(f) for split in ("train", "val")],
        "for pictures of 512x80 pixels, they are 96x80",
    ),
    ("adnerf", lambda f: torch.save({"exp": torch.zeros(3, 5)}, f / "track_params.pt"), "of 3 frames, .* list 40"),
    ("adnerf", lambda f: (f / "ori_imgs" / "7.lms").write_text("1 2\n"), r"7\.lms has shape \[1, 2\]: 68 lines"),
    (
        "adnerf",
        lambda f: person.save(f / "parsing" / "7.png", np.zeros((4, 4, 3), np.uint8)),
        "is not of its picture's size",
    ),
    ("openface", lambda f: (f / "clip.mp4").unlink(), r"holds no video \(.mp4, .* --video FILE"),
    (
        "openface",
        lambda f: shutil.copy(f / "clip.mp4", f / "a.mp4") and (f / "clip.mp4").rename(f / "b.mp4"),
        "several videos",
    ),
    ("openface", in_lines("clip.csv", word(3, 8, "nan")), r"line 4: 'nan' under 'pose_Ty' is not a finite number"),
    (
        "openface",
        in_lines("clip.csv", lambda lines: lines.append(lines[-1].replace("40.0", "90.0", 1))),
        "ends before frame 89",
    ),
    ("openface", in_lines("clip.csv", lambda lines: lines.insert(4, lines[9])), "frames do not count upwards"),
]


@pytest.mark.parametrize(("name", "spoil", "message"), FAULTS)
def test_faults_are_one_line_and_leave_nothing(written, tmp_path, name, spoil, message):
    source = shutil.copytree(written[name], tmp_path / "source")
    spoil(source)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=message) as fault:
        import_tracking(source, tmp_path / "person", form=name, options=QUIET)
    assert "\n" not in str(fault.value)
    assert sorted(tmp_path.iterdir()) == before


class Trap:
    """A pickle that would make a folder when it is opened."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("place", ["checkpoint", "track_params"])
def test_nothing_in_a_pickle_is_run(written, tmp_path, place):
    name = "metrical-tracker" if place == "checkpoint" else "adnerf"
    source = shutil.copytree(written[name], tmp_path / "source")
    file = source / "checkpoint" / "00003.frame" if place == "checkpoint" else source / "track_params.pt"
    sprung = tmp_path / "sprung"
    torch.save({"exp": Trap(sprung)}, file)
    with pytest.raises(UserError, match="can run code when opened, so it is not opened"):
        import_tracking(source, tmp_path / "person", options=QUIET)
    assert not sprung.exists()
    file.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(UserError, match=r"00003\.frame|track_params\.pt"):
        import_tracking(source, tmp_path / "person", options=QUIET)
    assert not sprung.exists()


def test_one_of_several_cameras(written, tmp_path):
    source = shutil.copytree(written["vhap"], tmp_path / "source")
    for split in ("train", "test"):
        in_json(f"transforms_{split}.json", _second_camera)(source)
    report = import_tracking(source, tmp_path / "a", options=QUIET, own=SourceOptions(camera=8))
    assert report.intrinsics.fx == pytest.approx(200.0)
    assert sum(report.counts.values()) == person.FRAMES
    with pytest.raises(UserError, match="has cameras 0, 8"):
        import_tracking(source, tmp_path / "b", options=QUIET, own=SourceOptions(camera=3))


def _second_camera(content):
    content["frames"] += [{**one, "camera_index": 8, "fl_x": 200.0, "fl_y": 200.0} for one in content["frames"]]


def test_stated_joints_move_the_head(written, tmp_path):
    """The neck's place is the person's: other numbers give other poses, and no note."""
    joints = (0.0, -0.1, 0.0, 0.0, 0.0, 0.0)
    usual = import_tracking(written["vhap"], tmp_path / "a", options=QUIET)
    own = import_tracking(written["vhap"], tmp_path / "b", options=QUIET, own=SourceOptions(flame_joints=joints))
    assert any("--flame-joints" in note for note in usual.notes)
    assert not any("--flame-joints" in note for note in own.notes)
    first, second = (
        np.array(json.loads((tmp_path / name / TRAIN).read_text())["frames"][9]["transform_matrix"]) for name in "ab"
    )
    assert np.abs(first - second)[:3, 3].max() > 1e-3
    np.testing.assert_allclose(first[:3, :3], second[:3, :3], atol=1e-9)
