"""The one exception for faults that a user can mend."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right: the message is one line saying what is wrong, where, and what to do.

    The command line prints the message alone and exits with status 2; a library caller can catch it.
    """
