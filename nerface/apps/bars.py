"""Progress on a terminal: live bars with the time left."""

from __future__ import annotations

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

TASK_CELLS = 26  # "drawing the sample subject"
# Width of the screen from which a column is shown; below that it would push others out.
NOTE_FROM, PERCENT_FROM, BAR_FROM = 78, 100, 112
BAR_CELLS = (8, 24)


class LiveBars:
    """Draws tasks as bars at the bottom of a terminal until `end`."""

    def __init__(self, console: RichConsole) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._task: TaskID | None = None

    def start(self, task: str, total: int) -> None:
        """A new bar; the one before it is taken as finished."""
        if self._bars is None:
            self._bars = Progress(*_columns(self._console.width), console=self._console, refresh_per_second=4)
            self._bars.start()
        if self._task is not None:
            self._bars.stop_task(self._task)
        self._task = self._bars.add_task(task, total=total or None, note="")

    def advance(self, steps: int, note: str) -> None:
        """Move the bar, and change its note where one is given."""
        if self._bars is None or self._task is None:
            return
        if note:
            self._bars.update(self._task, advance=steps, note=note)
        else:
            self._bars.update(self._task, advance=steps)

    def end(self) -> None:
        """Leave the bars as they are on the screen; later lines come below them."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._task = None

    @property
    def finished(self) -> bool:
        """Lines can always be printed above living bars, so nothing has to end for them."""
        return False

    def say(self, line: str) -> None:
        """A line above the bars."""
        self._console.print(line, markup=False, soft_wrap=True)


def _columns(width: int) -> list[ProgressColumn]:
    """Columns for a screen of `width` cells. Only the note may wrap: what a task is and how far it is stay whole."""
    whole = Column(no_wrap=True)
    columns: list[ProgressColumn] = [TextColumn(f"{{task.description:<{TASK_CELLS}}}", table_column=whole)]
    if width >= BAR_FROM:
        cells = min(BAR_CELLS[0] + width - BAR_FROM, BAR_CELLS[1])
        columns.append(BarColumn(bar_width=cells, table_column=whole))
    elif width >= PERCENT_FROM:
        columns.append(TextColumn("{task.percentage:>3.0f} %", table_column=whole))
    columns.append(MofNCompleteColumn(table_column=whole))
    if width >= NOTE_FROM:
        columns.append(TimeElapsedColumn(table_column=whole))
    columns += [TextColumn("left", table_column=whole), TimeRemainingColumn(table_column=whole)]
    if width >= NOTE_FROM:
        columns.append(TextColumn("{task.fields[note]}", table_column=Column(overflow="fold")))
    return columns
