"""`nerface check` as a user calls it: lines, pages and exit statuses."""

from __future__ import annotations

import json

import pytest

from tests.apps.calls import check_refused, nerface
from tests.checking.spoil import edit
from tests.data.make import write_tiny_dataset


@pytest.fixture
def jumpy(tmp_path):
    """A dataset whose poses jump from frame to frame: a warning, no error."""
    return write_tiny_dataset(tmp_path / "person", frames=60, size=(64, 48))


def test_warnings_are_told_and_count_only_when_strict(jumpy, tmp_path):
    answer = nerface("check", jumpy, "-o", tmp_path / "look")
    assert answer.status == 0
    lines = answer.out.splitlines()
    assert lines[0].startswith("warning motion")
    assert " -> " in lines[0]
    assert any(line.startswith("fine    camera ") for line in lines)
    assert lines[-2] == f"wrote {tmp_path / 'look'}  (check.png, one page of pictures; check.json)"
    assert lines[-1] == f"{jumpy}: no errors, 1 warning"
    strict = nerface("check", jumpy, "--no-pictures", "--strict")
    assert strict.status == 2
    assert (
        strict.err.splitlines()[-1] == f"nerface: error: {jumpy}: no errors, 1 warning: mend what the lines above say"
    )


def test_errors_end_with_status_2_and_the_page_is_there(jumpy, tmp_path):
    edit(jumpy, lambda meta: meta.update(intrinsics=[-meta["intrinsics"][0], *meta["intrinsics"][1:]]))
    answer = nerface("check", jumpy, "-o", tmp_path / "look")
    assert answer.status == 2
    assert answer.out.startswith("error   signs ")
    assert answer.err.splitlines()[-1].startswith(f"nerface: error: {jumpy}: ")
    assert (tmp_path / "look" / "check.png").exists()
    assert json.loads((tmp_path / "look" / "check.json").read_text())["errors"] >= 1


def test_the_page_goes_to_a_free_name_beside_the_work(jumpy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("person-check", "person-check-2"):
        assert f"wrote {name} " in nerface("check", "person").out
        assert (tmp_path / name / "check.png").exists()
    before = sorted(tmp_path.iterdir())
    assert nerface("check", "person", "--no-pictures").status == 0
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_no_dataset(jumpy, tmp_path):
    check_refused(nerface("check", tmp_path / "nowhere", "--no-pictures"), "is not a folder")
    check_refused(nerface("check", jumpy, "-o", jumpy), "already holds something")
    (jumpy / "transforms_val.json").write_text("{")
    answer = nerface("check", jumpy, "--no-pictures")
    assert answer.status == 2
    assert answer.out.startswith("error   layout ")
    assert "not valid JSON" in answer.out
