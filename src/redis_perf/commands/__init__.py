"""The verbs of `redisperf`, one module each, with `add_arguments(parser)` and `run(arguments) -> exit status`.

A module is imported only when its verb is called.
"""

from __future__ import annotations


class CommandError(Exception):
    """What keeps a verb from being carried out: one line that says what was seen, what was expected, what to do.

    The command prints it and ends with status 2, as for arguments it does not understand.
    """
