"""`nerface import` as a user calls it: a tracker's folder in, a dataset out that passes `nerface check`."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from nerface.apps.verbs.import_ import FORMATS
from nerface.data import load_dataset
from nerface.interop.formats import NAMES
from nerface.sample.clip import write_truth
from nerface.sample.motion import make_motion
from tests.apps.calls import check_refused, content, nerface
from tests.interop.broken import BROKEN
from tests.interop.foreign import write_imavatar
from tests.interop.test_tracker_boxes import ellipsoid, write_mesh
from tests.interop.tracker import write_tracker_folder


@pytest.fixture
def tracked(tmp_path):
    return write_tracker_folder(tmp_path / "tracked", frames=48, size=(64, 48))


def test_import_then_check(tracked, tmp_path):
    person = tmp_path / "person"
    words = ["--background", tracked.folder / "empty.png", "--frame-rate", 25, "--val-frames", 2]
    answer = nerface("import", tracked.folder, "-o", person, *words)
    assert answer.status == 0, answer.err
    assert "39 train, 2 val and 7 test frames of 64x48; fx -153.6, fy 148.8 px" in answer.out
    assert answer.out.splitlines()[-1].startswith(f"wrote {person} ")
    judged = nerface("check", person, "-o", tmp_path / "look", "--strict")
    assert judged.status == 0, judged.out
    assert (tmp_path / "look" / "check.png").exists()


def test_the_overlay_shows_mesh_axes_and_box(tracked, tmp_path):
    """One picture of the video for each frame, changed where the projected mean face lies."""
    av = pytest.importorskip("av")
    pytest.importorskip("trimesh")
    mesh = write_mesh(tmp_path / "average.off", *ellipsoid())
    answer = nerface("import", tracked.folder, "-o", tmp_path / "person", "--mesh", mesh, "--test-frames", 8)
    assert answer.status == 0, answer.err
    with av.open(str(tmp_path / "person" / "overlay.mp4")) as video:
        shown = [frame.to_ndarray(format="rgb24").astype(int) for frame in video.decode(video=0)]
    assert len(shown) == 48
    for row in (0, 20, 47):
        picture = cv2.imread(str(tracked.folder / "images" / f"{row:05d}.png"))[:, :, ::-1].astype(int)
        change = np.abs(shown[row] - picture).mean(axis=2)
        head = cv2.erode(tracked.masks[row].astype(np.uint8), np.ones((3, 3))) > 0
        beside = cv2.dilate(tracked.masks[row].astype(np.uint8), np.ones((21, 21))) == 0
        assert change[head].mean() > 15
        assert change[beside].mean() < 4


def test_the_same_words_give_the_same_dataset(tracked, tmp_path):
    for name in ("a", "b"):
        words = ["--shuffle", "--seed", 4, "--train-share", 0.5, "--no-overlay"]
        assert nerface("import", tracked.folder, "-o", tmp_path / name, *words).status == 0
    first, second = (content(tmp_path / name) for name in ("a", "b"))
    assert first.keys() == second.keys()
    for name in first:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    dataset = load_dataset(tmp_path / "a")
    assert [len(split) for split in dataset.splits.values()] == [15, 5, 7]  # half of 41, of which 5 are for validation
    assert max(dataset.train.source_frames) < 20
    assert nerface("import", tracked.folder, "-o", tmp_path / "c", "--no-overlay").status == 0
    assert json.loads((tmp_path / "c" / "transforms_train.json").read_text())["frames"][0]["source_frame"] in (0, 1)


def test_the_synthetic_subject_becomes_a_dataset_with_exact_poses(sample_images, tmp_path):
    """F45: the drawn subject and its true cameras, through a tracker's folder, open and pass every check."""
    count = len(sample_images)
    source = tmp_path / "tracked"
    (source / "images").mkdir(parents=True)
    for k, image in enumerate(sample_images):
        cv2.imwrite(str(source / "images" / f"{k:05d}.png"), image[:, :, ::-1])
    write_truth(tmp_path / "truth.npz", make_motion(count, np.random.default_rng([0, 2])))
    truth = np.load(tmp_path / "truth.npz")
    fx, fy, cx, cy = truth["intrinsics"]
    width, height = truth["size"]
    # Head space mirrored in x and the camera's x and z turned: the seed's tracker.
    mirror = np.diag([-1.0, 1, 1, 1])
    rigid = mirror @ truth["camera_to_head"] @ mirror @ np.diag([-1.0, 1, -1, 1])
    np.savetxt(source / "rigid.txt", rigid.reshape(-1, 4))
    np.savetxt(source / "intrinsics.txt", [[fx / width, -fy / height, cx, 1 - cy]])
    np.savetxt(source / "expression.txt", truth["expressions"])
    (source / "names.txt").write_text(" ".join(truth["expression_names"]))
    words = ["--names", source / "names.txt", "--unit", 0.01, "--no-overlay"]
    answer = nerface("import", source, "-o", tmp_path / "person", *words)
    assert answer.status == 0, answer.err
    dataset = load_dataset(tmp_path / "person")
    assert len(dataset.train) == 15
    assert list(dataset.expression_names) == list(truth["expression_names"])
    judged = nerface("check", tmp_path / "person", "--no-pictures")
    assert judged.status == 0, judged.out
    assert "the pictures follow the poses" in judged.out


