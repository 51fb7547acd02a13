"""`create` as a function; the command line's tests run it whole (tests/apps)."""

from __future__ import annotations

import json
import math
from importlib import import_module

import numpy as np
import pytest
import torch

from nerface.capture import CaptureOptions
from nerface.capture.video import probe
from nerface.config import override
from nerface.creation import CreateOptions, check_rendered_faces, create, pose_spread, showcase, untouched
from nerface.driving.views import head_turn
from nerface.errors import UserError
from nerface.evaluation.evaluate import EvaluationOptions, evaluate
from nerface.presets import preset
from tests.capture.clips import textured, write_clip
from tests.toys import avatar_for

OPTIONS = CreateOptions(preset("tiny"), CaptureOptions(size=48))


def _poses(angles):
    rest = torch.eye(4)
    rest[2, 3] = 0.5
    return torch.stack([head_turn(yaw, pitch) @ rest for yaw, pitch in angles])


def test_the_spread_of_poses_is_half_their_range():
    yaw, pitch = pose_spread(_poses([(angle, 0.2 * angle) for angle in np.linspace(-20, 20, 101)]))
    assert yaw == pytest.approx(0.9 * 20, abs=0.1)  # 5 % to 95 %
    assert pitch == pytest.approx(0.9 * 4, abs=0.1)
    assert pose_spread(_poses([(12, 3)] * 5)) == pytest.approx((0, 0), abs=1e-4)


def test_a_few_extreme_poses_do_not_widen_the_spread():
    wild = [(170.0, 60.0)] * 2
    yaw, pitch = pose_spread(_poses([(angle, angle / 4) for angle in np.linspace(-8, 8, 98)] + wild))
    assert yaw < 8
    assert pitch < 2.2


def test_a_showcase_follows_the_held_out_expressions(tiny_dataset, tmp_path):
    avatar = avatar_for(tiny_dataset).eval()
    path = showcase(avatar, tiny_dataset, tmp_path / "showcase.mp4")
    assert probe(path).frames == len(tiny_dataset.splits["test"])
    assert probe(path).frame_rate == tiny_dataset.frame_rate


def test_the_judgement_of_faces_is_json(tiny_dataset, weights, tmp_path):
    """The toy head is no face to the landmark net: figures that could not be measured are null, not NaN."""
    evaluate(avatar_for(tiny_dataset).eval(), tiny_dataset, tmp_path / "figures", EvaluationOptions(video=False))
    value = check_rendered_faces(tmp_path / "figures", tiny_dataset, weights.face_landmarker.parent)
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert value["frames"] == len(tiny_dataset.splits["test"])
    assert value["truth_found_share"] == 0
    assert value["landmark_error_mean"] is None


@pytest.fixture
def video(tmp_path):
    return write_clip(tmp_path / "clip.mp4", textured(12))


def _record(folder):
    return json.loads((folder / "create.json").read_text())


def _stop(*arguments, **keywords):
    raise KeyboardInterrupt


def test_the_record_tells_what_was_asked_for(video, weights, tmp_path, monkeypatch):
    module = import_module("nerface.creation")
    monkeypatch.setattr(module, "capture", _stop)
    monkeypatch.setattr(module, "find_weights", lambda place: weights)
    folder = tmp_path / "me"
    with pytest.raises(KeyboardInterrupt):
        create(video, folder, OPTIONS)
    record = _record(folder)
    assert record["video"] == "clip.mp4"
    assert record["config"]["preset"] == "tiny"
    assert record["capture"]["size"] == 48
    assert "weights" not in record["capture"]  # no path of this machine
    with pytest.raises(UserError, match=r"already holds a run of clip\.mp4: add --resume"):
        create(video, folder, OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        create(video, folder, OPTIONS, resume=True)
    other = CreateOptions(override(OPTIONS.config, ["training.rays=99"]), OPTIONS.capture)
    with pytest.raises(UserError, match=r"begun differently \(config.training.rays 1024, now 99\)"):
        create(video, folder, other, resume=True)
    with pytest.raises(UserError, match="begun differently"):
        create(write_clip(tmp_path / "new.mp4", textured(12, seed=1)), folder, OPTIONS, resume=True)
    assert _record(folder) == record


def test_a_rasteriser_that_cannot_run_is_told_before_capture(video, tmp_path):
    config = override(preset("splat_tiny"), ["avatar.rasteriser=gsplat"])
    with pytest.raises(UserError, match="the rasteriser gsplat needs a CUDA device"):
        create(video, tmp_path / "me", CreateOptions(config, OPTIONS.capture))
    assert not (tmp_path / "me").exists()


def test_bad_input_makes_no_folder(video, tmp_path):
    with pytest.raises(UserError, match="no such file"):
        create(tmp_path / "none.mp4", tmp_path / "me", OPTIONS)
    with pytest.raises(UserError, match="test share"):
        create(video, tmp_path / "me", CreateOptions(OPTIONS.config, CaptureOptions(test_share=math.nan)))
    assert not (tmp_path / "me").exists()


def test_untouched(tmp_path):
    assert untouched(tmp_path / "none")
    assert untouched(tmp_path)
    (tmp_path / ".partial-create.json").write_text("{")
    assert untouched(tmp_path)
    (tmp_path / "note.txt").write_text("mine")
    assert not untouched(tmp_path)
    assert not untouched(tmp_path / "note.txt")
