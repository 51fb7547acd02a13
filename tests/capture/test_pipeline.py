from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nerface.capture import CaptureOptions, pipeline
from nerface.capture.camera_motion import steadied_points, steadied_poses
from nerface.capture.landmarker import SCORE_NAMES
from nerface.capture.pipeline import capture
from nerface.capture.report import Dropped, pose_angles
from nerface.capture.scene import ScenePass
from nerface.capture.solving import SolvedClip
from nerface.capture.tracking import FaceTrack
from nerface.data import load_dataset
from nerface.driving.gaze_channels import GAZE_NAMES
from nerface.errors import UserError
from nerface.weights import WeightPaths
from tests.capture.clips import networks, swaying, write_clip

COUNT, MISSING, SIDE = 24, 5, 128


class FakeMatte:
    def __init__(self, model_file, threads, device):
        pass

    def coarse(self, image):
        return self.coarse_of(image)

    def coarse_of(self, small):
        mask = np.zeros((256, 256), np.float32)
        mask[40:, 60:200] = 1.0
        return mask


def _track(lost: int) -> FaceTrack:
    angles = np.linspace(0, 2 * np.pi, 478)
    landmarks = np.zeros((COUNT, 478, 3), np.float32)
    landmarks[:, :, 0] = 64 + 18 * np.cos(angles)
    landmarks[:, :, 1] = 64 + 22 * np.sin(angles)
    landmarks[:, 33, :2], landmarks[:, 263, :2] = (52, 58), (76, 58)
    found = np.arange(COUNT) != lost
    return FaceTrack(
        landmarks=landmarks,
        spread=np.full((COUNT, 478), 0.5, np.float32),
        scores=np.random.default_rng(0).random((COUNT, 52), dtype=np.float32),
        presence=found.astype(np.float32),
        sharpness=found.astype(np.float32),
        found=found,
        repeated=np.zeros(COUNT, bool),
        reasons=tuple("" if there else "no face" for there in found),
        segment=(np.arange(COUNT) > lost).astype(np.int64),
        timestamps=np.arange(COUNT) / 25,
        size=(SIDE, SIDE),
    )


def _solved(track, task_file, focal_px, frame_rate, progress, focal_guess=None) -> SolvedClip:
    numbers = np.flatnonzero(track.found)
    poses = np.tile(np.eye(4), (len(numbers), 1, 1))
    poses[:, 2, 3] = 0.5
    return SolvedClip(
        numbers=numbers,
        landmarks=track.landmarks[numbers, :, :2],
        projected=track.landmarks[numbers, :468, :2] + 1.0,
        scores=track.scores[numbers],
        names=track.names,
        timestamps=track.timestamps[numbers],
        camera_to_head=poses,
        frame_rms_px=np.full(len(numbers), np.sqrt(2)),
        focal=focal_px or 160.0,
        focal_assumed=focal_px is None,
        centre=(63.5, 63.5),
        units_per_cm=0.01,
        frame_rate=frame_rate,
        dropped=Dropped(((MISSING, "no face"),)),
    )


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    """The line without networks and solver; counts how often the face is tracked."""
    task = tmp_path / "face_landmarker.task"
    task.write_bytes(b"fake")
    calls = {"tracked": 0}

    def track(frames, landmarker, expected, min_share, progress, **others):
        calls["tracked"] += 1
        assert sum(1 for _ in frames()) == expected == COUNT
        return _track(MISSING)

    monkeypatch.setattr(pipeline, "find_weights", lambda explicit: WeightPaths(task, task))
    monkeypatch.setattr(pipeline, "FaceLandmarker", lambda file, threads, device: None)
    monkeypatch.setattr(pipeline, "track_face", track)
    monkeypatch.setattr(pipeline, "solve_clip", _solved)
    monkeypatch.setattr(pipeline, "PersonMatte", FakeMatte)
    return calls


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.mp4", swaying(COUNT, SIDE))


