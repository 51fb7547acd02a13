from __future__ import annotations

import numpy as np
import pytest

from nerface.capture.landmarker import Region
from nerface.capture.tracking_chain import Chain
from nerface.capture.tracking_segments import segments_of, steady_regions


def _chain(regions, timestamps=None, differences=None) -> Chain:
    count = len(regions)
    return Chain(
        regions=regions,
        timestamps=list(np.arange(count) / 25 if timestamps is None else timestamps),
        differences=list(np.full(count, 1.0) if differences is None else differences),
        correlations=[1.0] * count,
    )


def _still(count, x=50.0):
    return [Region(x + 0.1 * (-1) ** n, 50, 60, 0.0, 1.0) for n in range(count)]


def test_the_region_is_smoothed_within_segments_only():
    regions = [Region(50 + (-1) ** n, 50, 60, 0.0, 1.0) for n in range(20)]
    regions += [None, None] + [Region(200, 50, 60, 3.1 if n % 2 else -3.1, 1.0) for n in range(10)]
    segment = segments_of(_chain(regions), np.zeros(32, bool))
    assert segment.tolist() == [0] * 22 + [1] * 10
    steady = steady_regions(regions, segment)
    assert steady[20] is None
    assert steady[21] is None
    assert max(abs(region.x - 50) for region in steady[5:15]) < 0.1
    assert all(region.x == pytest.approx(200) for region in steady[22:])
    assert abs(abs(steady[26].angle) - np.pi) < 0.02  # angles are averaged on the circle


def test_a_jump_begins_a_segment_where_it_stands_out():
    regions = _still(20) + _still(20, x=54.0)  # 7 % of the side
    changes = np.full(40, 1.0)
    changes[20] = 6.0
    none = np.zeros(40, bool)
    assert segments_of(_chain(regions, differences=changes), none).tolist() == [0] * 20 + [1] * 20
    assert not segments_of(_chain(_still(40), differences=changes), none).any()  # a flash moves nothing
    quick = [Region(50 + 4 * n, 50, 60, 0.0, 1.0) for n in range(40)]  # as fast all the time
    assert not segments_of(_chain(quick), none).any()


def test_a_long_jump_begins_a_segment_in_any_case():
    regions = _still(10) + _still(10, x=80.0)
    assert segments_of(_chain(regions), np.zeros(20, bool)).tolist() == [0] * 10 + [1] * 10


def test_a_pause_in_the_time_stamps_begins_a_segment():
    times = np.arange(30) / 30
    times[12:] += 0.5
    assert segments_of(_chain(_still(30), timestamps=times), np.zeros(30, bool)).tolist() == [0] * 12 + [1] * 18
    uneven = np.cumsum(np.tile([1 / 30, 1 / 15, 0.1], 10))  # a telephone's variable rate
    assert not segments_of(_chain(_still(30), timestamps=uneven), np.zeros(30, bool)).any()


def test_repeated_frames_do_not_make_their_neighbours_stand_out():
    repeated = np.arange(60) % 2 == 1
    regions = [Region(50 + 3 * (n // 2), 50, 60, 0.0, 1.0) for n in range(60)]
    changes = np.where(repeated, 0.0, 2.0)
    assert not segments_of(_chain(regions, differences=changes), repeated).any()
