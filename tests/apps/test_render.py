"""`nerface render`: what its options draw, and which combinations it refuses."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch

from nerface.capture.video import iterate, probe
from nerface.checkpoint import load_avatar
from nerface.data import load_dataset
from nerface.driving.repose import camera_angles
from nerface.training.loop import train
from tests.apps.calls import check_refused, nerface
from tests.apps.conftest import change_json
from tests.apps.drawn import make_clip, take_over
from tests.data.make import write_tiny_dataset
from tests.toys import AVATAR, toy_run


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A longer toy person: `person` of 24 frames (19 train, 1 val, 4 test) and `run`, an avatar of it."""
    return make_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def render(clip, tmp_path, monkeypatch):
    """Run `render` on the clip's avatar with the renderer taken out; gives what would have been drawn."""

    drawn = take_over(monkeypatch)

    def call(*words, status=0):
        answer = nerface("render", clip / "run", "-o", tmp_path / "video.mp4", "--device", "cpu", *words)
        assert answer.status == status, answer.err
        drawn.said = answer.err
        return drawn

    return call


@pytest.fixture(scope="module")
def dataset(clip):
    return load_dataset(clip / "person")


@pytest.fixture(scope="module")
def subject(clip):
    return load_avatar(clip / "run", "cpu").subject


def _rest(subject):
    return np.array(subject.rest_pose, dtype=np.float32)


# F26: test-time latent


def test_a_latent_code_is_chosen(clip, dataset, render):
    codes = load_avatar(clip / "run", "cpu").latent_codes.detach()
    by = ("--by", clip / "person")
    for choice, code in (("mean", codes.mean(dim=0)), ("zero", torch.zeros(4)), ("frame:3", codes[3])):
        assert torch.equal(render(*by, "--latent", choice).latents, code.expand(len(dataset.splits["test"]), 4))
    assert torch.equal(render("--latent", "walk").latents, codes)
    assert torch.equal(
        render(*by, "--split", "train", "--start", 2, "--frames", 5, "--latent", "per-frame").latents, codes[2:7]
    )


# F32: novel poses


def test_novel_poses_sweep_orbit_and_waypoints(subject, render):
    rest, mean = _rest(subject), np.float32(subject.expression_mean)
    away = camera_angles(rest[None])[0]
    for words, frames in (
        (("--sweep", 20, 10), 120),
        (("--sweep", 20, 10, "--frames", 33), 33),
        (("--orbit", 20, 10), 100),
        (("--waypoints", "0,0; 20,0; 0,-10", "--leg", 5, "--hold", 3), 3 + 5 + 3 + 5 + 3),
    ):
        drawn = render(*words)
        assert len(drawn.views) == frames
        np.testing.assert_allclose(drawn.poses[0], rest, atol=1e-7)
        np.testing.assert_allclose(
            np.linalg.norm(drawn.poses[:, :3, 3], axis=1), np.linalg.norm(rest[:3, 3]), atol=1e-6
        )
        np.testing.assert_allclose(drawn.expressions, np.tile(mean, (frames, 1)))
        yaw = np.degrees(camera_angles(drawn.poses)[:, 0] - away[0])
        assert yaw.max() == pytest.approx(20, abs=1.5)


def test_waypoints_from_a_file_with_expressions(render, tmp_path):
    file = tmp_path / "tour.json"
    file.write_text(json.dumps([{"hold": 2}, {"yaw": 15, "expression": {"jawOpen": 0.9}, "leg": 4, "hold": 2}]))
    drawn = render("--waypoints", file)
    assert len(drawn.views) == 8
    np.testing.assert_allclose(drawn.expressions[[6, 7], 0], 0.9, atol=1e-6)
    assert np.ptp(drawn.expressions[:, 1:], axis=0).max() == 0
    assert (np.diff(drawn.expressions[1:7, 0]) != 0).all()


def test_a_path_can_begin_at_a_frame_of_the_dataset(clip, dataset, render):
    drawn = render("--by", clip / "person", "--camera", "train:5", "--orbit", 10, 5, "--fix-expression", "mean")
    np.testing.assert_allclose(drawn.poses[0], dataset.train.camera_to_head[5], atol=1e-7)
    assert np.abs(np.diff(drawn.poses, axis=0)).max() > 0


# F33: expression edits


