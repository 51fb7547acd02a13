"""Progress in a log: a line when a task begins, about every ten seconds, and at its end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

PERIOD_S = 10.0
RATE_LINES = 6  # the time left is judged by the speed over so many lines, so that a resumed task does not look fast


class PlainLines:
    """Draws tasks on a stream that is no terminal."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._task: str | None = None
        self._total = self._done = 0
        self._note = ""
        self._began = self._last_line = 0.0
        self._points: deque[tuple[float, int]] = deque(maxlen=RATE_LINES)

    def start(self, task: str, total: int) -> None:
        """Begin a task of `total` steps (0: nobody knows); the one before it ends."""
        self.end()
        self._task, self._total, self._done, self._note = task, total, 0, ""
        self._began = self._last_line = self._clock()
        self._points.clear()
        self.say(f"{task} ..." + (f" 0/{total}" if total else ""))

    def advance(self, steps: int, note: str) -> None:
        """Count on; write a line where the last one is old."""
        if self._task is None:
            return
        now = self._clock()
        self._done, self._note = self._done + steps, note or self._note
        if not self._points:
            self._points.append((now, self._done))
        if now - self._last_line >= PERIOD_S and not self.finished:
            self.say(
                f"{self._task} ... {self._count()}, {clock_text(now - self._began)}{self._left(now)}{self._tail()}"
            )
            self._points.append((now, self._done))
            self._last_line = now

    def end(self) -> None:
        """Write the task's last line."""
        if self._task is None:
            return
        task, self._task = self._task, None
        self.say(f"{task}: {self._count()} in {clock_text(self._clock() - self._began)}{self._tail()}")

    @property
    def finished(self) -> bool:
        """Whether all steps of the task are done."""
        return self._total > 0 and self._done >= self._total

    def say(self, line: str) -> None:
        """Write a line."""
        print(line, file=self._stream, flush=True)

    def _count(self) -> str:
        return f"{self._done}/{self._total}" if self._total else str(self._done)

    def _left(self, now: float) -> str:
        then, before = self._points[0]
        if not self._total or self._done <= before or now <= then:
            return ""
        return f", {clock_text((now - then) / (self._done - before) * (self._total - self._done))} left"

    def _tail(self) -> str:
        return f", {self._note}" if self._note else ""


def clock_text(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03, or 2:03."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