def test_words_and_folders_it_cannot_use(tracked, tmp_path):
    person = tmp_path / "person"
    check_refused(nerface("import", tmp_path / "nowhere", "-o", person), "no such file or folder")
    check_refused(nerface("import", tracked.folder), "--output")
    check_refused(nerface("import", tracked.folder, "-o", person, "--unit", "0"), "--unit")
    check_refused(nerface("import", tracked.folder, "-o", person, "--temporal", "--shuffle"), "--shuffle")
    check_refused(nerface("import", tracked.folder, "-o", person, "--mesh", tmp_path / "no.obj"), "no.obj is missing")
    check_refused(nerface("import", tracked.folder, "-o", person, "--test-frames", 46), "48 frames cannot give 46")
    (tracked.folder / "images" / "00007.png").unlink()
    check_refused(nerface("import", tracked.folder, "-o", person), "47 pictures", "48 matrices")
    assert not person.exists()


def test_another_trackers_folder_is_known_by_what_is_in_it(tmp_path):
    """Format found, notes told, check satisfied; the overlay shows where the head is."""
    foreign = write_imavatar(tmp_path / "deca")
    answer = nerface("import", foreign.source, "-o", tmp_path / "person", "--test-share", 0.2)
    assert answer.status == 0, answer.err
    assert "imavatar: 27 train, 5 val and 8 test frames of 96x80; fx 182.4, fy 182.4 px" in answer.out
    assert (tmp_path / "person" / "overlay.mp4").stat().st_size > 1000
    judged = nerface("check", tmp_path / "person", "--no-pictures")
    assert judged.status == 0, judged.out
    check_refused(
        nerface("import", foreign.source, "-o", tmp_path / "b", "--format", "openface"), "holds no tables of OpenFace"
    )
    assert nerface("import", foreign.source, "-o", tmp_path / "b", "--format", "nothing").status == 2


def test_wrong_axes_are_refused_unless_overruled(tmp_path):
    foreign = BROKEN["imavatar y flipped"](tmp_path / "deca")
    refused = nerface("import", foreign.source, "-o", tmp_path / "person")
    check_refused(refused, "y axis does not run from chin to brow", "--no-checks", alone=False)
    overruled = nerface("import", foreign.source, "-o", tmp_path / "person", "--no-checks", "--no-overlay")
    assert overruled.status == 0, overruled.err
    judged = nerface("check", tmp_path / "person", "--no-pictures")
    assert judged.status == 2
    assert "error" in judged.out


def test_the_verbs_formats_are_the_importers():
    assert FORMATS == NAMES
