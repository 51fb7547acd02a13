"""The command line as tests call it: within this process, or as a program of its own."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from nerface.apps.cli import main


@dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    status: int
    out: str
    err: str


def nerface(*words: object) -> Answer:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in words])
    return Answer(status, out.getvalue(), err.getvalue())


def command(*words: object) -> list[str]:
    """The same command as a program."""
    return [sys.executable, "-m", "nerface.apps.cli", *map(str, words)]


def program(*words: object) -> Answer:
    """Run a command as a program and wait for it."""
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=300)
    return Answer(done.returncode, done.stdout, done.stderr)


def check_refused(answer: Answer, *words: str, alone: bool = True) -> None:
    """Exit status 2 and one clear line that says `words`; `alone`: with nothing before it, not even progress."""
    lines = answer.err.splitlines()
    errors = [line for line in lines if line.startswith("nerface: error: ")]
    assert answer.status == 2, answer.err
    assert "Traceback" not in answer.err
    assert errors == lines[-1:]
    assert answer.out == ""
    if alone:
        assert len(lines) == 1
    for word in words:
        assert word in errors[0], errors[0]


def content(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below `folder`: its size and the time of its last change."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}