def test_a_channel_is_swept_by_name_or_number(subject, render):
    mean = np.float32(subject.expression_mean)
    drawn = render("--edit", "jawOpen+=-0.4..0.4", "--frames", 20)
    np.testing.assert_allclose(drawn.poses, np.tile(_rest(subject), (20, 1, 1)))
    np.testing.assert_allclose(drawn.expressions[[0, 10], 0], mean[0] + np.float32([-0.4, 0.4]), atol=1e-6)
    np.testing.assert_allclose(drawn.expressions[:, 1:], np.tile(mean[1:], (20, 1)))
    by_number = render("--edit", "0+=-0.4..0.4", "--frames", 20).expressions
    np.testing.assert_array_equal(by_number, drawn.expressions)
    twice = render("--edit", "0+=-0.4..0.4", "--frames", 20, "--loops", 2).expressions
    np.testing.assert_allclose(twice[:10], twice[10:], atol=1e-6)


def test_a_channel_is_set_on_top_of_a_driven_sequence(clip, dataset, render):
    drawn = render("--by", clip / "person", "--edit", "jawOpen=0.25", "--edit", "shape_2+=0.1")
    recorded = dataset.splits["test"].expressions
    np.testing.assert_allclose(drawn.expressions[:, 0], 0.25)
    np.testing.assert_allclose(drawn.expressions[:, 2], recorded[:, 2] + 0.1, atol=1e-6)
    np.testing.assert_array_equal(drawn.expressions[:, [1, 3, 4]], recorded[:, [1, 3, 4]])


def test_two_frames_are_interpolated_there_and_back(clip, dataset, subject, render):
    drawn = render("--by", clip / "person", "--interpolate", "train:1", 2, "--frames", 12)
    first, last = dataset.train.expressions[1], dataset.splits["test"].expressions[2]
    np.testing.assert_allclose(drawn.expressions[[0, 3, 6]], [first, (first + last) / 2, last], atol=1e-6)
    np.testing.assert_allclose(drawn.expressions[1:], drawn.expressions[:0:-1], atol=1e-6)
    np.testing.assert_allclose(drawn.poses, np.tile(_rest(subject), (12, 1, 1)))


def test_values_beyond_training_are_told_or_kept_inside(clip, subject, render):
    low, high = subject.expression_min[0], subject.expression_max[0]
    drawn = render("--edit", "jawOpen=-2..3", "--frames", 8)
    assert drawn.expressions[:, 0].max() == pytest.approx(3)
    assert "beyond the range of training: jawOpen" in drawn.said
    assert "--range seen" in drawn.said
    drawn = render("--edit", "jawOpen=-2..3", "--frames", 8, "--range", "seen")
    assert (drawn.expressions[:, 0].min(), drawn.expressions[:, 0].max()) == (np.float32(low), np.float32(high))
    assert render("--edit", f"jawOpen={(low + high) / 2}").said == ""
    assert render("--by", clip / "person").said == ""  # a recording is what it is


# F34, F36: frontalisation and attribute ablations


def test_frontalisation_keeps_the_rest_pose_while_expressions_vary(clip, dataset, subject, render):
    recorded = dataset.splits["test"].expressions
    raw = render("--by", clip / "person", "--frontalise", "--raw-scores")
    np.testing.assert_allclose(raw.poses, np.tile(_rest(subject), (len(recorded), 1, 1)))
    np.testing.assert_array_equal(raw.expressions, recorded)
    moved = render("--by", clip / "person", "--frontalise").expressions
    assert moved.shape == recorded.shape
    assert not np.allclose(moved, recorded)  # the part that goes with the recorded turn is exchanged


def test_the_pose_is_fixed_to_a_frame_while_expressions_vary(clip, dataset, render):
    drawn = render("--by", clip / "person", "--split", "train", "--camera", 7, "--raw-scores")
    np.testing.assert_array_equal(drawn.expressions, dataset.train.expressions)
    np.testing.assert_allclose(drawn.poses, np.tile(dataset.train.camera_to_head[7], (len(dataset.train), 1, 1)))


def test_the_expression_is_fixed_while_poses_vary(clip, dataset, subject, render):
    test = dataset.splits["test"]
    for word, fixed in (("mean", np.float32(subject.expression_mean)), ("1", test.expressions[1])):
        drawn = render("--by", clip / "person", "--fix-expression", word)
        np.testing.assert_array_equal(drawn.poses, test.camera_to_head)
        np.testing.assert_allclose(drawn.expressions, np.tile(fixed, (len(test), 1)))


