"""What a check says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ERROR, WARNING, FINE = "error", "warning", "fine"
LEVELS = (ERROR, WARNING, FINE)
MOST_NAMED = 4  # of several places with one fault


@dataclass(frozen=True)
class Finding:
    """One thing found: `level` (error: training on it is wasted; warning: look at it; fine), the `check` that found
    it, `what` it is and where, and what to `do`."""

    level: str
    check: str
    what: str
    do: str = ""

    def line(self) -> str:
        """As printed."""
        advice = f" -> {self.do}" if self.do else ""
        return f"{self.level:8}{self.check:12}{self.what}{advice}"


def error(check: str, what: str, do: str) -> Finding:
    """A fault that spoils training or its measurement."""
    return Finding(ERROR, check, what, do)


def warning(check: str, what: str, do: str) -> Finding:
    """Something that may be meant, and costs quality where it is not."""
    return Finding(WARNING, check, what, do)


def fine(check: str, what: str) -> Finding:
    """Nothing wrong; `what` was looked at."""
    return Finding(FINE, check, what)


def count(findings: Sequence[Finding], level: str) -> int:
    """How many findings have `level`."""
    return sum(finding.level == level for finding in findings)


def named(places: Sequence[str]) -> str:
    """The first few of several places, and how many more there are."""
    shown = ", ".join(places[:MOST_NAMED])
    return shown + (f" and {len(places) - MOST_NAMED} more" if len(places) > MOST_NAMED else "")
