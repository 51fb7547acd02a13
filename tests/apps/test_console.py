"""What the screen shows: plain lines in a log, whole columns on a terminal, results last and on standard output."""

from __future__ import annotations

import contextlib
import io

import pytest
from rich.console import Console as RichConsole

from nerface.apps.bars import LiveBars
from nerface.apps.console import Console
from nerface.apps.lines import PlainLines, clock_text


class Clock:
    """A clock that tests move."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines(clock):
    return PlainLines(io.StringIO(), clock)


def _said(lines):
    return lines._stream.getvalue().splitlines()


def test_a_line_at_the_start_and_at_the_end(lines, clock):
    lines.start("drawing", 3)
    for _ in range(3):
        clock.now += 1
        lines.advance(1, "20 dB")
    lines.end()
    assert _said(lines) == ["drawing ... 0/3", "drawing: 3/3 in 0:03, 20 dB"]


def test_a_line_about_every_ten_seconds_with_the_time_left(lines, clock):
    lines.start("training", 100)
    for _ in range(50):
        clock.now += 0.5
        lines.advance(1, "")
    lines.start("drawing", 2)
    assert _said(lines) == [
        "training ... 0/100",
        "training ... 20/100, 0:10, 0:40 left",
        "training ... 40/100, 0:20, 0:30 left",
        "training: 50/100 in 0:25",
        "drawing ... 0/2",
    ]


def test_steps_done_before_do_not_count_as_speed(lines, clock):
    lines.start("training", 1000)
    lines.advance(900, "")  # resumed
    for _ in range(10):
        clock.now += 1
        lines.advance(1, "")
    assert _said(lines)[-1] == "training ... 910/1000, 0:10, 1:30 left"


def test_a_task_of_unknown_length(lines, clock):
    lines.start("finding the face", 0)
    clock.now += 11
    lines.advance(7, "")
    lines.end()
    lines.end()
    lines.advance(1, "")
    assert _said(lines) == ["finding the face ...", "finding the face ... 7, 0:11", "finding the face: 7 in 0:11"]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")])
def test_times(seconds, text):
    assert clock_text(seconds) == text


def test_results_come_last_and_alone(capsys, tmp_path):
    with Console() as console:
        console.start("drawing", 2)
        console.advance(2)
        console.say("a note")
        console.show("a table\n of two lines\n")
        console.wrote(tmp_path / "video.mp4", "2 frames")
    told = capsys.readouterr()
    assert told.out == f"a table\n of two lines\nwrote {tmp_path / 'video.mp4'}  (2 frames)\n"
    assert told.err == "drawing ... 0/2\ndrawing: 2/2 in 0:00\na note\n"


def test_an_unfinished_task_ends_before_the_error(capsys):
    with contextlib.suppress(ValueError), Console() as console:
        console.start("drawing", 2)
        raise ValueError
    assert capsys.readouterr().err == "drawing ... 0/2\ndrawing: 0/2 in 0:00\n"


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_bars_cut_nothing_off(width):
    screen = io.StringIO()
    bars = LiveBars(RichConsole(file=screen, width=width, force_terminal=True, color_system=None, highlight=False))
    bars.start("drawing the sample subject", 240)
    bars.advance(240, "")
    bars.start("training", 400_000)
    bars.advance(399_999, "PSNR 29.66 dB, held out 29.87")
    bars.say("a line above")
    bars.end()
    shown = screen.getvalue()
    last = shown[shown.rindex("drawing the sample subject") :]
    assert "…" not in shown
    assert "240/240" in last
    if width >= 80:
        for word in ("399999/400000", "PSNR 29.66 dB,", "held out 29.87", "0:00:0"):
            assert word in last
    assert ("━" in last) == (width >= 120)
    assert "a line above" in shown
    assert max(map(len, last.splitlines())) <= width


def test_bars_begin_anew_after_a_result():
    screen = io.StringIO()
    bars = LiveBars(RichConsole(file=screen, width=100, force_terminal=True, color_system=None))
    for task in ("first", "second"):
        bars.start(task, 0)
        bars.advance(1, "a note")
        bars.end()
    bars.advance(1, "")
    assert "second" in screen.getvalue()
    assert "first" not in screen.getvalue()[screen.getvalue().index("second") :]
