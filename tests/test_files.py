"""Files and folders appear whole or not at all."""

from __future__ import annotations

import json

import pytest

from nerface.errors import UserError
from nerface.files import read_json, refuse_existing, whole_file, whole_folder, write_json


def test_whole_file_appears_on_success_only(tmp_path):
    target = tmp_path / "deep" / "note.txt"
    with whole_file(target) as partial:
        partial.write_text("one")
        assert not target.exists()
        assert partial.suffix == ".txt"
    assert target.read_text() == "one"

    def write_half() -> None:
        with whole_file(target) as partial:
            partial.write_text("half of tw")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert target.read_text() == "one"
    assert [path.name for path in target.parent.iterdir()] == ["note.txt"]


def test_whole_folder_appears_on_success_only(tmp_path):
    target = tmp_path / "run"

    def write_half() -> None:
        with whole_folder(target) as partial:
            (partial / "a").write_text("a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert list(tmp_path.iterdir()) == []

    (tmp_path / ".partial-run").mkdir()  # left by a killed process
    (tmp_path / ".partial-run" / "stale").write_text("")
    with whole_folder(target) as partial:
        (partial / "a").write_text("a")
    assert [path.name for path in target.iterdir()] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_taken_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_text("kept")
    refuse_existing(tmp_path / "empty")
    refuse_existing(tmp_path / "new")
    with pytest.raises(UserError, match="is a file"):
        refuse_existing(tmp_path / "file")
    with pytest.raises(UserError, match="already holds"), whole_folder(tmp_path / "full"):
        pass
    assert (tmp_path / "full" / "kept").read_text() == "kept"


def test_json_round_trip_and_faults(tmp_path):
    file = tmp_path / "value.json"
    write_json(file, {"a": [1, 2.5, None]})
    assert read_json(file) == {"a": [1, 2.5, None]}
    with pytest.raises(ValueError):
        write_json(file, float("nan"))
    assert json.loads(file.read_text()) == {"a": [1, 2.5, None]}

    with pytest.raises(UserError, match=r"gone\.json is missing"):
        read_json(tmp_path / "gone.json")
    file.write_text('{"a": 1,\n oops}')
    with pytest.raises(UserError, match="line 2, column 2"):
        read_json(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text file"):
        read_json(file)
