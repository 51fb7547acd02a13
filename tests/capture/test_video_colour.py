from __future__ import annotations

import av
import numpy as np
import pytest

from nerface.capture.video import VideoReader, iterate, probe
from nerface.capture.video_colour import (
    ALPHA_BACKDROP,
    BT2020_PRIMARIES,
    HLG,
    P3_PRIMARIES,
    PQ,
    TO_BT709,
    Colour,
    hlg_to_scene,
    looked_up,
    pq_to_display,
    rolled_off,
    tone_mapped,
)
from nerface.errors import UserError
from tests.capture.clips import portrait, textured
from tests.capture.video_files import encode, flat

LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def _rgb(codes, matrix, full, bits):
    """RGB in levels of 255 of Y, Cb, Cr code values (ITU-T H.273, 8.3)."""
    unit = 2 ** (bits - 8)
    y, cb, cr = (value / unit for value in codes)
    if full:
        top = (2**bits - 1) / unit
        y, cb, cr = y / top, (cb - 128) / top, (cr - 128) / top
    else:
        y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    red_share, blue_share = LUMA[matrix]
    red, blue = y + 2 * (1 - red_share) * cr, y + 2 * (1 - blue_share) * cb
    green = (y - red_share * red - blue_share * blue) / (1 - red_share - blue_share)
    return 255 * np.array([red, green, blue])


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"])
@pytest.mark.parametrize("matrix", [1, 5, 6])
@pytest.mark.parametrize("color_range", [1, 2])
def test_matrix_and_range_are_respected(tmp_path, pixels, matrix, color_range):
    bits = 10 if "10" in pixels else 8
    codes = [value << (bits - 8) for value in (120, 100, 150)]
    colours = {"colorspace": matrix, "color_range": color_range}
    clip = encode(tmp_path / "clip.mkv", [flat(pixels, codes)] * 2, "ffv1", pixels, colours=colours)
    image = next(iterate(clip)).image
    assert np.abs(image - _rgb(codes, matrix, color_range == 2, bits)).max() < 1


@pytest.mark.parametrize(("width", "matrix"), [(64, 5), (1280, 1)])
def test_untagged_colours_go_by_the_size(tmp_path, width, matrix):
    codes = (120, 100, 150)
    clip = encode(tmp_path / "clip.mkv", [flat("yuv420p", codes, width)] * 2, "ffv1")
    assert np.abs(next(iterate(clip)).image - _rgb(codes, matrix, False, 8)).max() < 1


def test_pictures_survive_colour_planes_of_half_the_size(tmp_path):
    image = portrait()
    clip = encode(tmp_path / "clip.mkv", [image] * 2, "ffv1")
    difference = next(iterate(clip)).image.astype(float) - image
    assert 10 * np.log10(255**2 / (difference**2).mean()) > 39
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.2


@pytest.mark.parametrize("pixels", ["gray", "bgra", "bgr0", "rgb24", "yuv444p10le", "gbrp10le"])
def test_other_pixel_formats(tmp_path, pixels):
    codec = "ffv1" if pixels != "rgb24" else "png"
    image = textured(1)[0]
    clip = encode(tmp_path / "clip.mov" if codec == "png" else tmp_path / "clip.mkv", [image] * 2, codec, pixels)
    assert np.abs(next(iterate(clip)).image.astype(int) - image).max() <= 3
    assert not probe(clip).alpha


def _primaries_to_xyz(chromaticities):
    """Linear RGB to XYZ from the primaries' (x, y), white D65 (SMPTE RP 177)."""
    columns = np.array([(x, y, 1 - x - y) for x, y in chromaticities]).T
    white = np.array([0.3127, 0.3290, 1 - 0.3127 - 0.3290]) / 0.3290
    return columns * np.linalg.solve(columns, white)


def test_gamut_matrices_follow_from_the_primaries():
    bt709 = [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]
    wide = {
        BT2020_PRIMARIES: [(0.708, 0.292), (0.170, 0.797), (0.131, 0.046)],
        P3_PRIMARIES: [(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)],
    }
    for code, primaries in wide.items():
        expected = np.linalg.solve(_primaries_to_xyz(bt709), _primaries_to_xyz(primaries))
        np.testing.assert_allclose(TO_BT709[code], expected, atol=1e-4)


