"""A video that cannot become an avatar: one line says why, and nothing is left of the attempt."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.apps.calls import check_refused, nerface, program
from tests.capture.clips import write_clip

SMALL = ["--size", 48]


def _refuse(video: Path, folder: Path, *words: str, options: list[object], alone: bool = True) -> None:
    """Both verbs that take a video refuse it and leave the folder's place empty."""
    for verb in ("capture", "create"):
        out = folder / verb / "out"
        settings = [*SMALL, *options, *(["--preset", "tiny", "--device", "cpu"] if verb == "create" else [])]
        check_refused(nerface(verb, video, "-o", out, *settings), *words, alone=alone)
        assert not out.exists()
        assert list(out.parent.glob("*")) == list(out.parent.glob(".*")) == []


def test_no_such_file(tmp_path, networks):
    _refuse(tmp_path / "nothing.mp4", tmp_path, "nothing.mp4: no such file", options=networks)


def test_a_text_file_with_the_name_of_a_video(tmp_path, networks):
    video = tmp_path / "story.mp4"
    video.write_text("Once upon a time\n" * 50)
    _refuse(video, tmp_path, "story.mp4 is not a video", options=networks)


def test_a_folder(tmp_path, networks):
    (tmp_path / "clip.mp4").mkdir()
    _refuse(tmp_path / "clip.mp4", tmp_path, "is a folder, not a video file", options=networks)


def test_sound_alone(tmp_path, networks):
    video = tmp_path / "song.mp4"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        for number in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 8000, 1024 * number, Fraction(1, 8000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    _refuse(video, tmp_path, "song.mp4 holds sound but no picture", options=networks)


def test_a_cut_off_file(tmp_path, networks, sample_video):
    video = tmp_path / "half.mp4"
    video.write_bytes(sample_video.read_bytes()[: sample_video.stat().st_size // 2])
    _refuse(video, tmp_path, "half.mp4", "cut off", options=networks, alone=False)


def test_no_face(tmp_path, networks):
    walls = [np.full((96, 96, 3), 60 + 5 * number, np.uint8) for number in range(12)]
    video = write_clip(tmp_path / "wall.mp4", walls)
    _refuse(video, tmp_path, "no face was found in any of the 12 frames", options=networks, alone=False)


def test_a_face_in_too_few_frames(tmp_path, networks, sample_images):
    walls = [np.full_like(sample_images[0], 90)] * 12
    video = write_clip(tmp_path / "left.mp4", [*sample_images[:12], *walls])
    options = [*networks, "--min-face-share", 0.8]
    _refuse(video, tmp_path, "12 of 24 frames (50%)", "80% are needed", options=options, alone=False)


def test_two_faces(tmp_path, networks, sample_images):
    pairs = [np.concatenate([image, image[:, ::-1]], axis=1) for image in sample_images[:12]]
    video = write_clip(tmp_path / "pair.mp4", pairs)
    _refuse(video, tmp_path, "two faces throughout", options=networks, alone=False)


def test_three_frames(tmp_path, networks, sample_images):
    video = write_clip(tmp_path / "blink.mp4", sample_images[:3])
    _refuse(video, tmp_path, "3 frames", "at least 10", options=networks, alone=False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", 0], "size 0"),
        (["--focal", "-5"], "focal length"),
        (["--focal", "nan"], "focal length"),
        (["--test-share", 1.5], "test share"),
        (["--min-face-share", 0], "least share"),
        (["--format", "bmp"], "--format"),
        (["--size", "large"], "--size"),
        (["--wieghts", "here"], "--wieghts"),
    ],
)
def test_options_that_make_no_sense(tmp_path, sample_video, networks, options, words):
    _refuse(sample_video, tmp_path, words, options=[*networks, *options])


def test_missing_and_wrong_weights(tmp_path, sample_video, monkeypatch):
    monkeypatch.delenv("NERFACE_WEIGHTS", raising=False)
    monkeypatch.setenv("NERFACE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "empty").mkdir()
    _refuse(sample_video, tmp_path, "run `nerface weights`", options=["--weights", tmp_path / "empty"])
    _refuse(sample_video, tmp_path, "does not exist", options=["--weights", tmp_path / "nowhere"])
    (tmp_path / "empty" / "face_landmarker.task").write_text("not the network")
    _refuse(sample_video, tmp_path, "sha256", options=["--weights", tmp_path / "empty"])
    check_refused(nerface("demo", "-o", tmp_path / "demo", "--weights", tmp_path / "nowhere"), "does not exist")
    assert not (tmp_path / "demo").exists()


def test_a_folder_in_use_is_left_as_it_is(tmp_path, sample_video, networks):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "note.txt").write_text("mine")
    for verb in ("capture", "create"):
        check_refused(nerface(verb, sample_video, "-o", tmp_path / "out", *networks), "already holds something")
    check_refused(nerface("demo", "-o", tmp_path / "out", *networks), "already holds something")
    check_refused(nerface("demo", "-o", tmp_path / "out", "--resume", *networks), "already holds something")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["note.txt"]
    check_refused(nerface("capture", sample_video, "-o", tmp_path / "out" / "note.txt", *networks), "is a file")
    check_refused(nerface("capture", sample_video, "-o", tmp_path / "out" / "note.txt" / "x", *networks), "note.txt")


def test_as_a_program(tmp_path, networks):
    check_refused(program("create", tmp_path / "nothing.mp4", "-o", tmp_path / "out", *networks), "no such file")
    walls = [np.full((96, 96, 3), 60 + 5 * number, np.uint8) for number in range(12)]
    video = write_clip(tmp_path / "wall.mp4", walls)
    answer = program("capture", video, "-o", tmp_path / "out", *networks)
    check_refused(answer, "no face", alone=False)
    assert not (tmp_path / "out").exists()
