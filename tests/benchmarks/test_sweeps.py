"""Sweeps beyond training cover every channel and tell what was held back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import sweeps

from nerface.checkpoint import TrainingState, save_checkpoint
from tests.fields.splat_toys import toy_splat_avatar, toy_splat_run
from tests.toys import toy_subject


def test_every_channel_goes_its_whole_range_beyond_by_itself():
    subject = toy_subject()
    rows = sweeps.channel_sweeps(subject).reshape(3, sweeps.STEPS, 3)
    for channel in range(3):
        low, high = subject.expression_min[channel], subject.expression_max[channel]
        ends = rows[channel, [0, -1], channel]
        np.testing.assert_allclose(ends, [low - (high - low), high + (high - low)], rtol=1e-6)
        others = [other for other in range(3) if other != channel]
        assert np.ptp(rows[channel][:, others], axis=0).max() == 0


def test_sheets_and_figures_are_written(tmp_path, monkeypatch, capsys):
    save_checkpoint(tmp_path / "a.safetensors", toy_splat_avatar(), toy_splat_run(), TrainingState(1, 0.0))
    words = ["sweeps.py", str(tmp_path / "a.safetensors"), str(tmp_path / "out"), "--device", "cpu", "--width", "24"]
    monkeypatch.setattr(sys, "argv", words)
    sweeps.main()
    found = json.loads((tmp_path / "out" / "sweeps.json").read_text())
    assert {each["name"] for each in found["held_back"]} == {"shape_0", "shape_1", "shape_2"}
    assert "3 of 3 channels held back" in capsys.readouterr().out
    strip = 20 + sweeps.BAR_PX
    assert cv2.imread(str(tmp_path / "out" / "channels.png")).shape == (strip, 4 * 5 * 24, 3)
    assert cv2.imread(str(tmp_path / "out" / "angles.png")).shape == (6 * strip, 7 * 24, 3)
