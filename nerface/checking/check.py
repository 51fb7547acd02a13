"""All checks of one dataset, and the folder that keeps what they said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nerface.checking.backdrop import check_backdrop
from nerface.checking.cameras import check_camera
from nerface.checking.case import Case
from nerface.checking.findings import ERROR, WARNING, Finding, count, error, fine, warning
from nerface.checking.index_map import check_index_map
from nerface.checking.leaks import check_leaks
from nerface.checking.page import draw_page
from nerface.checking.pictures import check_pictures
from nerface.checking.poses import check_axes, check_motion, check_scale
from nerface.checking.projection import check_origin, check_signs
from nerface.checking.ranges import check_boxes, check_expression
from nerface.checking.sequence import check_sequence
from nerface.data import load_dataset
from nerface.data.dataset import BACKGROUND, SPLITS
from nerface.data.finder import Finder
from nerface.data.images import write_png
from nerface.data.seed_layout import SplitTable, read_split
from nerface.errors import UserError
from nerface.files import whole_folder, write_json
from nerface.progress import SILENT, Progress

CHECKS: tuple[Callable[[Case], list[Finding]], ...] = (
    check_pictures,
    check_camera,
    check_axes,
    check_scale,
    check_origin,
    check_signs,
    check_motion,
    check_boxes,
    check_expression,
    check_sequence,
    check_leaks,
    check_index_map,
    check_backdrop,
)
LAYOUT = "layout"
SMALLEST_VOLUME = 1e-9  # determinant of a pose that maps space to space


@dataclass(frozen=True)
class CheckReport:
    """The findings on the dataset at `folder`; `case` is None where it does not open."""

    folder: Path
    findings: tuple[Finding, ...]
    case: Case | None

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return count(self.findings, ERROR)

    @property
    def warnings(self) -> int:
        """How many findings are warnings."""
        return count(self.findings, WARNING)


def check_dataset(folder: Path | str, progress: Progress = SILENT) -> CheckReport:
    """Look at a dataset in the seed's layout and tell what is wrong with it; a dataset that does not open is a finding.

    Raises `UserError` where `folder` is no folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"{root} is not a folder: a dataset folder with transforms_train.json is needed")
    tables, findings = _tables(root)
    case = None
    if not findings:
        case, findings = _open(root, tables, progress)
    if case is not None:
        progress.start("checking", len(CHECKS))
        for check in CHECKS:
            findings += check(case)
            progress.advance()
    order = {level: rank for rank, level in enumerate((ERROR, WARNING))}
    return CheckReport(root, tuple(sorted(findings, key=lambda one: order.get(one.level, 2))), case)


def _tables(root: Path) -> tuple[dict[str, SplitTable], list[Finding]]:
    """The JSON files, each for itself, so that faults of all of them are told; then pictures that are missing."""
    tables: dict[str, SplitTable] = {}
    findings = []
    for split in SPLITS:
        try:
            tables[split] = read_split(root, split)
        except UserError as fault:
            findings.append(error(LAYOUT, str(fault), "see docs/data-format.md"))
    finder = Finder(root)
    for table in tables.values():
        flat = np.flatnonzero(
            np.abs(np.linalg.det(table.camera_to_head[:, :3, :3].astype(np.float64))) < SMALLEST_VOLUME
        )
        if len(flat):
            findings.append(
                error(LAYOUT, f"{table.where(int(flat[0]))}: the pose has no inverse", "give a rotation in every frame")
            )
        missing = []
        for row in range(len(table)):
            try:
                finder.image(table, row)
            except UserError as fault:
                missing.append(str(fault))
        if missing:
            more = f" ({len(missing)} of {len(table)} pictures are missing)" if len(missing) > 1 else ""
            findings.append(error(LAYOUT, missing[0] + more, "copy the pictures there, or mend 'file_path'"))
    return tables, findings


def _open(root: Path, tables: dict[str, SplitTable], progress: Progress) -> tuple[Case | None, list[Finding]]:
    found = []
    try:
        dataset = load_dataset(root, background_required=False, progress=progress)
    except UserError as fault:
        if (root / BACKGROUND).exists():
            return None, [error(LAYOUT, str(fault), "see docs/data-format.md")]
        try:  # transparent pictures without a plate: they can be trained on white
            dataset = load_dataset(root, white_background=True, progress=progress)
        except UserError:
            return None, [error(LAYOUT, str(fault), "see docs/data-format.md")]
        found = [warning(LAYOUT, "transparent pictures without a plate", "train with --switch white_background")]
    finder = Finder(root)
    files = {split: tuple(finder.image(table, row) for row in range(len(table))) for split, table in tables.items()}
    case = Case(dataset, {split: table.meta for split, table in tables.items()}, files)
    return case, found or [fine(LAYOUT, "all files are there and open")]


def write_report(report: CheckReport, output: Path) -> None:
    """`check.json`, the findings, and `check.png`, one page of pictures (where the dataset opens), in a new folder."""
    with whole_folder(output) as folder:
        summary = {"dataset": str(report.folder), "errors": report.errors, "warnings": report.warnings}
        write_json(folder / "check.json", {**summary, "findings": [asdict(one) for one in report.findings]})
        if report.case is not None:
            write_png(folder / "check.png", draw_page(report.case, report.findings))
