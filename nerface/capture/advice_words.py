"""The form of a finding, and words for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RED, YELLOW, GREEN = "red", "yellow", "green"
LEVELS = (RED, YELLOW, GREEN)


@dataclass(frozen=True)
class Finding:
    """One thing that a capture's figures say: `level` (GREEN, YELLOW, RED), the `topic` as a verdict names it, `what`
    was found, and the `advice` for another take ("" where there is none)."""

    level: str
    topic: str
    what: str
    advice: str = ""

    def line(self) -> str:
        """As printed on a terminal."""
        return f"{self.level:7}{capital(self.what)}" + (f" -> {self.advice}" if self.advice else "")


def capital(text: str) -> str:
    """`text` with its first letter as at the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def graded(value: float, limits: tuple[float, float]) -> str:
    """GREEN up to the first limit, RED beyond the second, YELLOW between."""
    return GREEN if value <= limits[0] else RED if value > limits[1] else YELLOW


def listed(words: Sequence[str], most: int | None = None) -> str:
    """ "a, b and c"; of more than `most` the first and how many others."""
    unique = list(dict.fromkeys(words))
    if most is not None and len(unique) > most:
        unique = [*unique[:most], f"{len(unique) - most} more"]
    return unique[0] if len(unique) == 1 else f"{', '.join(unique[:-1])} and {unique[-1]}" if unique else ""


def counted(number: int, noun: str) -> str:
    """ "1 frame", "2 frames"."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
