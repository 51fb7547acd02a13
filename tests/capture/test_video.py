from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from nerface.capture.video import VideoReader, iterate, probe, repeated_frames, thumbnail
from tests.capture.clips import textured, write_clip
from tests.capture.video_files import encode, set_display_matrix, set_edit

CLOCKWISE = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def _near(image, expected):
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 6  # 4:2:0 and compression


def test_frames_come_in_order_with_times(tmp_path):
    images = textured(12)
    clip = write_clip(tmp_path / "clip.mp4", images)
    info = probe(clip)
    assert (info.width, info.height, info.frame_rate, info.frames) == (64, 48, 25.0, 12)
    assert (info.original_size, info.scale, info.mirrored, info.alpha, info.notes) == ((64, 48), 1.0, False, False, ())
    frames = list(iterate(clip))
    assert [frame.index for frame in frames] == list(range(12))
    np.testing.assert_allclose([frame.timestamp for frame in frames], np.arange(12) / 25)
    for frame, image in zip(frames, images):
        assert frame.image.dtype == np.uint8
        assert frame.alpha is None
        _near(frame.image, image)


def test_a_reader_can_be_read_again(tmp_path):
    reader = VideoReader(write_clip(tmp_path / "clip.mp4", textured(5)))
    first, again = list(reader), list(reader)
    assert len(first) == 5
    assert all((one.image == other.image).all() for one, other in zip(first, again))


def test_variable_frame_rate_keeps_its_time_stamps(tmp_path):
    pts = [0, 1, 2, 5, 6, 9, 10, 11, 12, 15]
    clip = write_clip(tmp_path / "clip.mp4", textured(10), rate=30, pts=pts)
    np.testing.assert_allclose([frame.timestamp for frame in iterate(clip)], np.array(pts) / 30, atol=1e-6)


def test_times_start_at_zero_and_frames_are_shown_in_order(tmp_path):
    images = textured(30)
    options = {"bf": "3", "g": "12", "qp": "10"}
    clip = encode(tmp_path / "clip.mkv", images, options=options, container={"output_ts_offset": "-0.5"})
    frames = list(iterate(clip))
    np.testing.assert_allclose([frame.timestamp for frame in frames], np.arange(30) / 25, atol=1e-3)
    for frame, image in zip(frames, images):
        _near(frame.image, image)


def test_only_what_the_edit_list_shows_is_used(tmp_path):
    images = textured(40)
    clip = encode(tmp_path / "clip.mp4", images, options={"bf": "2", "g": "10", "qp": "10"})
    set_edit(clip, first_frame=15, frames=10)
    assert probe(clip).frames == 10
    frames = list(iterate(clip))
    np.testing.assert_allclose([frame.timestamp for frame in frames], np.arange(10) / 25, atol=1e-6)
    for frame, image in zip(frames, images[15:25]):
        _near(frame.image, image)


@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_rotation_tag_is_applied(tmp_path, clockwise):
    image = textured(1)[0]
    clip = set_display_matrix(write_clip(tmp_path / "clip.mp4", [image] * 3), *CLOCKWISE[clockwise])
    expected = np.rot90(image, -clockwise // 90)
    info = probe(clip)
    assert (info.height, info.width) == expected.shape[:2]
    assert (info.mirrored, info.notes) == (False, ())
    _near(next(iterate(clip)).image, expected)


@pytest.mark.parametrize("matrix", [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)])
def test_mirroring_tag_is_applied_and_told(tmp_path, matrix):
    image = textured(1)[0]
    clip = set_display_matrix(write_clip(tmp_path / "clip.mp4", [image] * 3), *matrix)
    # Pixel (x, y) about the centre is shown at (a x + c y, b x + d y).
    a, b, c, d = matrix
    expected = image.transpose(1, 0, 2) if a == 0 else image
    expected = expected[:, ::-1] if a + c < 0 else expected
    expected = expected[::-1] if b + d < 0 else expected
    info = probe(clip)
    assert info.mirrored
    assert any("mirrored" in note for note in info.notes)
    _near(next(iterate(clip)).image, expected)


@pytest.mark.parametrize("size", [(65, 49), (853, 479), (31, 17)])
def test_odd_sizes(tmp_path, size):
    width, height = size
    image = textured(1, width, height)[0]
    clip = encode(tmp_path / "clip.mkv", [image] * 2, "ffv1")
    assert (probe(clip).width, probe(clip).height) == size
    _near(next(iterate(clip)).image, image)


def test_pixel_aspect_is_resampled_to_square(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", textured(3), pixel_aspect=Fraction(3, 4))
    info = probe(clip)
    assert (info.width, info.height, info.coded_size, info.pixel_aspect) == (48, 48, (64, 48), 0.75)
    assert next(iterate(clip)).image.shape == (48, 48, 3)


def test_absurd_pixel_aspect_is_not_believed(tmp_path):
    info = probe(write_clip(tmp_path / "clip.mp4", textured(3), pixel_aspect=Fraction(9, 1)))
    assert (info.width, info.pixel_aspect) == (64, 1.0)
    assert "not believed" in info.notes[0]


def test_large_pictures_come_at_the_working_size(tmp_path):
    image = textured(1, 400, 300)[0]
    clip = set_display_matrix(write_clip(tmp_path / "clip.mp4", [image] * 2), *CLOCKWISE[90])
    info = probe(clip, longest=200)
    assert (info.width, info.height, info.original_size, info.scale) == (150, 200, (300, 400), 0.5)
    assert any("150x200" in note for note in info.notes)
    frame = next(iterate(clip, longest=200))
    expected = np.rot90(image.reshape(150, 2, 200, 2, 3).mean((1, 3)), -1)
    assert frame.image.shape == (200, 150, 3)
    # No shift: a quarter of a pixel would show at the edges of this picture.
    assert np.abs(frame.image[4:-4, 4:-4].astype(float) - expected[4:-4, 4:-4]).mean() < 2


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
