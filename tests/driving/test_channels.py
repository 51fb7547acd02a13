from __future__ import annotations

import numpy as np
import pytest

from nerface.driving.channels import channel_index, channel_map
from nerface.errors import UserError

NAMES = ("_neutral", "jawOpen", "mouthSmileLeft", "mouthSmileRight")
ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)
NONE = np.full(4, -1, np.float32)


def test_channels_in_another_order_are_the_same_channels():
    order = [2, 0, 3, 1]
    source = tuple(NAMES[k] for k in order)
    np.testing.assert_array_equal(channel_map(source, NAMES, "same", "d").apply(ROWS[:, order], NONE), ROWS)
    np.testing.assert_array_equal(channel_map(NAMES, NAMES, "same", "d").apply(ROWS, NONE), ROWS)


def test_other_channels_are_refused_by_name():
    with pytest.raises(UserError, match=r"person .*\(it lacks jawOpen, it adds tongueOut\).*--channels shared.* 3 "):
        channel_map(("_neutral", "tongueOut", *NAMES[2:]), NAMES, "same", "person")
    with pytest.raises(UserError, match=r"\(it adds a, b, c and 1 more\)"):
        channel_map((*NAMES, *"abcd"), NAMES, "same", "person")
    with pytest.raises(UserError, match=r"\(it lacks mouthSmileRight\)"):
        channel_map(NAMES[:3], NAMES, "same", "person")


def test_shared_channels_are_carried_over_by_name_and_the_others_stay():
    source = ("tongueOut", "mouthSmileRight", "jawOpen")
    mapped = channel_map(source, NAMES, "shared", "d").apply(np.float32([[9, 0.3, 0.1]]), np.float32([5, 6, 7, 8]))
    np.testing.assert_array_equal(mapped, np.float32([[5, 0.1, 7, 0.3]]))
    with pytest.raises(UserError, match="share no expression channel"):
        channel_map(("a", "b"), NAMES, "shared", "d")


def test_names_that_repeat_are_taken_by_place():
    mapped = channel_map(("a", "a"), ("a", "a"), "same", "d")
    np.testing.assert_array_equal(mapped.apply(ROWS[:, :2], NONE[:2]), ROWS[:, :2])
    with pytest.raises(UserError, match="names repeat"):
        channel_map(("a", "b", "a"), ("b", "a"), "same", "d")


def test_a_channel_is_found_by_name_or_number():
    assert channel_index(NAMES, "jawOpen") == 1
    assert channel_index(NAMES, "3") == 3
    assert channel_index((*NAMES, "1"), "1") == 4  # a name comes first
    with pytest.raises(UserError, match="did you mean 'jawOpen'"):
        channel_index(NAMES, "jawopne")
    with pytest.raises(UserError, match="did you mean 'mouthSmileLeft'"):
        channel_index(NAMES, "MouthSmileLft")
    with pytest.raises(UserError, match="no expression channel 4: the avatar has 0 to 3"):
        channel_index(NAMES, "4")
    with pytest.raises(UserError, match="it has _neutral, jawOpen"):
        channel_index(NAMES, "xyzzy")