def test_transfer_functions_at_published_points():
    # ITU-R BT.2100-2: HLG's two branches meet at 1/12, its signal 1 is scene light 1. ST 2084: 58.06 % is 203 cd/m2.
    np.testing.assert_allclose(hlg_to_scene(np.array([0.0, 0.5, 1.0])), [0, 1 / 12, 1], atol=1e-6)
    assert hlg_to_scene(np.array(0.5 + 1e-9)) == pytest.approx(1 / 12, abs=1e-6)
    np.testing.assert_allclose(
        pq_to_display(np.array([0.0, 0.5081, 0.5806, 1.0])), [0, 100, 203, 10000], rtol=2e-3, atol=1e-9
    )


def test_highlights_roll_off_smoothly():
    light = np.linspace(0, 4, 4001)
    out = rolled_off(light, 4.0)
    np.testing.assert_array_equal(out[light <= 0.5], light[light <= 0.5])
    slope = np.diff(out) / np.diff(light)
    assert slope.min() > 0
    assert np.abs(np.diff(slope)).max() < 0.01  # no kink
    assert out[-1] == pytest.approx(1.0)


def _grey(level):
    return [round(level * 219 + 16) << 2, 512, 512]


@pytest.mark.parametrize(
    ("transfer", "signal", "low", "high"),
    [
        (HLG, 0.0, 0, 0),
        (HLG, 0.38, 98, 110),  # an 18 % grey card (BT.2408, table 1): an SDR camera gives 0.409 * 255 = 104
        (HLG, 0.75, 215, 232),  # reference white stays below full
        (HLG, 1.0, 254, 255),
        (PQ, 0.38, 98, 112),  # the same card at 26 cd/m2
        (PQ, 0.58, 215, 235),
        (PQ, 0.7518, 253, 255),  # 1000 cd/m2
    ],
)
def test_high_dynamic_range_becomes_ordinary(tmp_path, transfer, signal, low, high):
    colours = {"colorspace": 9, "color_primaries": 9, "color_trc": transfer, "color_range": 1}
    frame = flat("yuv420p10le", _grey(signal))
    clip = encode(tmp_path / "clip.mkv", [frame] * 2, "ffv1", "yuv420p10le", colours=colours)
    image = next(iterate(clip)).image
    assert low <= image.min() <= image.max() <= high
    assert np.ptp(image.astype(int), axis=2).max() <= 1  # grey stays grey
    assert "HDR" in probe(clip).colour
    assert any("HDR" in note for note in probe(clip).notes)


