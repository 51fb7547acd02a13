"""Flicker counts errors that come and go, not those that stay, and takes noise and lag for what they are."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nerface.evaluation import EvaluationOptions, evaluate
from nerface.evaluation.flicker import Flicker, number_in_video
from tests.evaluation.fakes import FakeAvatar

WHOLE = np.array([0.0, 1.0, 0.0, 1.0])
SIDE = 64


def fed(renders, truths, numbers=None, box=WHOLE):
    flicker = Flicker()
    for number, (render, truth) in enumerate(zip(renders, truths)):
        flicker.add(render, truth, box, number if numbers is None else numbers[number])
    return flicker.figures()


def moving(frames=30, late=0.0):
    """A soft pattern that rests for ten frames, then sways ever wider, in uint8."""
    x = np.arange(SIDE)
    pictures = []
    for frame in range(frames):
        time = max(0.0, frame - late - 10)
        shift = 0.02 * time**2 * math.sin(0.5 * time)
        row = 128 + 80 * np.sin(2 * np.pi * (x - shift) / 32)
        pictures.append(np.broadcast_to(row[None, :, None], (SIDE, SIDE, 3)).round().astype(np.uint8))
    return pictures


def test_the_truth_itself_and_a_constant_offset_do_not_flicker():
    truths = moving()
    for renders in (truths, [truth + 20 for truth in truths]):
        figures = fed(renders, truths)
        assert figures.pairs == 29
        for stretch in (figures.static, figures.moving):
            assert stretch.flicker == 0
            assert stretch.render_change == stretch.truth_change
        assert figures.moving.shake == 1
    assert figures.static.pairs == figures.moving.pairs == 9
    assert figures.static.truth_change == 0 < figures.moving.truth_change
    assert figures.static.shake is None  # nothing to divide by


@pytest.mark.parametrize("sigma", [3.0, 8.0])
def test_white_noise_of_the_render_or_of_the_truth(sigma):
    random = np.random.default_rng(0)
    flat = [np.full((SIDE, SIDE, 3), 128, np.uint8)] * 24
    noisy = [(picture + sigma * random.standard_normal(picture.shape)).round().astype(np.uint8) for picture in flat]
    of_render, of_truth = fed(noisy, flat), fed(flat, noisy)
    rounded = math.sqrt(sigma**2 + 1 / 12)  # rounding to whole levels adds its own variance
    for stretch in (of_render.static, of_render.moving):
        assert stretch.flicker == stretch.render_change == pytest.approx(math.sqrt(2) * rounded, rel=0.02)
        assert stretch.truth_change == 0
    for stretch in (of_truth.static, of_truth.moving):
        assert stretch.flicker == stretch.truth_change == pytest.approx(math.sqrt(2) * rounded, rel=0.02)
        assert stretch.render_change == stretch.shake == 0


def test_shake_is_the_ratio_of_second_differences():
    x = np.linspace(0, 1, SIDE)[None, :, None] * np.ones((SIDE, SIDE, 3))
    signs = np.resize([1, -1], 13)
    truths = [(100 + 2 * sign + 3 * frame + 40 * x).astype(np.uint8) for frame, sign in enumerate(signs)]
    renders = [(90 + 6 * sign + 3 * frame + 40 * x).astype(np.uint8) for frame, sign in enumerate(signs)]
    # Steady change drops out; alternating by 2 a and by 6 a, the second differences are 8 a and 24 a.
    figures = fed(renders, truths)
    assert figures.static.shake == pytest.approx(3)
    assert figures.moving.shake == pytest.approx(3)


def test_a_late_render_costs_in_moving_frames():
    figures = fed(moving(late=1), moving())
    assert figures.static.flicker < 0.2
    assert figures.moving.flicker > 10 * max(figures.static.flicker, 0.1)


def test_only_neighbours_in_the_video_are_compared():
    truths = moving()
    renders = [np.full_like(truth, 7 * (index % 5)) for index, truth in enumerate(truths)]
    apart = fed(renders, truths, numbers=[2 * index for index in range(30)])
    assert (apart.pairs, apart.static, apart.moving) == (0, None, None)
    assert "follow one another" in apart.missing
    assert "n/a" in apart.table()[0]
    assert fed(renders, truths, numbers=[None] * 30).missing is not None
    # Two runs of five frames: four pairs each, none across the gap.
    numbers = [*range(5), *range(9, 14)]
    two = fed(renders[:10], truths[:10], numbers)
    assert two.pairs == 8
    ends = fed([renders[0]] * 5 + [truths[5]] * 5, [renders[0]] * 10, numbers)
    assert ends.moving.flicker == 0


def test_only_the_box_counts_and_three_frames_are_kept():
    random = np.random.default_rng(1)
    box = np.array([0.25, 0.75, 0.25, 0.75])
    truths = moving()
    renders = [truth.copy() for truth in truths]
    for render in renders:
        render[:8] = random.integers(0, 255, (8, SIDE, 3))
    flicker = Flicker()
    for number, (render, truth) in enumerate(zip(renders, truths)):
        flicker.add(render, truth, box, number)
    assert flicker.figures().moving.flicker == 0
    assert len(flicker._kept) == 3
    assert fed(renders, truths).moving.flicker > 10


def test_the_number_of_a_frame(captured):
    frame = captured.splits["test"][2]
    assert number_in_video(frame, 25.0) == frame.source_frame == 36
    timed = replace(frame, source_frame=-1)
    assert number_in_video(timed, 25.0) == 36
    assert number_in_video(timed, None) is None
    assert number_in_video(replace(timed, timestamp=math.nan), 25.0) is None


def test_an_evaluation_reports_it(captured, tmp_path):
    values = iter([0.2, 0.3] * 3)
    avatar = FakeAvatar(captured, lambda camera, condition: torch.full((32, 40, 3), next(values)))
    found = evaluate(avatar, captured, tmp_path / "eval", EvaluationOptions(video=False))
    expected = Flicker()
    for index, frame in enumerate(captured.splits["test"]):
        grey = np.full((32, 40, 3), 51 if index % 2 == 0 else 76, np.uint8)
        expected.add(grey, frame.image, frame.head_box, frame.source_frame)
    assert found.flicker == expected.figures()
    assert found.flicker.static.render_change == 25
    stored = json.loads((tmp_path / "eval" / "metrics.json").read_text())["flicker"]
    assert stored["pairs"] == 5
    assert stored["static"]["flicker"] == found.flicker.static.flicker
    assert "static third" in (tmp_path / "eval" / "metrics.txt").read_text()
    alone = evaluate(
        FakeAvatar(captured, lambda camera, condition: condition.background),
        captured,
        tmp_path / "two",
        EvaluationOptions(video=False, frames=2),
    )
    assert alone.flicker.static is None
    assert "flicker: n/a" in (tmp_path / "two" / "metrics.txt").read_text()
