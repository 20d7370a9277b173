"""Lines on standard output, whatever it is connected to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable


def write(lines: Iterable[str]) -> None:
    """Print them. A reader that has seen enough (`| head`) ends the output, not the command; a character the terminal
    does not know is written as its escape."""
    try:
        for line in lines:
            print(_known(line, sys.stdout.encoding or "utf-8"))
        sys.stdout.flush()
    except BrokenPipeError:  # what is buffered must not be tried again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _known(line: str, encoding: str) -> str:
    return line.encode(encoding, "backslashreplace").decode(encoding)
