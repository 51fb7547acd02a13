"""What became of every test of this session: by file and function, whatever its parameters (those on CUDA may skip)."""

from __future__ import annotations

from collections import defaultdict

# "tests/file.py::function" -> the outcomes of its runs: passed, failed, skipped
OUTCOMES: defaultdict[str, set[str]] = defaultdict(set)


def record(nodeid: str, when: str, outcome: str) -> None:
    """Note one phase of a test: its call, or a set-up that skipped or failed."""
    name, _, parameters = nodeid.partition("[")
    if outcome == "skipped" and "cuda" in parameters:  # where there is no GPU
        return
    if when == "call" or outcome != "passed":
        OUTCOMES[name].add(outcome)
