from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from nerface.capture.video import iterate, probe, repeated_frames, thumbnail
from nerface.errors import UserError
from tests.capture.clips import textured, write_clip


def _with_rotation(path, clockwise):
    """Set the display matrix of the first track of an MP4 (ISO 14496-12, 8.3.2: row-major 16.16 numbers in tkhd)."""
    data = bytearray(path.read_bytes())
    start = data.find(b"tkhd") + 4 + 4 + 20 + 8 + 8  # version and flags, times and ids, reserved, layer to volume
    one = 1 << 16
    a, b, c, d = {90: (0, one, -one, 0), 180: (-one, 0, 0, -one), 270: (0, -one, one, 0)}[clockwise]
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def _near(image, expected):
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 6  # 4:2:0 and compression


def test_frames_come_in_order_with_times(tmp_path):
    images = textured(12)
    clip = write_clip(tmp_path / "clip.mp4", images)
    info = probe(clip)
    assert (info.width, info.height, info.frame_rate, info.frames) == (64, 48, 25.0, 12)
    frames = list(iterate(clip))
    assert [frame.index for frame in frames] == list(range(12))
    np.testing.assert_allclose([frame.timestamp for frame in frames], np.arange(12) / 25)
    for frame, image in zip(frames, images):
        assert frame.image.dtype == np.uint8
        _near(frame.image, image)


def test_variable_frame_rate_keeps_its_time_stamps(tmp_path):
    pts = [0, 1, 2, 5, 6, 9, 10, 11, 12, 15]
    clip = write_clip(tmp_path / "clip.mp4", textured(10), rate=30, pts=pts)
    np.testing.assert_allclose([frame.timestamp for frame in iterate(clip)], np.array(pts) / 30, atol=1e-6)


@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_rotation_tag_is_applied(tmp_path, clockwise):
    image = textured(1)[0]
    clip = _with_rotation(write_clip(tmp_path / "clip.mp4", [image] * 3), clockwise)
    expected = np.rot90(image, -clockwise // 90)
    info = probe(clip)
    assert (info.height, info.width) == expected.shape[:2]
    _near(next(iterate(clip)).image, expected)


def test_pixel_aspect_is_resampled_to_square(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", textured(3), pixel_aspect=Fraction(3, 4))
    info = probe(clip)
    assert (info.width, info.height, info.coded_size, info.pixel_aspect) == (48, 48, (64, 48), 0.75)
    assert next(iterate(clip)).image.shape == (48, 48, 3)


def test_absurd_pixel_aspect_is_not_believed(tmp_path):
    info = probe(write_clip(tmp_path / "clip.mp4", textured(3), pixel_aspect=Fraction(9, 1)))
    assert (info.width, info.pixel_aspect) == (64, 1.0)
    assert "not believed" in info.note


def test_padded_frame_rate_is_found(tmp_path):
    padded, truth = [], []
    for number, image in enumerate(textured(20)):
        copies = 2 if number % 5 == 4 else 1
        padded += [image] * copies
        truth += [False] + [True] * (copies - 1)
    small = [thumbnail(frame.image) for frame in iterate(write_clip(tmp_path / "clip.mp4", padded, rate=30))]
    differences = [np.inf] + [float(np.abs(a - b).mean()) for a, b in zip(small[1:], small)]
    assert repeated_frames(np.array(differences)).tolist() == truth


def test_holding_still_is_not_a_repeat():
    slowing = np.array([np.inf, 1.0, 0.9, 0.6, 0.35, 0.2, 0.12, 0.12, 0.15, 0.3, 0.6, 0.9, 1.0])
    assert not repeated_frames(slowing).any()
    once = np.array([np.inf] + [1.0] * 60)
    once[30] = 0.2
    assert not repeated_frames(once).any()
    once[30] = 0.0
    assert np.flatnonzero(repeated_frames(once)).tolist() == [30]


def _sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_bad_files_give_one_clear_line(tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all\n" * 50)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    cases = {
        tmp_path / "missing.mp4": "no such file",
        tmp_path: "is a folder",
        text: "not a video",
        empty: "not a video",
        _sound(tmp_path / "sound.wav"): "sound but no picture",
    }
    for path, words in cases.items():
        with pytest.raises(UserError, match=words) as caught:
            probe(path)
        assert "\n" not in str(caught.value)


def test_cut_off_file_is_refused(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", textured(60))
    clip.write_bytes(clip.read_bytes()[: int(clip.stat().st_size * 0.6)])
    with pytest.raises(UserError, match="cut off"):
        list(iterate(clip))
