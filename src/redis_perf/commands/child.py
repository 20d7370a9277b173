"""Runs the user's command as if it had been called directly: its terminal, its signals, its exit status."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
KILLED: Final = 128
_SET_DEATH_SIGNAL: Final = 1


class NotStarted(Exception):
    """The command never ran: why, in one line, and the `status` a shell would give."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


def run(words: Sequence[str], variables: Mapping[str, str]) -> int:
    """The command's exit status, as a shell would tell it. Raises NotStarted.

    A signal sent to us is passed on. One from the terminal (Ctrl-C) reaches the command by itself, so it is not.
    """
    awaited = {*FORWARDED, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    try:
        process = _started(words, variables, before)
        while process.poll() is None:
            told = signal.sigwaitinfo(awaited)
            if told.si_signo != signal.SIGCHLD and told.si_pid:
                process.send_signal(told.si_signo)
        return process.returncode if process.returncode >= 0 else KILLED - process.returncode
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _started(
    words: Sequence[str], variables: Mapping[str, str], mask: set[signal.Signals | int]
) -> subprocess.Popen[bytes]:
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        """In the child: it hears signals again, and ends when we are killed."""
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        libc.prctl(_SET_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)

    try:
        return subprocess.Popen(words, env={**os.environ, **variables}, preexec_fn=prepare)
    except FileNotFoundError as error:
        raise NotStarted(
            f"{words[0]}: no such command: expected the name of a program on PATH, or its path", NOT_FOUND
        ) from error
    except OSError as error:
        raise NotStarted(f"{words[0]}: cannot be executed: {error.strerror}", NOT_EXECUTABLE) from error
