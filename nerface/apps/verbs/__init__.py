"""One module a verb: its name, its line of help, its options, and `run`, which calls the library.

Heavy imports stand inside `run`, so that `nerface --help` answers at once.
"""

from __future__ import annotations

import argparse
from typing import Protocol

from nerface.apps.console import Console
from nerface.apps.verbs import (
    ablate,
    capture,
    check,
    convert,
    create,
    demo,
    evaluate,
    import_,
    mesh,
    metrics,
    reenact,
    render,
    splats,
    train,
    weights,
)


class Verb(Protocol):
    """What the command line asks of a verb's module."""

    NAME: str
    HELP: str

    def add_options(self, verb: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace, console: Console) -> int: ...


VERBS: tuple[Verb, ...] = (
    create,
    demo,
    capture,
    import_,
    check,
    train,
    convert,
    evaluate,
    metrics,
    ablate,
    render,
    reenact,
    mesh,
    splats,
    weights,
)
