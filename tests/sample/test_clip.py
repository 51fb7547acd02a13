"""The clip's files: the same every time, whole or absent, and not drawn twice."""

from pathlib import Path

import av
import numpy as np
import pytest

from nerface.errors import UserError
from nerface.sample import clip as clip_module
from nerface.sample import make_sample_clip
from nerface.sample.clip import CAMERA, sample_frames
from nerface.sample.motion import FRAME_RATE
from nerface.sample.shapes import CHANNELS


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return list(sample_frames(3))


def test_pictures_are_the_same_every_time(frames: list[np.ndarray]) -> None:
    for first, second in zip(frames, sample_frames(3)):
        np.testing.assert_array_equal(first, second)
    assert frames[0].shape == (CAMERA.height, CAMERA.width, 3)
    assert frames[0].dtype == np.uint8


def test_the_backdrop_stands_still_and_the_face_is_drawn(frames: list[np.ndarray]) -> None:
    for corner in (np.s_[:20, :40], np.s_[:20, -40:]):
        np.testing.assert_array_equal(frames[0][corner], frames[2][corner])
    skin = frames[0][110:250, 90:230].astype(float)
    assert (skin[..., 0] > skin[..., 2] + 10).mean() > 0.7


def test_files_truth_and_the_second_call(tmp_path: Path) -> None:
    made = make_sample_clip(tmp_path / "new", frames=3)
    with av.open(str(made.video)) as container:
        assert float(container.streams.video[0].average_rate) == FRAME_RATE
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) == 3
    for picture, drawn in zip(pictures, sample_frames(3)):
        assert np.abs(picture.astype(float) - drawn).mean() < 4.0
    with np.load(made.truth, allow_pickle=False) as truth:
        assert truth["camera_to_head"].shape == (3, 4, 4)
        assert tuple(truth["expression_names"]) == CHANNELS
        assert truth["expressions"].shape == (3, len(CHANNELS))
        assert list(truth["size"]) == [CAMERA.width, CAMERA.height]
        np.testing.assert_allclose(truth["intrinsics"], [CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy])
        distance = np.linalg.norm(truth["camera_to_head"][:, :3, 3], axis=1)
        assert np.all((distance > 34.0) & (distance < 48.0))
    before = made.video.stat().st_mtime_ns
    assert make_sample_clip(tmp_path / "new", frames=3) == made
    assert made.video.stat().st_mtime_ns == before
    make_sample_clip(tmp_path / "new", frames=2)
    with av.open(str(made.video)) as container:
        assert len(list(container.decode(video=0))) == 2


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(clip_module, "write_truth", broken)
    monkeypatch.setattr(clip_module, "_draw_frame", lambda stage, frame: np.zeros((320, 320, 3), np.uint8))
    with pytest.raises(OSError, match="no space"):
        make_sample_clip(tmp_path, frames=1)
    assert not list(tmp_path.glob("*.npz"))
    assert not list(tmp_path.glob("*.json"))
    assert not list(tmp_path.glob(".partial-*"))
    assert not list(tmp_path.glob("*.mp4"))


def test_no_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least one"):
        make_sample_clip(tmp_path, frames=0)


@pytest.mark.slow
def test_the_landmark_net_tracks_the_subject_and_reads_its_expressions(shared: Path) -> None:
    from nerface.capture.landmarker import SCORE_NAMES, FaceLandmarker, region_from

    net = FaceLandmarker(shared / "models" / "face_landmarker.task")
    drawn = list(sample_frames(clip_module.FRAMES))
    truth = clip_module.make_motion(len(drawn), np.random.default_rng([0, 2])).weights
    region = net.detect(drawn[0])[0]
    faces = []
    for image in drawn:
        faces.append(net.measure(image, region))
        region = region_from(faces[-1])
    assert min(face.presence for face in faces) > 0.9
    # 234 and 454 are the face's outermost points, before the ears.
    width = [np.linalg.norm(face.landmarks[454, :2] - face.landmarks[234, :2]) for face in faces]
    assert np.median(width) > 140.0
    assert min(width) > 128.0
    scores = np.array([face.scores for face in faces])
    for name, least in (
        ("jawOpen", 0.9),
        ("eyeBlinkLeft", 0.85),
        ("eyeBlinkRight", 0.85),
        ("mouthSmileLeft", 0.85),
        ("mouthSmileRight", 0.85),
        ("browInnerUp", 0.8),
    ):
        found = np.corrcoef(scores[:, SCORE_NAMES.index(name)], truth[:, CHANNELS.index(name)])[0, 1]
        assert found > least, (name, found)
