from __future__ import annotations

import struct

import pytest

from nerface.capture.video import probe
from nerface.capture.video_metadata import focal_length_px, quicktime_tags
from tests.capture.clips import textured
from tests.capture.video_files import encode, metadata_box, with_track_box

FOCAL = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
LENS = "com.apple.quicktime.camera.lens_model"


def _typed(kind, content):
    return struct.pack(">I", kind) + content


@pytest.mark.parametrize(
    "value",
    [
        _typed(21, struct.pack(">i", 27)),
        _typed(77, struct.pack(">I", 27)),
        _typed(23, struct.pack(">f", 27.0)),
        _typed(1, b"27"),
    ],
    ids=["signed", "unsigned", "float", "text"],
)
def test_lens_of_the_track(tmp_path, value):
    clip = encode(tmp_path / "clip.mov", textured(3, 160, 90))
    lens = "iPhone 15 front camera 2.69mm f/1.9"
    with_track_box(clip, metadata_box({FOCAL: value, LENS: _typed(1, lens.encode())}))
    info = probe(clip)
    # A 4:3 photograph with this lens sees 2 atan(0.8 * 43.267 / 2 / 27) = 65.3 degrees along its longer side.
    assert info.focal_px == pytest.approx(80 / 0.6410, rel=1e-3)
    assert any(lens in note and "backwards" in note for note in info.notes)


def test_lens_of_the_movie(tmp_path):
    tags = {FOCAL: "27", LENS: "iPhone 15 back camera 6.86mm f/1.78"}
    clip = encode(tmp_path / "clip.mov", textured(3, 160, 90), tags=tags, container={"movflags": "use_metadata_tags"})
    info = probe(clip)
    assert info.focal_px == pytest.approx(80 / 0.6410, rel=1e-3)
    assert info.notes == ()
    assert probe(clip, longest=80).focal_px == pytest.approx(40 / 0.6410, rel=1e-3)


@pytest.mark.parametrize("value", ["-13", "0", "wide", "nan", "1e9"])
def test_focal_lengths_gone_wrong_are_left_out(value):
    assert focal_length_px({FOCAL: value}, 1920) is None


def test_files_of_other_kinds_have_no_tags(tmp_path):
    assert quicktime_tags(encode(tmp_path / "clip.mkv", textured(3))) == {}
    assert probe(tmp_path / "clip.mkv").focal_px is None
    clip = encode(tmp_path / "clip.mov", textured(3))
    whole = with_track_box(clip, metadata_box({FOCAL: _typed(1, b"27")})).read_bytes()
    assert quicktime_tags(clip) == {FOCAL: "27"}
    for cut in range(len(whole) - 200, len(whole)):  # however it is cut off, reading ends
        clip.write_bytes(whole[:cut])
        assert set(quicktime_tags(clip)) <= {FOCAL}