def test_latents_are_walked_while_pose_and_expression_stay(clip, dataset, subject, render):
    drawn = render("--by", clip / "person", "--camera", 1, "--fix-expression", 1, "--latent", "walk")
    assert len(drawn.views) == subject.train_frames
    assert np.ptp(drawn.poses, axis=0).max() == 0
    assert np.ptp(drawn.expressions, axis=0).max() == 0
    np.testing.assert_array_equal(drawn.poses[0], dataset.splits["test"].camera_to_head[1])
    assert torch.equal(drawn.latents, drawn.avatar.latent_codes.detach())


def test_only_the_viewing_directions_are_swapped(clip, dataset, render):
    drawn = render("--by", clip / "person", "--camera", 0, "--fix-expression", 0, "--view-from")
    test = dataset.splits["test"]
    assert len(drawn.views) == len(test)
    assert np.ptp(drawn.poses, axis=0).max() == 0
    assert np.ptp(drawn.expressions, axis=0).max() == 0
    np.testing.assert_array_equal(np.stack([view.viewed_from.numpy() for view in drawn.views]), test.camera_to_head)


# F35: background; F37: video and side by side


def test_the_background_is_replaced(clip, dataset, render, tmp_path):
    inner = dataset.intrinsics
    assert render("--orbit", 5, 5).options.background is None
    white = render("--orbit", 5, 5, "--background", "white").options.background
    assert torch.equal(white, torch.ones(inner.height, inner.width, 3))
    cv2.imwrite(str(tmp_path / "beach.png"), np.full((90, 50, 3), (10, 200, 30), np.uint8))
    beach = render("--orbit", 5, 5, "--background", tmp_path / "beach.png").options.background
    torch.testing.assert_close(beach, (torch.tensor([30.0, 200, 10]) / 255).expand(inner.height, inner.width, 3))


def test_an_avatar_that_draws_its_own_background_refuses_another(dataset, tmp_path):
    config = dataclasses.replace(AVATAR, background="none")
    train(dataset, tmp_path / "run", toy_run(config, steps=1))
    words = ["render", tmp_path / "run", "--orbit", 5, 5, "-o", tmp_path / "a.mp4", "--background", "white"]
    check_refused(nerface(*words), "trained without a background")


def test_a_driven_video_stands_beside_its_truth(clip, dataset, tmp_path):
    path, inner = tmp_path / "both.mp4", dataset.intrinsics
    answer = nerface("render", clip / "run", "--by", clip / "person", "--side-by-side", "--start", 1, "-o", path)
    assert answer.status == 0, answer.err
    info = probe(path)
    assert (info.frames, info.width, info.height, info.frame_rate) == (3, 2 * inner.width, inner.height, 25.0)
    for frame, truth in zip(iterate(path), dataset.splits["test"].images[1:]):
        shown = frame.image[:, : inner.width].astype(float)
        assert np.abs(shown - truth).mean() < 12  # 4:2:0 keeps little of so small a picture
    assert f"wrote {path}  (3 frames, 0.1 s)" in answer.out


def test_the_drivers_frame_rate_is_kept(clip, render, tmp_path):
    slow = write_tiny_dataset(tmp_path / "slow", frames=24)
    for split in ("train", "val", "test"):
        change_json(slow / f"transforms_{split}.json", lambda value: value.update(frame_rate=30.0))
    assert render("--by", slow).options.frame_rate == pytest.approx(25)  # the times of the frames come first

    def forget(value):
        for frame in value["frames"]:
            del frame["timestamp"]

    change_json(slow / "transforms_test.json", forget)
    assert render("--by", slow).options.frame_rate == 30
    assert render("--orbit", 5, 5).options.frame_rate == 25  # the avatar's own