def test_a_clip_becomes_a_dataset(fakes, clip, tmp_path):
    folder = tmp_path / "out" / "person"
    report = capture(clip, folder, CaptureOptions(size=64))
    dataset = load_dataset(folder, cache=tmp_path / "cache")
    assert report.frames_used == COUNT - 1
    assert report.dropped == {"no face": 1}
    assert sum(report.splits.values()) == COUNT - 1
    assert (dataset.intrinsics.width, dataset.intrinsics.height) == (64, 64)
    numbers = np.concatenate([split.source_frames for split in dataset.splits.values()])
    assert sorted(numbers.tolist()) == [n for n in range(COUNT) if n != MISSING]
    assert dataset.expression_names == (*SCORE_NAMES, *GAZE_NAMES)
    assert dataset.poses_estimated
    assert all((split.exposures > 0.5).all() for split in dataset.splits.values())
    figures = json.loads((folder / "capture.json").read_text())
    assert figures["frames"]["dropped"]["no face"]["frames"] == [MISSING]
    assert figures["camera"]["focal_assumed"] is True
    assert figures["reprojection_error"]["rms_px"] == pytest.approx(np.sqrt(2))
    assert figures["reprojection_error"]["share_of_eye_distance"] == pytest.approx(np.sqrt(2) / 24)
    assert set(figures["scores"]) == {*SCORE_NAMES, *GAZE_NAMES}
    assert {len(values) for values in figures["per_frame"].values()} == {COUNT - 1}
    assert figures["per_frame"]["source_frame"] == [n for n in range(COUNT) if n != MISSING]
    assert "what to do" in (folder / "report.html").read_text(encoding="utf-8").lower()
    assert (folder / "overlay.mp4").stat().st_size > 1000
    assert sorted(path.name for path in folder.parent.iterdir()) == ["person"]


def test_every_option_is_heeded(fakes, clip, tmp_path):
    options = CaptureOptions(size=96, image_format="jpg", focal_px=200.0, test_share=0.4, seed=1)
    report = capture(clip, tmp_path / "person", options)
    assert report.splits["test"] == 9
    assert not report.focal_assumed
    table = json.loads((tmp_path / "person" / "transforms_test.json").read_text())
    assert table["image_size"] == [96, 96]
    assert table["intrinsics"][0] == pytest.approx(200.0 * report.crop.scale)
    assert (tmp_path / "person" / "test" / "f_0000.jpg").exists()


def test_an_interrupted_capture_takes_up_its_landmarks(fakes, clip, tmp_path, monkeypatch):
    def stopped(*arguments):
        raise KeyboardInterrupt

    folder = tmp_path / "person"
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "solve_clip", stopped)
        with pytest.raises(KeyboardInterrupt):
            capture(clip, folder)
    assert not folder.exists()
    assert (tmp_path / ".capture-person" / "track.npz").exists()
    capture(clip, folder)
    assert fakes["tracked"] == 1
    assert not (tmp_path / ".capture-person").exists()


def test_landmarks_of_another_video_are_not_taken_up(fakes, clip, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "split_frames", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            capture(clip, tmp_path / "person")
    other = write_clip(tmp_path / "other.mp4", swaying(COUNT + 3, SIDE)[3:])
    capture(other, tmp_path / "person")
    assert fakes["tracked"] == 2


def test_a_full_disk_leaves_nothing(fakes, clip, tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match="No space left") as caught:
            capture(clip, tmp_path / "person")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "person").exists()
    assert not list(tmp_path.glob(".partial-*"))


def test_a_folder_with_something_in_it_is_refused(fakes, clip, tmp_path):
    folder = tmp_path / "person"
    folder.mkdir()
    (folder / "note.txt").write_text("mine")
    with pytest.raises(UserError, match="already holds something"):
        capture(clip, folder)
    assert fakes["tracked"] == 0


@pytest.mark.parametrize(
    ("content", "words"), [(None, "no such file"), (b"not a picture", "not a picture that can be read")]
)
def test_a_photograph_that_cannot_be_read_is_refused_before_tracking(fakes, clip, tmp_path, content, words):
    photo = tmp_path / "empty.jpg"
    if content is not None:
        photo.write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        capture(clip, tmp_path / "person", CaptureOptions(plate=photo))
    assert "\n" not in str(caught.value)
    assert fakes["tracked"] == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(("person", ".capture"))) == []


