"""How long work reports on itself: functions take a `Progress`, and only the command line draws one."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A listener for one task after another."""

    def start(self, task: str, total: int) -> None:
        """A task of `total` steps begins; an unfinished one before it counts as finished."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """`steps` more are done; `note` is shown beside the bar (a loss, a count)."""

    def say(self, line: str) -> None:
        """One line worth keeping on the screen."""


class Silent:
    """The `Progress` that shows nothing."""

    def start(self, task: str, total: int) -> None:
        pass

    def advance(self, steps: int = 1, note: str = "") -> None:
        pass

    def say(self, line: str) -> None:
        pass


SILENT = Silent()
