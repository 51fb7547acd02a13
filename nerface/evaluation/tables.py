"""The figures of an evaluation as CSV (a frame a line), JSON and a text table (means)."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nerface.evaluation.metrics import Scores
from nerface.files import whole_file, write_json


@dataclass(frozen=True)
class FrameScores:
    """One frame's figures (or, from `mean`, those of all).

    `whole` frame, `head` box, and `seen`: without backdrop that no training frame showed. `still` and `still_head` are
    those of the best still image (NaN where there is none). `seconds` is the time to draw.
    """

    frame: int
    source_frame: int
    whole: Scores
    head: Scores
    seen: Scores
    still: Scores
    still_head: Scores
    seconds: float

    @staticmethod
    def mean(frames: Sequence[FrameScores]) -> FrameScores:
        """The mean of every figure over the frames that have it; `frame` and `source_frame` are -1."""
        regions = {name: _mean_scores([getattr(frame, name) for frame in frames]) for name in REGIONS}
        return FrameScores(-1, -1, **regions, seconds=_mean([frame.seconds for frame in frames]))

    def figures(self) -> dict[str, float]:
        """Every figure by its name in files: `psnr`, `head_psnr`, ..., `baseline_head_ssim`."""
        return {
            prefix + figure: getattr(getattr(self, region), figure)
            for region, (prefix, _) in REGIONS.items()
            for figure in FIGURES
        }


FIGURES = ("l1", "psnr", "ssim")
# attribute: (prefix in files, title in the table)
REGIONS = {
    "whole": ("", "whole frame"),
    "head": ("head_", "head box"),
    "seen": ("seen_", "without never-seen backdrop"),
    "still": ("baseline_", "best still image, whole frame"),
    "still_head": ("baseline_head_", "best still image, head box"),
}


def _mean_scores(scores: Sequence[Scores]) -> Scores:
    return Scores(*(_mean([getattr(one, figure) for one in scores]) for figure in FIGURES))


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def write_frames_csv(path: Path, frames: Sequence[FrameScores]) -> None:
    """One line a frame; an empty cell where a figure is unknown. No times: equal evaluations give equal files."""
    with whole_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["frame", "source_frame", *frames[0].figures()])
        for frame in frames:
            cells = ["" if math.isnan(value) else f"{value:.6f}" for value in frame.figures().values()]
            writer.writerow([frame.frame, frame.source_frame, *cells])


def write_summary(folder: Path, means: FrameScores, settings: Mapping[str, Any]) -> None:
    """`metrics.json` (means, settings, timing) and `metrics.txt` in `folder`."""
    figures = {name: None if math.isnan(value) else value for name, value in means.figures().items()}
    timing = {"mean_seconds_per_frame": means.seconds}
    write_json(folder / "metrics.json", {"means": figures, "settings": dict(settings), "timing": timing})
    with whole_file(folder / "metrics.txt") as partial:
        partial.write_text(summary_table(means, settings), encoding="utf-8")


def summary_table(means: FrameScores, settings: Mapping[str, Any]) -> str:
    """The means as a table for people."""
    lines = [f"{'':<30} {'L1':>8} {'PSNR dB':>8} {'SSIM':>8}"]
    for region, (_, title) in REGIONS.items():
        scores: Scores = getattr(means, region)
        if not math.isnan(scores.psnr):
            lines.append(f"{title:<30} {scores.l1:8.4f} {scores.psnr:8.2f} {scores.ssim:8.4f}")
    gain = means.head.psnr - means.still_head.psnr
    if not math.isnan(gain):
        lines.append(f"{'gain over it, head box':<30} {'':>8} {gain:+8.2f}")
    lines.append("")
    lines.append(f"mean seconds per frame: {means.seconds:.3f}")
    lines.extend(f"{key.replace('_', ' ')}: {value}" for key, value in settings.items())
    return "\n".join(lines) + "\n"
