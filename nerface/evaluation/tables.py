"""The figures of an evaluation as CSV (a frame a line), JSON and a text table (means)."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nerface.evaluation.flicker import FlickerFigures
from nerface.evaluation.metrics import Scores
from nerface.evaluation.nerface_convention import NerfaceScores
from nerface.evaluation.perceptual import Perceptual
from nerface.evaluation.timing import Timing
from nerface.files import whole_file, write_json

Group = TypeVar("Group", Scores, Perceptual, NerfaceScores)
NERFACE_PREFIX = "nerface_"
COLUMNS = ("L1", "PSNR dB", "SSIM", "GMSD", "LPIPS A", "LPIPS V")
TITLE_WIDTH, COLUMN_WIDTH = 34, 8
LEGEND = (
    "LPIPS A and V: with AlexNet and VGG-16. NeRFace's convention: SSIM of range 2 and 7x7 windows, LPIPS fed 0 to 1."
)
FIGURE_TITLES = {"lpips_alex": "LPIPS (AlexNet)", "lpips_vgg": "LPIPS (VGG-16)"}


@dataclass(frozen=True)
class Summary:
    """What is told of an evaluation: `means` by their names, the lines of the `table`, why figures are `missing`,
    `settings`, and the `timing` and `flicker` where anything was drawn.
    """

    means: Mapping[str, float]
    table: Sequence[str]
    missing: Mapping[str, str]
    settings: Mapping[str, Any]
    timing: Timing | None = None
    flicker: FlickerFigures | None = None


def flat(groups: Mapping[str, Scores | Perceptual | NerfaceScores]) -> dict[str, float]:
    """Every figure of groups by its name in files: the group's key is put before it."""
    return {prefix + name: value for prefix, group in groups.items() for name, value in vars(group).items()}


def mean_of(groups: Sequence[Group]) -> Group:
    """The mean of every figure over the groups that have it."""
    names = [each.name for each in dataclasses.fields(groups[0])]
    return type(groups[0])(**{name: _mean([getattr(group, name) for group in groups]) for name in names})


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def write_frames_csv(path: Path, rows: Sequence[Mapping[str, str | int | float]]) -> None:
    """One line a row; an empty cell where a figure is unknown. No times: equal evaluations give equal files."""
    with whole_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(rows[0])
        for row in rows:
            writer.writerow([_cell(value) for value in row.values()])


def _cell(value: str | int | float) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6f}"
    return str(value)


def write_summary(folder: Path, summary: Summary) -> None:
    """`metrics.json` (means, what is missing and why, settings, timing, flicker) and `metrics.txt` in `folder`."""
    value: dict[str, Any] = {
        "means": {name: None if math.isnan(mean) else mean for name, mean in summary.means.items()},
        "not_available": dict(summary.missing),
        "settings": dict(summary.settings),
    }
    if summary.timing is not None:
        value["timing"] = dataclasses.asdict(summary.timing)
    if summary.flicker is not None:
        value["flicker"] = dataclasses.asdict(summary.flicker)
    write_json(folder / "metrics.json", value)
    with whole_file(folder / "metrics.txt") as partial:
        partial.write_text(summary_text(summary), encoding="utf-8")


def summary_text(summary: Summary) -> str:
    """The same as a table for people."""
    lines = [*summary.table, "", LEGEND]
    lines += [f"{FIGURE_TITLES.get(name, name)}: n/a: {reason}" for name, reason in summary.missing.items()]
    if summary.flicker is not None:
        lines += summary.flicker.table()
    if summary.timing is not None:
        lines.append(summary.timing.line())
    lines += [f"{key.replace('_', ' ')}: {value}" for key, value in summary.settings.items()]
    return "\n".join(lines) + "\n"


def heading() -> str:
    """The table's first line."""
    return " " * TITLE_WIDTH + "".join(f" {title:>{COLUMN_WIDTH}}" for title in COLUMNS)


def region_line(title: str, scores: Scores, perceptual: Perceptual | None = None) -> str:
    """One region's figures in today's convention; perceptual ones are left blank where they were not asked for."""
    cells = [f"{scores.l1:.4f}", f"{scores.psnr:.2f}", _number(scores.ssim)]
    if perceptual is not None:
        cells += [_number(value) for value in (perceptual.gmsd, perceptual.lpips_alex, perceptual.lpips_vgg)]
    return _line(title, cells)


def nerface_line(scores: Scores, nerface: NerfaceScores) -> str:
    """The whole frame in NeRFace's convention; its L1 and PSNR are today's."""
    cells = [f"{scores.l1:.4f}", f"{scores.psnr:.2f}", _number(nerface.ssim), "", _number(nerface.lpips_alex)]
    return _line("whole frame, NeRFace's convention", cells)


def gain_line(title: str, gain_db: float) -> str:
    """A difference of two PSNR."""
    return _line(title, ["", f"{gain_db:+.2f}"])


def _number(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.4f}"


def _line(title: str, cells: Sequence[str]) -> str:
    return (f"{title:<{TITLE_WIDTH}}" + "".join(f" {cell:>{COLUMN_WIDTH}}" for cell in cells)).rstrip()
