"""The screen: progress and errors on standard error, results on standard output; stopping with Ctrl-C."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from nerface.apps.lines import PlainLines

if TYPE_CHECKING:
    from nerface.apps.bars import LiveBars

EXIT_STOPPED = 130  # the status of a command that Ctrl-C ended, as shells have it
LISTENING_S = 30.0  # a loop that has not asked for so long is over (the slowest step takes about ten seconds)


class Console:
    """A `nerface.progress.Progress`: live bars on a terminal, plain lines elsewhere.

    Results end the bars, so that they come last on the screen, and go to standard output alone.
    """

    def __init__(self) -> None:
        self.task_began = -math.inf  # on the clock of time.monotonic
        self._screen: LiveBars | PlainLines = _screen()
        self._waiting: list[str] = []

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self._screen.end()

    def start(self, task: str, total: int) -> None:
        """Begin a task; the one before it is taken as finished."""
        self.task_began = time.monotonic()
        while self._waiting:
            self.say(self._waiting.pop(0))
        self._screen.start(task, total)

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count on, and change the note where one is given."""
        self._screen.advance(steps, note)

    def say(self, line: str) -> None:
        """A line about the work, on standard error."""
        if self._screen.finished:
            self._screen.end()
        self._screen.say(line)

    def say_at_work(self, line: str) -> None:
        """`say` once the next task begins: nothing is said of work that is refused."""
        self._waiting.append(line)

    def show(self, text: str) -> None:
        """A result, on standard output."""
        self._screen.end()
        print(text.rstrip("\n"), flush=True)

    def wrote(self, path: Path, what: str) -> None:
        """Tell what lies where."""
        self.show(f"wrote {path}  ({what})")


def _screen() -> LiveBars | PlainLines:
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return PlainLines(sys.stderr)
    from rich.console import Console as RichConsole

    from nerface.apps.bars import LiveBars

    return LiveBars(RichConsole(stderr=True, highlight=False))


class StopOnSignal:
    """While entered, Ctrl-C or SIGTERM asks a loop to stop after its step; called, it tells whether that was asked.

    A second Ctrl-C interrupts at once, and so does the first while no loop is asking: when a task has begun since one
    last asked, or none has asked for a while.
    """

    def __init__(self, console: Console) -> None:
        self._console, self._asked, self._last_call = console, False, -math.inf

    def __enter__(self) -> StopOnSignal:
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        self._last_call = time.monotonic()
        return self._asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        listening = time.monotonic() - self._last_call <= LISTENING_S and self._console.task_began <= self._last_call
        if self._asked or not listening:
            raise KeyboardInterrupt
        self._asked = True
        with suppress(RuntimeError):  # the signal came while a line was being written
            self._console.say("stopping after this step (once more: at once)")
