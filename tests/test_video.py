"""Videos written here decode to what went in."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from nerface import video
from nerface.video import VideoWriter


def picture(width: int, height: int, shift: int = 0) -> np.ndarray:
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[:, : width // 2] = [200, 30, 30 + shift]
    image[:, width // 2 :] = [30, 60, 220]
    return image


def decode(path) -> tuple[list[np.ndarray], Fraction]:
    """Frames and frame rate of a video."""
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)], rate


@pytest.mark.parametrize("encoder", ["libx264", "mpeg4"])
@pytest.mark.parametrize("size", [(64, 48), (51, 33)])
def test_frames_colours_rate_and_even_size(tmp_path, monkeypatch, encoder, size):
    if encoder not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {encoder}")
    monkeypatch.setattr(video, "_encoder_name", lambda: encoder)
    width, height = size
    with VideoWriter(tmp_path / "out" / "v.mp4", 30000 / 1001, width, height) as writer:
        for shift in range(5):
            writer.write(picture(width, height, shift))
    assert writer.encoder == encoder
    frames, rate = decode(tmp_path / "out" / "v.mp4")
    assert len(frames) == writer.frames_written == 5
    assert rate == Fraction(30000, 1001)
    assert frames[0].shape == (height + height % 2, width + width % 2, 3)
    expected = np.pad(picture(width, height), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    columns = np.r_[: width // 2 - 8, width // 2 + 8 : frames[0].shape[1]]  # away from the colour edge of 4:2:0
    assert np.abs(frames[0].astype(int) - expected)[:, columns].max() <= 6


def test_faults_leave_no_file(tmp_path):
    path = tmp_path / "v.mp4"

    def turn_half_way() -> None:
        with VideoWriter(path, 25, 32, 16) as writer:
            writer.write(picture(32, 16))
            writer.write(picture(16, 32))

    with pytest.raises(ValueError, match="takes uint8"):
        turn_half_way()
    with pytest.raises(ValueError, match="no picture"), VideoWriter(path, 25, 32, 16):
        pass
    with pytest.raises(ValueError, match="takes uint8"), VideoWriter(path, 25, 32, 16) as writer:
        writer.write(picture(32, 16).astype(np.float32))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError):
        VideoWriter(path, 0, 32, 16)


def test_the_index_is_at_the_front(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", 25, 32, 16) as writer:
        writer.write(picture(32, 16))
    data = (tmp_path / "v.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_fallback_says_so(monkeypatch, caplog):
    video._encoder_name.cache_clear()
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    assert video._encoder_name() == "mpeg4"
    assert video._encoder_name() == "mpeg4"
    assert len(caplog.records) == 1
    video._encoder_name.cache_clear()
