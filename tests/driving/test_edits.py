from __future__ import annotations

import numpy as np
import pytest

from nerface.driving.edits import beyond_training, read_edit
from nerface.errors import UserError

NAMES = (*(f"c{k}" for k in range(68)), "jawOpen", "c69")
BASE = np.random.default_rng(0).normal(size=(40, 70)).astype(np.float32)


def test_the_seeds_mouth_coefficient_is_swept():
    """Spec 6.6: coefficient 68, plus and minus 0.4."""
    shown = read_edit("68+=-0.4..0.4", NAMES).apply(BASE)
    change = shown - BASE
    np.testing.assert_array_equal(np.delete(change, 68, axis=1), 0)
    assert change[0, 68] == pytest.approx(-0.4, abs=1e-6)
    assert change[20, 68] == pytest.approx(0.4, abs=1e-6)
    assert np.abs(np.diff(change[:, 68])).max() < 0.1
    np.testing.assert_array_equal(read_edit("jawOpen+=-0.4..0.4", NAMES).apply(BASE), shown)


def test_fixed_values_are_set_or_added():
    np.testing.assert_allclose(read_edit("jawOpen=0.6", NAMES).apply(BASE)[:, 68], 0.6)
    np.testing.assert_allclose(read_edit("jawOpen+=0.3", NAMES).apply(BASE)[:, 68], BASE[:, 68] + 0.3, atol=1e-6)
    np.testing.assert_allclose(read_edit("jawOpen=-1..1", NAMES).apply(BASE)[[0, 20], 68], [-1, 1])
    twice = read_edit("c69=0..1", NAMES).apply(BASE, loops=2)[[0, 10, 20, 30], 69]
    np.testing.assert_allclose(twice, [0, 1, 0, 1], atol=1e-6)


@pytest.mark.parametrize("text", ["jawOpen", "=0.3", "+=0.3", "jawOpen=", "jawOpen=wide", "jawOpen=0..", "jawOpen=nan"])
def test_edits_that_are_not_understood(text):
    with pytest.raises(UserError, match=r"not understood: write NAME=VALUE"):
        read_edit(text, NAMES)


def test_an_unknown_channel_is_answered_with_the_nearest_name():
    with pytest.raises(UserError, match="did you mean 'jawOpen'"):
        read_edit("jawopen=0.3", NAMES)


def test_values_that_training_never_saw_are_found():
    rows = np.float32([[0.1, 0.2, -0.6], [0.5, 0.3, 0.3]])
    assert beyond_training(rows, [0.0, 0.0, -1], [0.6, 0.295, 1]) == {}  # 0.005 beyond is nothing to speak of
    left = beyond_training(rows, [0.0, 0.0, -0.1], [0.3, 0.6, 0.5])
    assert list(left) == [2, 0]
    assert list(left.values()) == pytest.approx([-0.6, 0.5])