def test_an_ordinary_picture_in_hlg_comes_back(tmp_path):
    """BT.709 camera signal -> scene light -> BT.2020, HLG with white at 75 % -> decoded: the same below the knee."""
    image = np.minimum(portrait()[60:220, 60:220], 165)  # below half of white the curve is the identity
    signal = image / 255.0
    light = np.where(signal < 0.081, signal / 4.5, ((signal + 0.099) / 1.099) ** (1 / 0.45))
    scene = light @ np.linalg.inv(TO_BT709[BT2020_PRIMARIES]).T * hlg_to_scene(np.array(0.75))
    table = np.linspace(0, 1, 4001)
    coded = np.interp(scene.clip(0, 1), hlg_to_scene(table), table)
    frame = av.VideoFrame(160, 160, "gbrp10le")
    for plane, channel in zip(frame.planes, (1, 2, 0)):
        rows = np.frombuffer(memoryview(plane), np.uint16).reshape(-1, plane.line_size // 2)
        rows[:160, :160] = np.round(coded[..., channel] * 1023)
    colours = {"color_primaries": 9, "color_trc": HLG}
    clip = encode(tmp_path / "clip.mkv", [frame] * 2, "ffv1", "gbrp10le", colours=colours)
    difference = next(iterate(clip)).image.astype(int) - image
    assert np.abs(difference).mean() < 1.0
    assert np.abs(difference).max() <= 4


def test_wide_gamut_without_high_range(tmp_path):
    colours = {"colorspace": 1, "color_primaries": P3_PRIMARIES, "color_trc": 1, "color_range": 1}
    clip = encode(tmp_path / "clip.mkv", [flat("yuv420p", (120, 100, 150))] * 2, "ffv1", colours=colours)
    linear = (_rgb((120, 100, 150), 1, False, 8) / 255) ** 2.4
    expected = 255 * (np.array(TO_BT709[P3_PRIMARIES]) @ linear).clip(0, 1) ** (1 / 2.4)
    assert np.abs(next(iterate(clip)).image - expected).max() < 2


def test_the_table_is_the_chain():
    codes = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    colour = Colour(None, HLG, BT2020_PRIMARIES, False)
    planes = [np.ascontiguousarray(codes[..., channel]) for channel in range(3)]
    np.testing.assert_array_equal(looked_up(planes, colour), tone_mapped(codes, colour))


def test_colours_that_cannot_be_undone_are_refused(tmp_path):
    clip = encode(tmp_path / "clip.mkv", [flat("yuv420p", (120, 100, 150))] * 2, "ffv1", colours={"colorspace": 14})
    with pytest.raises(UserError, match="ICtCp"):
        probe(clip)


def _cut_out(multiplied):
    """The portrait behind a soft disc of alpha, as a file holds it; and what it looks like over the backdrop."""
    front = portrait()[40:200, 60:220].astype(float)
    y, x = np.mgrid[:160, :160] - 80
    cover = np.clip((60 - np.hypot(x, y)) / 12 + 0.5, 0, 1)[..., None]
    alpha = np.round(cover * 255)
    stored = front * alpha / 255 if multiplied else front
    over = front * alpha / 255 + (1 - alpha / 255) * ALPHA_BACKDROP
    return np.concatenate([np.round(stored), alpha], axis=2).astype(np.uint8), over, alpha[..., 0]


ALPHA_FILES = {
    "qtrle": ("clip.mov", "argb", {}, None),
    "png": ("clip.mov", "rgba", {}, None),
    "prores_ks": ("clip.mov", "yuva444p10le", {"profile": "4444"}, None),
    "ffv1": ("clip.mkv", "yuva420p", {}, None),
    "libvpx-vp9": ("clip.webm", "yuva420p", {"crf": "10", "b": "0", "deadline": "realtime", "cpu-used": "8"}, "1"),
}


@pytest.mark.parametrize("codec", list(ALPHA_FILES))
@pytest.mark.parametrize("multiplied", [False, True])
def test_alpha_is_kept_and_the_picture_lies_on_grey(tmp_path, codec, multiplied):
    name, pixels, options, mode = ALPHA_FILES[codec]
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {codec}")
    stored, over, alpha = _cut_out(multiplied)
    tags = {"alpha_mode": mode} if mode else None
    clip = encode(tmp_path / name, [stored] * 2, codec, pixels, options, stream_tags=tags)
    reader = VideoReader(clip)
    assert reader.info.alpha
    frame = next(iter(reader))
    assert np.abs(frame.alpha.astype(int) - alpha).mean() < 2
    assert np.abs(frame.image.astype(float) - over).mean() < 4
    assert (frame.image[:5, :5] == ALPHA_BACKDROP).all()
    words = "(colours multiplied" if multiplied else "(colours not multiplied"
    assert any(words in note for note in reader.notes)


def test_full_alpha_is_none(tmp_path):
    image = np.concatenate([textured(1)[0], np.full((48, 64, 1), 255, np.uint8)], axis=2)
    clip = encode(tmp_path / "clip.mov", [image] * 2, "png", "rgba")
    assert not probe(clip).alpha
    assert next(iterate(clip)).alpha is None


def test_animated_pictures(tmp_path):
    images = textured(6)
    clip = encode(tmp_path / "clip.gif", images, "gif", "rgb8")
    frames = list(iterate(clip))
    assert len(frames) == 6
    np.testing.assert_allclose(np.diff([frame.timestamp for frame in frames]), 0.04, atol=1e-6)
    assert np.abs(frames[3].image.astype(int) - images[3]).mean() < 30  # 256 fixed colours


def test_interlacing_is_told(tmp_path):
    clip = encode(tmp_path / "clip.mkv", textured(4), "mpeg2video", interlaced=True)
    assert any("interlaced" in note for note in probe(clip).notes)
