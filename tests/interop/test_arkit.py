"""Live Link Face: its table read, matched in time with a captured video, and as a driver."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace

import av
import numpy as np
import pytest

from nerface.capture import CaptureOptions, capture
from nerface.data import load_dataset
from nerface.driving.reenact import track_neutral
from nerface.driving.track import read_track
from nerface.errors import UserError
from nerface.interop.arkit_csv import read_face_table
from nerface.interop.arkit_take import ArkitOptions, import_arkit_take
from nerface.interop.formats import find_format
from nerface.weights import sha256_of
from tests.capture.clips import networks
from tests.data.make import write_tiny_dataset
from tests.interop.live_link import SHAPES, START_S, UP, head_at, shapes_at, write_table, write_take_video

RATE_HZ = 25.0
OURS = tuple(name[0].lower() + name[1:] for name in SHAPES)
NETWORK = ("_neutral", *OURS[:-1])  # capture's channels: no tongueOut


def captured(folder, frames=60, begins=2.0):
    """A dataset as capture makes it of a video that begins so many seconds into the recording: scores a little off."""
    write_tiny_dataset(folder, frames=frames, size=(20, 16), expressions=52)
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        file = folder / f"transforms_{split}.json"
        content = json.loads(file.read_text())
        content["expression_names"] = list(NETWORK)
        for frame in content["frames"]:
            face = shapes_at(np.array([begins + frame["source_frame"] / RATE_HZ]))[0]
            frame["expression"] = [0.0, *(0.8 * face[:-1] + 0.05 * rng.standard_normal(51))]
        file.write_text(json.dumps(content))
    (folder / "capture.json").write_text(json.dumps({"scores": {}, "frames": {"used": frames}}))
    return folder


def expected(dataset, begins=2.0):
    """What the recording says of every frame."""
    for name, split in dataset.splits.items():
        for frame in split:
            yield name, frame, shapes_at(np.array([begins + frame.source_frame / RATE_HZ]))[0]


def test_the_table_as_the_app_writes_it(tmp_path):
    take = read_face_table(write_table(tmp_path / "take.csv", lost=(100, 101)))
    times = np.delete(np.arange(480) / 60, [100, 101])
    assert take.rate == 60
    assert take.lost == 2
    assert take.names[:52] == OURS
    assert take.names[52:] == ("leftEyeYaw", "leftEyePitch", "rightEyeYaw", "rightEyePitch")
    np.testing.assert_allclose(take.times, START_S + times, atol=1e-4)
    np.testing.assert_allclose(take.values[:, :52], shapes_at(times), atol=1e-8)
    face = dict(zip(OURS, shapes_at(times).T))
    np.testing.assert_allclose(
        take.values[:, 53], np.radians(35) * face["eyeLookDownLeft"] - UP * face["eyeLookUpLeft"], atol=1e-6
    )


@pytest.mark.parametrize("mirrored", [True, False])
def test_the_mirror_of_the_angles_is_told_from_the_eyes(tmp_path, mirrored):
    take = read_face_table(write_table(tmp_path / "take.csv", mirrored=mirrored))
    turns = head_at(np.arange(480) / 60)
    np.testing.assert_allclose(take.head, turns, atol=1e-8)
    yaw, pitch, _ = turns[30]
    # The nose is the head's z axis: turned to the person's left it points to the right of the picture (+x).
    nose = take.head_rotations()[30] @ [0, 0, 1]
    np.testing.assert_allclose(
        nose, [np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)], atol=1e-8
    )


def test_clocks_past_midnight_and_slow_phones(tmp_path):
    late = read_face_table(write_table(tmp_path / "late.csv", start=86400 - 3.5))
    assert (np.diff(late.times) > 0).all()
    lines = (tmp_path / "late.csv").read_text().splitlines()
    (tmp_path / "slow.csv").write_text(
        "\n".join([lines[0], *lines[1::2]]) + "\n"
    )  # every second frame of a 60 Hz clock
    slow = read_face_table(tmp_path / "slow.csv")
    assert slow.rate == 60
    np.testing.assert_allclose(np.diff(slow.times), 1 / 30, atol=1e-3)


@pytest.mark.parametrize("begins", [0.0, 1.5])
def test_expressions_are_those_of_the_recording_at_the_frames_times(tmp_path, begins):
    """Nothing says when the video begins: found from how the two faces move."""
    source = captured(tmp_path / "captured", begins=begins)
    table = write_table(tmp_path / "take" / "Slate_1_me.csv")
    report = import_arkit_take(table, tmp_path / "person", ArkitOptions(captured=source))
    dataset = load_dataset(tmp_path / "person")
    assert dataset.expression_names[:52] == OURS
    assert len(dataset.expression_names) == 56
    for _, frame, face in expected(dataset, begins):
        np.testing.assert_allclose(frame.expression[:52], face, atol=0.06)  # 10 ms of it
    before = load_dataset(source)
    for name, split in dataset.splits.items():
        assert np.array_equal(split.camera_to_head, before.splits[name].camera_to_head)
        assert np.array_equal(split.images, before.splits[name].images)
    assert ("shifted by 1500 ms" in " ".join(report.notes)) == (begins > 0)
    assert json.loads((tmp_path / "person" / "capture.json").read_text()) == {
        "frames": {"used": 60},
        "expressions_from": "Slate_1_me.csv",
    }


def test_stated_sync_is_taken_as_it_is(tmp_path):
    options = ArkitOptions(captured=captured(tmp_path / "captured"), sync=2.0)
    import_arkit_take(write_table(tmp_path / "take.csv"), tmp_path / "person", options)
    for _, frame, face in expected(load_dataset(tmp_path / "person")):
        np.testing.assert_allclose(frame.expression[:52], face, atol=5e-3)  # straight between samples


def test_the_timecode_of_the_video_tells_when_it_begins(tmp_path):
    """13:23:32:06 at 25 frames a second is 1.99 s after the table's first row, at 13:23:30.25."""
    video = write_take_video(tmp_path / "take.mov", [np.zeros((32, 32, 3), np.uint8)] * 3, "13:23:32:06")
    options = ArkitOptions(captured=captured(tmp_path / "captured", begins=1.99), video=video)
    report = import_arkit_take(write_table(tmp_path / "take.csv"), tmp_path / "person", options)
    assert "by the video's timecode (it begins +1.990 s from the table's first row)" in report.notes[0]
    for _, frame, face in expected(load_dataset(tmp_path / "person"), 1.99):
        np.testing.assert_allclose(frame.expression[:52], face, atol=5e-3)


