"""`nerface reenact`: another person's dataset drives an avatar, as one command with a video as its result."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerface.capture.video import probe
from nerface.checkpoint import load_avatar
from nerface.data import load_dataset
from nerface.driving.limits import beyond
from nerface.driving.paths import head_turn
from nerface.driving.reenact import frontal_frame, neutral_frame, neutral_point
from nerface.driving.track import read_track
from tests.apps.calls import check_refused, nerface
from tests.apps.conftest import change_json
from tests.apps.drawn import make_clip, take_over
from tests.data.make import write_tiny_dataset

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """`run`, a toy avatar, and `person`, the dataset that it was trained on."""
    return make_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def driver(tmp_path):
    """Another person: ten frames, other poses and expressions."""
    return write_tiny_dataset(tmp_path / "driver", frames=10, seed=5)


@pytest.fixture
def reenact(clip, driver, tmp_path, monkeypatch):
    """Run `reenact` with the renderer taken out; gives what would have been drawn."""

    drawn = take_over(monkeypatch)

    def call(*words):
        answer = nerface("reenact", clip / "run", driver, "-o", tmp_path / "out.mp4", "--device", "cpu", *words)
        assert answer.status == 0, answer.err
        drawn.said = answer.err
        return drawn

    return call


@pytest.fixture
def subject(clip):
    return load_avatar(clip / "run", "cpu").subject


def _neutral(subject):
    return neutral_point(np.array(subject.expression_mean), np.array(subject.expression_std))


def _turns(poses):
    turns = np.array(poses)
    turns[:, :3, 3] = 0
    return turns


def test_an_avatar_alone_is_reenacted_by_the_formula(driver, subject, reenact):
    """Spec 6.5 written out: neutral plus change; driver's rotation times the target's pose."""
    drawn = reenact("--split", "train", "--range", "any")
    track, split = read_track(driver), load_dataset(driver).train
    neutral = track.expressions[neutral_frame(track.expressions, track.expression_names)]
    np.testing.assert_allclose(drawn.expressions, _neutral(subject) + split.expressions - neutral, atol=1e-6)
    np.testing.assert_allclose(drawn.poses, _turns(split.camera_to_head) @ np.float32(subject.rest_pose), atol=1e-6)
    assert drawn.options.frame_rate == pytest.approx(25)
    assert "target: the avatar's rest pose" in drawn.said
    assert "driver: " in drawn.said


def test_the_targets_dataset_gives_its_frontal_and_neutral_frames(clip, driver, reenact):
    drawn = reenact("--target", clip / "person", "--target-neutral", 4, "--driver-neutral", "train:1", "--range", "any")
    target, theirs = load_dataset(clip / "person"), load_dataset(driver)
    change = theirs.splits["test"].expressions - theirs.train.expressions[1]
    np.testing.assert_allclose(drawn.expressions, target.train.expressions[4] + change, atol=1e-6)
    track = read_track(clip / "person")
    front = track.camera_to_head[frontal_frame(track.camera_to_head)]
    np.testing.assert_allclose(drawn.poses, _turns(theirs.splits["test"].camera_to_head) @ front, atol=1e-6)
    assert "neutral frame train:4" in drawn.said


def test_anchored_relatively_the_drivers_frontal_frame_gives_the_targets(driver, subject, reenact):
    track = read_track(driver)
    front = frontal_frame(track.camera_to_head)
    drawn = reenact("--split", "all", "--anchor", "relative")
    place = int(np.nonzero(track.members("all") == front)[0][0])
    np.testing.assert_allclose(drawn.poses[place], np.float32(subject.rest_pose), atol=1e-6)
    distance = np.linalg.norm(np.array(subject.rest_pose)[:3, 3])
    np.testing.assert_allclose(np.linalg.norm(drawn.poses[:, :3, 3], axis=1), distance, atol=1e-6)
    still = reenact("--frontalise")
    np.testing.assert_allclose(still.poses[0], np.float32(subject.rest_pose), atol=1e-7)


def test_expressions_are_copied_where_asked(driver, reenact):
    recorded = load_dataset(driver).splits["test"].expressions
    np.testing.assert_array_equal(reenact("--expression", "copy", "--range", "any").expressions, recorded)


def test_cameras_stay_where_training_saw_the_head_from(driver, subject, reenact):
    """A driver who turns farther than the avatar ever did: the camera stops at the edge, and the command says so."""

    def turn(value):
        for frame in value["frames"]:
            pose = head_turn(60.0, 0.0).numpy() @ np.array(frame["transform_matrix"])
            frame["transform_matrix"] = pose.tolist()

    for split in ("val", "test"):  # the frontal frame is found among the others
        change_json(driver / f"transforms_{split}.json", turn)
    kept = reenact()
    assert beyond(kept.poses, subject.seen_angles) == pytest.approx(0.0, abs=1e-3)
    assert "training saw the head from yaw" in kept.said
    free = reenact("--range", "any")
    assert beyond(free.poses, subject.seen_angles)[:, 0].min() > 20


def test_expressions_stay_within_the_range_of_training(subject, reenact):
    low, high = np.float32(subject.expression_min), np.float32(subject.expression_max)
    kept = reenact("--split", "all", "--edit", "jawOpen+=3")
    assert (kept.expressions >= low).all()
    assert (kept.expressions <= high).all()
    assert "beyond the range of training: jawOpen" in kept.said
    assert "--range any" in kept.said
    assert reenact("--split", "all", "--edit", "jawOpen+=3", "--range", "any").expressions.max() > 2.5


def _reorder(folder, order):
    def change(value):
        value["expression_names"] = [value["expression_names"][k] for k in order]
        for frame in value["frames"]:
            frame["expression"] = [frame["expression"][k] for k in order]

    for split in SPLITS:
        change_json(folder / f"transforms_{split}.json", change)


def test_the_same_channels_in_another_order_drive_alike(driver, reenact):
    before = reenact("--split", "train").expressions
    _reorder(driver, [3, 1, 4, 0, 2])
    np.testing.assert_allclose(reenact("--split", "train").expressions, before, atol=1e-6)


def _rename(folder):
    for split in SPLITS:
        change_json(
            folder / f"transforms_{split}.json", lambda value: value["expression_names"].__setitem__(1, "tongue")
        )


def test_other_channels_are_a_choice_by_name(clip, driver, subject, reenact, tmp_path):
    same = reenact("--split", "train", "--range", "any").expressions
    _rename(driver)
    answer = nerface("reenact", clip / "run", driver, "-o", tmp_path / "out.mp4")
    check_refused(answer, "it lacks shape_1, it adds tongue", "--channels shared")
    words = ["--split", "train", "--range", "any", "--channels", "shared", "--driver-neutral", 0]
    shared = reenact(*words).expressions
    np.testing.assert_allclose(shared[:, 1], _neutral(subject)[1])
    change, expected = shared - shared[0], same - same[0]
    np.testing.assert_allclose(np.delete(change, 1, axis=1), np.delete(expected, 1, axis=1), atol=1e-6)
    drawn = reenact("--channels", "shared", "--expression", "copy")
    np.testing.assert_allclose(drawn.expressions[:, 1], np.clip(_neutral(subject)[1], subject.expression_min[1], None))


def test_a_mirrored_driver_moves_the_same_way(clip, driver, reenact):
    """The driver as the seed writes it: fx < 0 and rotations of the mirrored head."""
    before = reenact("--split", "train").poses
    mirror = np.diag([-1.0, 1, 1, 1])

    def as_the_seed(value):
        value["intrinsics"][0] *= -1
        for frame in value["frames"]:
            frame["transform_matrix"] = (mirror @ np.array(frame["transform_matrix"]) @ mirror).tolist()

    for split in SPLITS:
        change_json(driver / f"transforms_{split}.json", as_the_seed)
    np.testing.assert_allclose(reenact("--split", "train").poses, before, atol=1e-6)


def test_a_driver_with_other_head_axes_is_refused(clip, driver, tmp_path):
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("y", 180, degrees=True).as_matrix()

    def change(value):
        for frame in value["frames"]:
            frame["transform_matrix"] = (turn @ np.array(frame["transform_matrix"])).tolist()

    for split in SPLITS:
        change_json(driver / f"transforms_{split}.json", change)
    check_refused(nerface("reenact", clip / "run", driver, "-o", tmp_path / "out.mp4"), "other axes")


def test_a_reenactment_is_a_video_beside_its_driver(clip, driver, tmp_path):
    path = tmp_path / "out.mp4"
    words = ["--split", "train", "--frames", 3, "--side-by-side", "--background", "white", "--latent", "frame:2"]
    answer = nerface("reenact", clip / "run", driver, "-o", path, *words)
    assert answer.status == 0, answer.err
    info = probe(path)
    assert (info.frames, info.width, info.height, info.frame_rate) == (3, 40, 16, 25.0)
    assert f"wrote {path}  (3 frames" in answer.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target-neutral", 3], "--target-neutral names a frame of --target"),
        (["--expression", "copy", "--driver-neutral", 3], "neutral frames do not enter"),
        (["--latent", "per-frame"], "--latent per-frame"),
        (["--latent", "frame:999"], "'frame:999' is not known"),
        (["--driver-neutral", "train:99"], "no frame train:99"),
        (["--driver-neutral", "first"], "not a frame"),
        (["--start", 99], "leaves none"),
        (["--loops", 2], "--loops needs"),
        (["--target", "nowhere"], "nowhere is not a folder"),
        (["-o", "out.gif"], "ends in .mp4"),
    ],
)
def test_reenactments_that_make_no_sense(clip, driver, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    check_refused(nerface("reenact", clip / "run", driver, "-o", "out.mp4", *options), words)
    assert {path.name for path in tmp_path.iterdir()} == {"driver"}
