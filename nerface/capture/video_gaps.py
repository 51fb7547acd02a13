"""Frames that a video ought to have and has not: gaps between time stamps that otherwise come steadily."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STEADY_WITHIN = 0.2  # of the usual step: stamps in whole milliseconds are this unsteady at 120 Hz
STEADY_SHARE = 0.6  # of the steps (2/3 where each fourth frame lacks); of fewer, the frame rate varies
GAP = 1.5  # usual steps
LEAST_FRAMES = 10


def missing_frames(times: Sequence[float]) -> int:
    """How many frames lack in the gaps between `times` (s, rising); 0 where the frame rate varies, or of few frames."""
    if len(times) < LEAST_FRAMES:
        return 0
    steps = np.diff(times)
    steps = steps / max(float(np.median(steps)), 1e-9)
    if np.mean(np.abs(steps - 1) < STEADY_WITHIN) < STEADY_SHARE:
        return 0
    gaps = steps[steps > GAP]
    return int(np.rint(gaps).sum()) - len(gaps)
