from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nerface.capture import tracking
from nerface.capture.face_track import FaceTrack
from nerface.capture.track_store import TrackStore, load_track, save_track, track_key
from nerface.capture.tracking import track_face
from nerface.capture.tracking_chain import Chain
from tests.capture.test_tracking import World

COUNT = 50


def _people(n):
    """Two people, a gap and a move: everything that pass 1 remembers is needed to go on."""
    others = [(1, 130, 50)] if 12 <= n < 30 else []
    return others if 20 <= n < 26 else [*others, (0, 40 + n / 2, 50)]


class Stopping:
    """Frames whose decoding is interrupted after some number of them, counted over all passes."""

    def __init__(self, world, after):
        self.world, self.left = world, after

    def __call__(self):
        for frame in self.world.frames():
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            yield frame


def _same(one: FaceTrack, other: FaceTrack) -> bool:
    values = [(getattr(one, item.name), getattr(other, item.name)) for item in dataclasses.fields(one)]
    skin = dataclasses.astuple(one.skin), dataclasses.astuple(other.skin)
    plain = [np.array_equal(np.asarray(a), np.asarray(b)) for a, b in values[:-1]]
    return all(plain) and all(np.array_equal(a, b) for a, b in zip(*skin))


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(tracking, "KEEP_EVERY", 7)


@pytest.fixture
def track():
    world = World(COUNT, _people)
    return track_face(world.frames, world)


def test_a_track_is_read_back_as_it_was(tmp_path, track):
    save_track(tmp_path / "track.npz", track, "key")
    again = load_track(tmp_path / "track.npz", "key")
    assert again is not None
    assert _same(again, track)
    assert again.size == track.size
    assert again.reasons == track.reasons
    assert load_track(tmp_path / "track.npz", "another") is None
    assert load_track(tmp_path / "missing.npz", "key") is None


def test_a_damaged_track_counts_as_none(tmp_path, track):
    file = tmp_path / "track.npz"
    save_track(file, track, "key")
    file.write_bytes(file.read_bytes()[:-200])
    assert load_track(file, "key") is None


@pytest.mark.parametrize("after", [3, 18, 24, 49, 50, 60, 75, 99])
def test_an_interrupted_tracking_goes_on_to_the_same_result(tmp_path, track, after):
    world = World(COUNT, _people)
    with pytest.raises(KeyboardInterrupt):
        track_face(Stopping(world, after), world, store=TrackStore(tmp_path, "key"))
    before = world.measurements
    again = World(COUNT, _people)
    assert _same(track_face(again.frames, again, store=TrackStore(tmp_path, "key")), track)
    whole = World(COUNT, _people)
    track_face(whole.frames, whole)
    lost = 7 * 5 + 7 * 2  # at most what was done since the last note
    assert before + again.measurements <= whole.measurements + lost
    if after > 10:
        assert again.measurements < whole.measurements


def test_what_another_clip_left_is_not_taken_up(tmp_path):
    world = World(COUNT, _people)
    with pytest.raises(KeyboardInterrupt):
        track_face(Stopping(world, 80), world, store=TrackStore(tmp_path, "key"))
    store = TrackStore(tmp_path, "another")
    chain, whole = store.chain()
    assert chain == Chain()
    assert not whole


def test_the_key_knows_what_a_track_depends_on():
    S = (64, 48)
    keys = {
        track_key("a", "b", S, 0.6),
        track_key("c", "b", S, 0.6),
        track_key("a", "c", S, 0.6),
        track_key("a", "b", S, 0.5),
    }
    assert len(keys | {track_key("a", "b", S, 0.6, crops=3), track_key("a", "b", (128, 96), 0.6)}) == 6
