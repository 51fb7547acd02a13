"""Bad input: one clear line each, and damage in the middle survived."""

from __future__ import annotations

import os
import struct
from collections.abc import Container
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from nerface.capture.video import VideoReader, iterate, probe
from nerface.capture.video_gaps import missing_frames
from nerface.errors import UserError
from tests.capture.clips import swaying, textured, write_clip
from tests.capture.video_files import damage, empty_sample, encode, samples


def _sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _written(path, content):
    path.write_bytes(content)
    return path


def _pictures(folder):
    made = []
    for kind in ("jpg", "png", "bmp", "webp", "tiff", "avif"):
        path = folder / f"face.{kind}"
        if cv2.imwrite(str(path), textured(1)[0]):
            made.append(path)
    return made


def test_what_is_no_video_gives_one_clear_line(tmp_path):
    cases = {
        tmp_path / "missing.mp4": "no such file",
        tmp_path: "is a folder",
        _written(tmp_path / "empty.mp4", b""): "is empty",
        _written(tmp_path / "notes.mp4", b"no video at all\n" * 50): "not a video",
        _written(tmp_path / "notes.txt", b"no video at all\n" * 50): "not a video",
        _written(tmp_path / "noise.mp4", np.random.default_rng(0).bytes(5000)): "not a video",
        _sound(tmp_path / "sound.wav"): "sound but no picture",
        **dict.fromkeys(_pictures(tmp_path), "is a picture"),
    }
    assert len(cases) >= 12
    for path, words in cases.items():
        with pytest.raises(UserError, match=words) as caught:
            probe(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", textured(3))
    clip.chmod(0)
    with pytest.raises(UserError, match="permission denied"):
        probe(clip)


def test_odd_file_names_are_files(tmp_path):
    clip = write_clip(tmp_path / "a:b c%03d'?.mp4", textured(3))
    assert len(list(iterate(clip))) == 3


def test_a_playlist_reaches_for_no_address(tmp_path):
    lines = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/clip.ts\n#EXT-X-ENDLIST\n"
    for name in ("list.m3u8", "list.mp4"):
        with pytest.raises(UserError):
            probe(_written(tmp_path / name, lines.encode()))


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_cut_off_file_is_refused(tmp_path, codec):
    clip = encode(tmp_path / "clip.mp4", textured(60), codec, container={"movflags": "faststart"})
    clip.write_bytes(clip.read_bytes()[: int(clip.stat().st_size * 0.6)])
    with pytest.raises(UserError, match="cut off"):
        list(iterate(clip))


def test_cut_off_before_its_index_is_refused(tmp_path):
    clip = encode(tmp_path / "clip.mp4", textured(30))
    clip.write_bytes(clip.read_bytes()[:-500])
    with pytest.raises(UserError, match="not a video that can be read"):
        probe(clip)


PLAIN = {"g": "20", "sc_threshold": "0", "qp": "20"}  # a key frame every 20 frames and nowhere else


@pytest.mark.parametrize("bframes", ["0", "3"])
def test_damage_in_the_middle_costs_only_what_leans_on_it(tmp_path, bframes):
    clean = encode(tmp_path / "clean.mp4", swaying(120, 96), options={**PLAIN, "bf": bframes})
    expected = [frame.image for frame in iterate(clean)]
    reader = VideoReader(damage(clean, first=48, count=2))
    frames = list(reader)
    # From the fault to the next key frame (60), and the few before it that may lean on it.
    assert 120 - 30 <= len(frames) <= 120 - 10
    assert reader.damage.lost == 120 - len(frames)
    assert reader.notes == (f"{reader.damage.lost} damaged frames left out",)
    numbers = [round(frame.timestamp * 25) for frame in frames]
    assert numbers[-1] == 119
    assert [frame.index for frame in frames] == list(range(len(frames)))
    for number, frame in zip(numbers, frames):
        np.testing.assert_array_equal(frame.image, expected[number])


def test_too_much_damage_is_refused(tmp_path):
    clip = encode(tmp_path / "clip.mp4", swaying(60, 96), options={**PLAIN, "g": "60", "bf": "0"})
    with pytest.raises(UserError, match=r"damaged: \d+ of its 60 frames cannot be used"):
        list(iterate(damage(clip, first=20, count=3)))


def test_empty_packets_are_stepped_over(tmp_path):
    reader = VideoReader(empty_sample(encode(tmp_path / "clip.mov", textured(20), "mjpeg", "yuvj420p"), 7))
    frames = list(reader)
    assert [round(frame.timestamp * 25) for frame in frames] == [number for number in range(20) if number != 7]
    assert reader.notes == ("1 frames of the file are empty",)


def _joined(path, parts):
    """MJPEG streams of several sizes one after the other, as an adaptive stream is recorded."""
    with av.open(str(path), "w") as output:
        stream, number = None, 0
        for part in parts:
            with av.open(str(part)) as container:
                stream = stream or output.add_stream_from_template(container.streams.video[0])
                for packet in container.demux(video=0):
                    if packet.size:
                        packet.pts = packet.dts = number * 40
                        packet.time_base = Fraction(1, 1000)
                        packet.stream = stream
                        output.mux(packet)
                        number += 1
    return path


def test_another_size_of_the_same_picture_is_scaled(tmp_path):
    images = textured(2, 128, 96)
    parts = [
        encode(tmp_path / "a.mkv", images[:1] * 3, "mjpeg", "yuvj420p"),
        encode(
            tmp_path / "b.mkv", [cv2.resize(images[0], (64, 48), interpolation=cv2.INTER_AREA)] * 3, "mjpeg", "yuvj420p"
        ),
    ]
    reader = VideoReader(_joined(tmp_path / "both.mkv", parts))
    frames = list(reader)
    assert len(frames) == 6
    assert all(frame.image.shape == (96, 128, 3) for frame in frames)
    assert np.abs(frames[5].image.astype(int) - frames[0].image).mean() < 5
    assert reader.notes == ("3 frames have another size than the first and were scaled to it",)


def test_another_shape_of_picture_is_refused(tmp_path):
    parts = [
        encode(tmp_path / "a.mkv", textured(3, 128, 96), "mjpeg", "yuvj420p"),
        encode(tmp_path / "b.mkv", textured(3, 96, 128), "mjpeg", "yuvj420p"),
    ]
    with pytest.raises(UserError, match="from 128x96 to 96x128 at frame 3"):
        list(iterate(_joined(tmp_path / "both.mkv", parts)))


def test_samples_are_where_the_damage_goes(tmp_path):
    """The helper itself: a file has as many coded frames as pictures, all inside it."""
    clip = encode(tmp_path / "clip.mp4", textured(12))
    places = list(samples(clip))
    assert len(places) == 12
    assert all(start > 0 and start + size <= clip.stat().st_size for start, size in places)


def _without_chunks(path: Path, missing: Container[int]) -> Path:
    """The AVI with these pictures of no length, as a capture program writes where it dropped a frame."""
    data = bytearray(path.read_bytes())
    start, number = data.find(b"movi") + 4, 0
    while data[start : start + 4] == b"00dc":
        (size,) = struct.unpack_from("<I", data, start + 4)
        end = start + 8 + size + size % 2
        if number in missing:
            struct.pack_into("<I4sI", data, start + 4, 0, b"JUNK", end - start - 16)
        start, number = end, number + 1
    index = data.find(b"idx1")
    for number in range(struct.unpack_from("<I", data, index + 4)[0] // 16):
        if number in missing:
            struct.pack_into("<I", data, index + 8 + 16 * number + 12, 0)
    path.write_bytes(data)
    return path


def test_frames_that_the_file_lacks_are_told_and_borne_up_to_a_quarter(tmp_path):
    def clip():
        return encode(tmp_path / "clip.avi", textured(40), "mjpeg", "yuvj420p")

    reader = VideoReader(_without_chunks(clip(), range(3, 40, 5)))
    assert [round(frame.timestamp * 25) for frame in reader] == [n for n in range(40) if n % 5 != 3]
    assert reader.notes == ("8 frames are missing (gaps in the time stamps)",)
    with pytest.raises(UserError, match=r"lacks 13 of its 40 frames"):
        list(VideoReader(_without_chunks(clip(), range(1, 40, 3))))


def test_gaps_of_a_varying_frame_rate_are_no_missing_frames():
    steady = np.arange(40) / 30
    assert missing_frames(np.delete(steady, [5, 20, 21])) == 3
    assert missing_frames(steady.round(3)) == 0
    assert missing_frames(np.cumsum(np.tile([1, 2], 20)) / 30) == 0