def test_poses_and_overlay_follow_what_was_done_to_the_pictures(fakes, clip, tmp_path, monkeypatch):
    applied = np.radians(np.random.default_rng(0).normal(0, 0.5, (COUNT - 1, 3)))
    finish, drawn = ScenePass.finish, []

    def steadied(scene_pass):
        """As if the first look had seen motion that the second did not see again."""
        scene = finish(scene_pass)
        assert not scene.motion.moves
        assert scene_pass._segments == [0] * MISSING + [1] * (COUNT - 1 - MISSING)
        return replace(scene, steadied=True, applied=applied)

    def overlay(path, images, faces, frame_rate):
        drawn.append(faces)
        written_overlay(path, images, faces, frame_rate)

    written_overlay = pipeline.write_overlay
    monkeypatch.setattr(ScenePass, "finish", steadied)
    monkeypatch.setattr(pipeline, "write_overlay", overlay)
    crop = capture(clip, tmp_path / "person", CaptureOptions(size=64)).crop
    solved, faces = _solved(_track(MISSING), None, None, 25.0, None), drawn[0]
    wanted = steadied_poses(solved.camera_to_head, applied)
    np.testing.assert_allclose(faces.camera_to_head, wanted)
    for seen, drawn_at in ((solved.landmarks, faces.landmarks), (solved.projected, faces.projected)):
        np.testing.assert_allclose(drawn_at, steadied_points(crop.map_points(seen), applied, faces.intrinsics))
    dataset = load_dataset(tmp_path / "person", cache=tmp_path / "cache")
    stored = {
        int(number): pose
        for split in dataset.splits.values()
        for number, pose in zip(split.source_frames, split.camera_to_head)
    }
    for row, number in enumerate(n for n in range(COUNT) if n != MISSING):
        np.testing.assert_allclose(stored[number], wanted[row], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (CaptureOptions(size=8), "size"),
        (CaptureOptions(image_format="bmp"), "image format"),
        (CaptureOptions(focal_px=-1.0), "focal"),
        (CaptureOptions(test_share=1.0), "test share"),
        (CaptureOptions(min_face_share=0.0), "least share"),
        (CaptureOptions(threads=0), "threads"),
    ],
)
def test_options_that_make_no_sense(options, words, tmp_path):
    with pytest.raises(UserError, match=words):
        capture(tmp_path / "clip.mp4", tmp_path / "person", options)


def test_angles_have_the_signs_they_are_documented_with():
    def turned(axis, degrees):
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        rotation = np.eye(3)
        rotation[first, first] = rotation[second, second] = c
        rotation[first, second], rotation[second, first] = -s, s
        pose = np.eye(4)
        pose[:3, :3] = rotation.T  # camera to head
        return pose_angles(pose[None])[0], rotation @ [0, 0, 1]

    yaw, nose = turned("y", 20)
    np.testing.assert_allclose(yaw, [20, 0, 0], atol=1e-9)
    assert nose[0] > 0  # to the right of the picture
    pitch, nose = turned("x", 10)
    np.testing.assert_allclose(pitch, [0, 10, 0], atol=1e-9)
    assert nose[1] < 0  # down
    np.testing.assert_allclose(turned("z", 5)[0], [0, 0, 5], atol=1e-9)


def test_a_clip_without_a_face(tmp_path):
    weights = networks()
    plain = [np.full((96, 96, 3), 60 + 5 * number, np.uint8) for number in range(12)]
    clip = write_clip(tmp_path / "wall.mp4", plain)
    with pytest.raises(UserError, match="no face"):
        capture(clip, tmp_path / "person", CaptureOptions(weights=weights.face_landmarker.parent))
    assert not (tmp_path / "person").exists()


@pytest.mark.slow
def test_a_real_clip(shared, tmp_path):
    networks()
    clip = shared / "data" / "clips" / "obama_450.mp4"
    report = capture(clip, tmp_path / "person", CaptureOptions(size=256, weights=shared / "models"))
    assert report.frames_used >= 495
    assert report.rms_share < 0.015
    assert 0.3 < report.plate_seen < 0.7
    assert load_dataset(tmp_path / "person", cache=tmp_path / "cache").train[0].image.shape == (256, 256, 3)


def test_a_focal_length_in_millimetres_is_refused(fakes, clip, tmp_path):
    for focal in (26.0, 1e5):
        with pytest.raises(UserError, match="pixels of the video, not in millimetres"):
            capture(clip, tmp_path / "person", CaptureOptions(focal_px=focal))
    assert fakes["tracked"] == 0


def test_a_folder_that_cannot_be_replaced_is_refused_before_the_work(fakes, clip, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for folder, words in (
        (tmp_path / "link", "is a link"),
        (Path("."), "no name"),
        (tmp_path / "new" / "..", "no name"),
    ):
        with pytest.raises(UserError, match=words):
            capture(clip, folder)
    assert fakes["tracked"] == 0


def test_landmarks_of_other_working_pixels_are_not_taken_up(fakes, tmp_path, monkeypatch):
    """A larger `size` may be worked on in larger frames: landmarks kept from the smaller ones would not fit."""
    clip = write_clip(tmp_path / "clip.mp4", swaying(COUNT, SIDE))
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "WORKING_PX", 64)
        patch.setattr(pipeline, "split_frames", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            capture(clip, tmp_path / "person", CaptureOptions(size=48))
    capture(clip, tmp_path / "person", CaptureOptions(size=64))
    assert fakes["tracked"] == 2
