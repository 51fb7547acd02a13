"""The screen: progress bars with the time left, plain lines, and stopping with Ctrl-C."""

from __future__ import annotations

import math
import signal
import time
from pathlib import Path
from types import FrameType

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LISTENING_S = 30.0  # a loop that has not asked for so long is over (the slowest step takes about ten seconds)


class Console:
    """A `nerface.progress.Progress` on standard error: live bars on a terminal, finished bars in a log."""

    def __init__(self) -> None:
        self.rich = RichConsole(stderr=True, highlight=False, soft_wrap=True)
        self._bars = Progress(
            TextColumn("{task.description:>22}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.rich,
            refresh_per_second=4,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Console:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def start(self, task: str, total: int) -> None:
        """Begin a new bar; the one before it is taken as finished."""
        if self._task is not None:
            self._bars.stop_task(self._task)
        self._task = self._bars.add_task(task, total=total, note="")

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Move the bar, and change its note where one is given."""
        if self._task is None:
            return
        if note:
            self._bars.update(self._task, advance=steps, note=note)
        else:
            self._bars.update(self._task, advance=steps)

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self.rich.print(line, markup=False)

    def show(self, text: str) -> None:
        """Print a table as it is."""
        self.rich.print(text.rstrip("\n"), markup=False)

    def wrote(self, path: Path, what: str) -> None:
        """Tell what lies where."""
        self.say(f"wrote {path}  ({what})")


class StopOnSignal:
    """While entered, Ctrl-C or SIGTERM asks a loop to stop after its step; called, it tells whether that was asked.

    A second Ctrl-C interrupts at once, and so does the first while no loop is asking.
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
        if self._asked or time.monotonic() - self._last_call > LISTENING_S:
            raise KeyboardInterrupt
        self._asked = True
        self._console.say("stopping after this step (once more: at once)")