def test_frames_and_start_choose_a_part(clip, dataset, render):
    poses = dataset.train.camera_to_head
    drawn = render("--by", clip / "person", "--split", "train", "--start", 3, "--frames", 4)
    np.testing.assert_array_equal(drawn.poses, poses[3:7])
    assert len(render("--by", clip / "person", "--split", "all").views) == 24


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--frontalise"], "say what to draw"),
        (["--sweep", 10], "--sweep"),
        (["--orbit", 5, 5, "--sweep", 5, 5], "--orbit and --sweep contradict"),
        (["--sweep", 5, 5, "--frontalise"], "--sweep and --frontalise contradict"),
        (["--orbit", 5, 5, "--hold", 3], "--leg and --hold belong to --waypoints"),
        (["--orbit", 5, 5, "--loops", 3], "--loops needs"),
        (["--orbit", 5, 5, "--split", "train"], "--split needs --by"),
        (["--orbit", 5, 5, "--side-by-side"], "--side-by-side needs --by"),
        (["--orbit", 5, 5, "--camera", 3], "--camera needs --by"),
        (["--orbit", 5, 5, "--fix-expression", 3], "--fix-expression 3 needs --by"),
        (["--orbit", 5, 5, "--interpolate", 1, 2], "--interpolate needs --by"),
        (["--orbit", 5, 5, "--latent", "per-frame"], "--latent per-frame needs --by"),
        (["--by", "PERSON", "--view-from", "--orbit", 5, 5], "keeps the camera still, and --orbit contradict"),
        (["--by", "PERSON", "--frontalise", "--camera", 1], "--frontalise and --camera contradict"),
        (["--by", "PERSON", "--interpolate", 0, 1, "--fix-expression", 1], "--interpolate and --fix-expression"),
        (["--by", "PERSON", "--raw-scores"], "--raw-scores"),
        (["--by", "PERSON", "--interpolate", 0, 1, "--side-by-side"], "none of them is shown"),
        (["--by", "PERSON", "--orbit", 5, 5, "--fix-expression", 1, "--start", 1], "none of them is shown"),
        (["--by", "PERSON", "--latent", "per-frame"], "--split train"),
        (["--by", "PERSON", "--camera", 99], "no frame test:99"),
        (["--by", "PERSON", "--start", 4], "leaves none"),
        (["--by", "PERSON", "--start", "-1"], "--start"),
        (["--edit", "jawOpn=0.3"], "did you mean 'jawOpen'"),
        (["--edit", "jawOpen"], "not understood"),
        (["--waypoints", "0,0; 5,5,jawOpne=1"], "did you mean 'jawOpen'"),
        (["--waypoints", "5"], "two angles"),
        (["--orbit", 5, 5, "--background", "beach.png"], "beach.png is missing"),
    ],
)
def test_options_that_make_no_sense_together(clip, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    given = [clip / "person" if word == "PERSON" else word for word in options]
    check_refused(nerface("render", clip / "run", "-o", "video.mp4", *given), words)
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_without_its_pictures_drives(clip, person, render):
    for split in ("train", "val", "test"):
        for picture in (person / split).glob("*.png"):
            picture.unlink()
    assert len(render("--by", person).views) == 1
    assert "is missing" in render("--by", person, "--side-by-side", status=2).said


def test_scattered_frames_do_not_slow_the_video_down(clip, tmp_path, monkeypatch):
    """Validation frames lie far apart in time; the video still has the recording's rate."""
    drawn = take_over(monkeypatch)
    words = ["--by", clip / "person", "--split", "val", "--orbit", 5, 5, "--device", "cpu"]
    answer = nerface("render", clip / "run", "-o", tmp_path / "a.mp4", *words)
    assert answer.status == 0, answer.err
    assert drawn.options.frame_rate == pytest.approx(25)


def test_codes_of_another_training_are_refused(clip, tmp_path):
    other = write_tiny_dataset(tmp_path / "other", frames=10)
    words = ["--by", other, "--split", "train", "--latent", "per-frame", "--device", "cpu"]
    answer = nerface("render", clip / "run", "-o", tmp_path / "a.mp4", *words)
    check_refused(answer, "has 7 training frames, the avatar", alone=False)


def test_a_dataset_that_would_do_nothing_and_a_path_that_is_cut(clip, tmp_path, monkeypatch):
    take_over(monkeypatch)
    words = ["render", clip / "run", "-o", tmp_path / "a.mp4", "--by", clip / "person", "--device", "cpu"]
    check_refused(nerface(*words, "--orbit", 5, 5, "--fix-expression", "mean"), "does nothing here")
    answer = nerface(*words, "--waypoints", "0,0;3,0")
    assert answer.status == 0, answer.err
    assert "note: the way-points take 80 frames, only" in answer.err
