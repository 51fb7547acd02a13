"""Every row of the acceptance table in docs/coming-from-nerface.md is proved by tests that exist and, in CI, passed."""

from __future__ import annotations

import ast
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.outcomes import OUTCOMES

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "coming-from-nerface.md"
ROWS = [f"F{number}" for number in range(1, 49)]
LATER = {"F42", "F47", "F48"}  # what has not been done yet, or cannot be measured without the paper's data
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@dataclass(frozen=True)
class Row:
    """One line of the table: its number, its cells, and the tests that it names."""

    number: str
    cells: list[str]
    tests: list[tuple[str, str]]


def table() -> list[Row]:
    rows = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if re.fullmatch(r"F\d+", cells[0]):
            rows.append(Row(cells[0], cells, TEST.findall(cells[-1])))
    return rows


def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_is_there_once():
    assert [row.number for row in table()] == ROWS
    assert {len(row.cells) for row in table()} == {5}


@pytest.mark.parametrize("row", [row for row in table() if row.number not in LATER], ids=lambda row: row.number)
def test_a_row_names_tests_that_exist(row):
    assert row.tests
    for file, name in row.tests:
        assert (ROOT / file).is_file(), file
        assert name in functions(file), f"{file} has no {name}"


@pytest.mark.skipif(not os.environ.get("CI"), reason="the whole suite runs, and must not skip, in CI alone")
@pytest.mark.parametrize("row", [row for row in table() if row.number not in LATER], ids=lambda row: row.number)
def test_a_row_s_tests_passed(row):
    """conftest.py puts this file's tests behind all others."""
    for file, name in row.tests:
        outcomes = OUTCOMES[f"{file}::{name}"]
        assert outcomes == {"passed"}, f"{file}::{name}: {', '.join(sorted(outcomes)) or 'did not run'}"