@pytest.mark.slow
def test_a_take_whose_video_is_captured(shared, tmp_path):
    """The table follows the video's own face; its clock is 80 ms off the video's timecode."""
    networks()
    clip = read_video(shared / "data" / "clips" / "obama_450.mp4", 80)
    video = write_take_video(tmp_path / "take" / "Slate_1_me.mov", clip, "13:23:30:15")  # 0.35 s after START_S
    settings = CaptureOptions(size=128, weights=shared / "models")
    capture(video, tmp_path / "alone", settings)
    track = read_track(tmp_path / "alone", "all")
    order = np.argsort(track.times)
    columns = [track.expression_names.index(name) if name in track.expression_names else 0 for name in OURS]
    scores = track.expressions[order][:, columns]

    def faces(times):
        return np.stack([np.interp(times - 0.43, track.times[order], column) for column in scores.T], axis=1)

    write_table(tmp_path / "take" / "Slate_1_me.csv", seconds=4.5, faces=faces)
    report = import_arkit_take(tmp_path / "take", tmp_path / "person", ArkitOptions(capture=settings))
    assert re.search("timecode .it begins .0.350 s .* shifted by (75|83) ms", report.notes[0])
    person, alone = load_dataset(tmp_path / "person"), load_dataset(tmp_path / "alone")
    assert np.array_equal(person.train.source_frames, alone.train.source_frames)
    jaw, mine = person.expression_names.index("jawOpen"), alone.expression_names.index("jawOpen")
    assert np.corrcoef(person.train.expressions[:, jaw], alone.train.expressions[:, mine])[0, 1] > 0.95
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "person", "take"]


def test_a_kept_capture_is_taken_up_only_for_the_same_video_and_wishes(tmp_path, monkeypatch):
    """Matching failed at first: the second try, with --sync, needs no new capture; another focal length does."""
    captures = []

    def fake(video, folder, options, progress):
        captures.append(options.focal_px)
        captured(folder)
        record = {"source": {"sha256": sha256_of(video)}, "options": {"focal_px": options.focal_px}, "frames": {}}
        (folder / "capture.json").write_text(json.dumps(record))

    monkeypatch.setattr("nerface.capture.capture", fake)
    write_table(tmp_path / "take" / "take.csv")
    write_take_video(tmp_path / "take" / "take.mov", [np.zeros((32, 32, 3), np.uint8)] * 3, "13:23:30:15")
    with pytest.raises(UserError, match="does not move as the face of the video does"):
        import_arkit_take(tmp_path / "take", tmp_path / "person", ArkitOptions(sync=5.0))
    other = ArkitOptions(sync=5.0, capture=CaptureOptions(focal_px=700.0))
    with pytest.raises(UserError, match="does not move as the face of the video does"):
        import_arkit_take(tmp_path / "take", tmp_path / "person", other)
    report = import_arkit_take(tmp_path / "take", tmp_path / "person", replace(other, sync=2.0))
    assert captures == [None, 700.0]
    assert sum(report.counts.values()) == 60
    assert sorted(path.name for path in tmp_path.iterdir()) == ["person", "take"]


def read_video(file, count):
    with av.open(str(file)) as container:
        frames = itertools.islice(container.decode(video=0), count)
        return [frame.to_ndarray(format="rgb24") for frame in frames]


