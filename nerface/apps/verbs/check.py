"""`nerface check`."""

from __future__ import annotations

import argparse
from pathlib import Path

from nerface.apps.console import Console

NAME = "check"
HELP = "tell what is wrong with a dataset before anyone trains on it"


def add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("dataset", type=Path, metavar="DATASET", help="the dataset's folder")
    verb.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="a new folder for check.png and check.json (default: DATASET's name with -check, here)",
    )
    verb.add_argument("--no-pictures", action="store_true", help="write nothing, print the findings alone")
    verb.add_argument("--strict", action="store_true", help="warnings end with status 2 too")


def run(options: argparse.Namespace, console: Console) -> int:
    from nerface.checking.check import check_dataset, write_report
    from nerface.errors import UserError
    from nerface.files import refuse_existing

    output = None if options.no_pictures else options.output or _free_name(options.dataset)
    if output is not None:
        refuse_existing(output)
    report = check_dataset(options.dataset, console)
    console.show("\n".join(finding.line() for finding in report.findings))
    if output is not None:
        write_report(report, output)
        what = "check.png, one page of pictures; check.json" if report.case is not None else "check.json"
        console.wrote(output, what)
    counted = f"{_some(report.errors, 'error')}, {_some(report.warnings, 'warning')}"
    if report.errors or (options.strict and report.warnings):
        raise UserError(f"{options.dataset}: {counted}: mend what the lines above say")
    console.show(f"{options.dataset}: {counted}")
    return 0


def _some(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _free_name(dataset: Path) -> Path:
    """NAME-check in the working folder, numbered where that is taken: checking is repeated after mending."""
    stem = f"{dataset.resolve().name}-check"
    number = 1
    while (path := Path(stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return path
