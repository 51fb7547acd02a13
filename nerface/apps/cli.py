"""The command line: verbs that are thin wrappers over importable functions.

A fault that the user can mend ends with one line on standard error and exit status 2; Ctrl-C with 130, after saying how
to go on. The verbs stand in `nerface.apps.verbs`, one module each.
"""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

from nerface import __version__
from nerface.apps.console import EXIT_STOPPED, Console
from nerface.apps.verbs import VERBS
from nerface.errors import UserError

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
EXIT_USER_ERROR, EXIT_PIPE_CLOSED = 2, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; gives the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    console = Console()
    try:
        options = parser().parse_args(given)
    except UserError as error:
        return _fail(console, str(error))
    try:
        with console:
            status: int = options.run(options, console)
    except UserError as error:
        return _fail(console, str(error))
    except KeyboardInterrupt:
        status = EXIT_STOPPED
    except BrokenPipeError:  # the reader of standard output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED
    except OSError as error:
        return _fail(console, _system_fault(error) + _how_to_resume(options, given))
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not loaded for its name's sake
            raise
        return _fail(console, "the GPU's memory is full: end other programs there, or lower training.rays with --set")
    if status == EXIT_STOPPED:
        goes_on = _how_to_resume(options, given)
        if not goes_on and getattr(options, "keeps_work", False):
            goes_on = "; to go on, give the same command again"
        kept = (
            f"what was finished is kept{goes_on}" if goes_on else "nothing is left half-written; give the command again"
        )
        console.say(f"stopped; {kept}")
    return status


def _fail(console: Console, message: str) -> int:
    console.say(f"nerface: error: {' '.join(message.split())}")
    return EXIT_USER_ERROR


def _system_fault(error: OSError) -> str:
    where = f" {error.filename}" if error.filename else ""
    if error.errno in FULL_DISK:
        return f"the disk is full{f' (at{where})' if where else ''}: free some space, then run the same command"
    if isinstance(error, PermissionError):
        return f"no permission to use{where or ' a file'}: choose another folder or change its rights"
    if error.errno is None:
        raise error  # not the system's fault but the program's
    return f"{os.strerror(error.errno)}:{where or ' a file or folder'} cannot be used"


def _how_to_resume(options: argparse.Namespace, given: list[str]) -> str:
    if not hasattr(options, "resume"):
        return ""
    return f"; to go on: nerface {shlex.join(given if options.resume else [*given, '--resume'])}"


class _Parser(argparse.ArgumentParser):
    """Words it cannot use are a user's error like any other: one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see: {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    top = _Parser(prog="nerface", description="From a video of one person to a 4D facial avatar.", allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"nerface {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="COMMAND", title="commands")
    for module in VERBS:
        text = module.HELP
        # Abbreviated options would make a saved command line mean something else once an option is added.
        verb = verbs.add_parser(
            module.NAME, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False
        )
        module.add_options(verb)
        verb.set_defaults(run=module.run)
    return top


if __name__ == "__main__":
    sys.exit(main())