def test_frames_without_a_face_in_the_table_are_left_out(tmp_path):
    """Samples 180 to 204 are lost: seconds 3.0 to 3.4, frames 25 to 35 of the video, both with it."""
    table = write_table(tmp_path / "take.csv", lost=tuple(range(180, 205)))
    options = ArkitOptions(captured=captured(tmp_path / "captured"), sync=2.0)
    report = import_arkit_take(table, tmp_path / "person", options)
    dataset = load_dataset(tmp_path / "person")
    there = np.concatenate([split.source_frames for split in dataset.splits.values()])
    assert report.unused == 60 - len(there) == 11
    assert not set(there) & set(range(25, 36))
    for row, frame in enumerate(dataset.train):
        assert [frame.source_frame, row] in dataset.index_map.tolist()


def test_another_take_exchanged_columns_and_a_mirror_are_told(tmp_path):
    source = captured(tmp_path / "captured")
    other = write_table(tmp_path / "other.csv", seconds=8.0)
    lines = other.read_text().splitlines()
    other.write_text(
        "\n".join([lines[0], *(a.split(",")[0] + "," + b.split(",", 1)[1] for a, b in zip(lines[1:], lines[:0:-1]))])
    )
    with pytest.raises(UserError, match=r"does not move as the face of the video does .* another take"):
        import_arkit_take(other, tmp_path / "a", ArkitOptions(captured=source))
    swapped = write_table(tmp_path / "swapped.csv", swap=("JawOpen", "BrowInnerUp"))
    with pytest.raises(UserError, match="columns are exchanged: in the video jawOpen moves as the table's browInnerUp"):
        import_arkit_take(swapped, tmp_path / "a", ArkitOptions(captured=source))
    table = write_table(tmp_path / "mirrored.csv")
    head, rest = table.read_text().split("\n", 1)
    head = re.sub("(Left|Right)(?=,)", lambda side: {"Left": "Right", "Right": "Left"}[side[0]], head)
    table.write_text(head + "\n" + rest)
    report = import_arkit_take(table, tmp_path / "b", ArkitOptions(captured=source))
    assert any("left and right are exchanged" in note for note in report.notes)
    with pytest.raises(UserError, match=r"tells of 0% of the dataset's frames"):
        import_arkit_take(write_table(tmp_path / "t.csv"), tmp_path / "a", ArkitOptions(captured=source, sync=-60.0))
    assert not (tmp_path / "a").exists()


def spoilt(tmp_path, change):
    file = write_table(tmp_path / "take.csv", seconds=4.0)
    lines = change(file.read_text().splitlines())
    file.write_text("\n".join(lines) + "\n")
    return file


FAULTS = [
    (lambda lines: [lines[0].replace("JawLeft,", ""), *lines[1:]], "has 51 columns of coefficients, ARKit has 52"),
    (
        lambda lines: [*lines[:9], lines[9].replace(":30:", "-30-"), *lines[10:]],
        r"line 10: '.*' is no timecode HH:MM:SS",
    ),
    (lambda lines: [*lines[:9], lines[3], *lines[10:]], "line 10: its timecode is not later"),
    (
        lambda lines: [*lines[:9], lines[9].replace("61,0.", "61,x.", 1), *lines[10:]],
        r"line 10: 'x\..*' under 'EyeBlinkLeft'",
    ),
    (lambda lines: [lines[0], *(line.split(",")[0] + ",0" for line in lines[1:])], "shows a face in 0 of 240 rows"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS)
def test_broken_tables_are_one_line(tmp_path, change, message):
    with pytest.raises(UserError, match=message) as fault:
        read_face_table(spoilt(tmp_path, change))
    assert "\n" not in str(fault.value)


def test_the_take_folder_is_known_by_its_table(tmp_path):
    write_table(tmp_path / "take" / "Slate_1_me_raw.csv")
    write_table(tmp_path / "take" / "Slate_1_me_neutral.csv", seconds=1.0)
    write_table(tmp_path / "take" / "Slate_1_me_cal.csv")
    assert find_format(tmp_path / "take").name == "arkit"
    with pytest.raises(UserError, match="holds no video"):
        import_arkit_take(tmp_path / "take", tmp_path / "person")
    source = captured(tmp_path / "captured", begins=0.0)
    report = import_arkit_take(tmp_path / "take", tmp_path / "person", ArkitOptions(captured=source))
    assert any("Slate_1_me_cal.csv" in note for note in report.notes)


def test_a_table_drives_an_avatar(tmp_path):
    """It reads as a track: channels by name, times, and head turns as the change of camera that they are."""
    track = read_track(write_table(tmp_path / "take.csv"), "test")
    assert len(track.members("test")) == len(track) == 480
    assert track.rate(track.members("test")) == pytest.approx(60, rel=1e-3)
    yaw, _, _ = head_at(np.array([0.5]))[0]
    # Seen from the head, the camera goes the other way: the nose turned to +x leaves it towards -x.
    place = track.camera_to_head[30, :3, 3]
    assert np.linalg.norm(place) == pytest.approx(0.5, rel=1e-5)
    assert np.sign(place[0]) == -np.sign(yaw)
    neutral = track_neutral(track)
    assert np.abs(neutral.camera_to_head[:3, 3] - [0, 0, 0.5]).max() < 0.1
    still = read_track(write_table(tmp_path / "still.csv", head=False), "all")
    assert np.array_equal(still.camera_to_head[0], still.camera_to_head[400])
