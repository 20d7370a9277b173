"""A server process that cannot outlive us.

It is the child of a small `sh` that blocks on a pipe whose other end only this process holds. The end of the pipe,
by `stop()` or by any death of ours, SIGKILL included, makes the shell end the server and remove its directory. As the
server's parent it always signals the right process; in a session of its own it is out of reach of Ctrl-C.

The server alone holds a second pipe's writing end, so "it is gone" is an event here: end of file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shlex
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from redis_perf.errors import ServerUnavailable

Answer = TypeVar("Answer")

START_DEADLINE_S = 60.0
POLL_S = 0.002
LOG_TAIL_BYTES = 2000
IN_MEMORY = "/dev/shm"
NO_EXECUTION = getattr(os, "ST_NOEXEC", 0)  # Linux only, as is IN_MEMORY
ROOMY_BYTES = 1 << 30  # a cluster takes 40 MB, a database 7 MB, and Docker gives 64 MB in all
# A socket's path may have 103 bytes (macOS) or 107 (Linux); the longest name we put into a directory is Postgres's.
LONGEST_PATH_BYTES = 103 - len("/redisperf-12345678/.s.PGSQL.12345")

# $1: the run directory; $2: what to do first; $3: the server. A background command of a shell ignores SIGINT and
# SIGQUIT until it sets its own handlers, hence SIGKILL at last. The last line also takes the waiting timer.
_SHELL = """
run=$1 server=
if eval "$2" >>"$run/log" 2>&1 </dev/null; then
    eval "exec $3" 3>&1 >>"$run/log" 2>&1 </dev/null &
    server=$!
fi
exec >&-
read -r _
if [ -n "$server" ]; then
    kill -INT "$server"
    { sleep 1; kill -QUIT "$server"; sleep 5; kill -KILL "$server"; } &
    wait "$server"
fi
rm -rf -- "$run"
kill -KILL 0
"""


class Watched:
    """One server process, its private directory and the shell between us."""

    def __init__(self, directory: Path, serve: Sequence[str], *, prepare: str = ":") -> None:
        """Make `directory`, for us alone, run `prepare` (shell text) and start `serve`; all of it goes in the end."""
        self.directory = directory
        directory.mkdir(mode=0o700)
        arguments = ["sh", "-c", _SHELL, "sh", str(directory), prepare, shlex.join(serve)]
        self._shell = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
        self._end = weakref.finalize(self, _end, self._shell)
        os.register_at_fork(after_in_child=_disowning(weakref.ref(self)))

    def until(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` returns once it no longer raises OSError. Raises ServerUnavailable when the server ended."""
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            with contextlib.suppress(OSError):
                return ask()
            if self.ended(POLL_S):
                raise self.failure("ended while starting")
            if time.monotonic() > deadline:
                raise self.failure(f"gave no answer within {START_DEADLINE_S:.0f} s")

    def ended(self, timeout_s: float) -> bool:
        """Whether the server and all its children are gone, waiting so long for it."""
        assert self._shell.stdout is not None
        end = select.poll()  # not select(): that knows only the first 1024 file descriptors
        end.register(self._shell.stdout)
        return bool(end.poll(timeout_s * 1000))

    def stop(self) -> None:
        """End it and return when process and directory are gone. Idempotent; does nothing in a forked child."""
        self._end()

    def disown(self) -> None:
        """Let go of the pipe without ending the server: what a forked child must do."""
        if self._end.detach() is not None:
            _close(self._shell)
            self._shell.returncode = 0

    def failure(self, what: str) -> ServerUnavailable:
        """The error to raise: what happened, and the end of the server's log."""
        log = self.directory / "log"
        tail = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip() if log.exists() else ""
        return ServerUnavailable(f"the server {what}; the end of its log:\n{tail or '(empty)'}")


def run_directory() -> Path:
    """The name of a directory that is not there yet, short enough for a socket's path.

    In memory where that is roomy, unless TMPDIR says where: a database is some 300 files, made and removed for each
    test, which costs a disk 20 to 300 ms and memory 14.
    """
    parent = IN_MEMORY if "TMPDIR" not in os.environ and _roomy(IN_MEMORY) else tempfile.gettempdir()
    if len(os.fsencode(parent)) > LONGEST_PATH_BYTES:
        parent = "/tmp"
    return Path(parent, f"redisperf-{secrets.token_hex(4)}")


def _roomy(directory: str) -> bool:
    """Enough free, and programs may be run from it (see `unprivileged`)."""
    if not os.access(directory, os.W_OK | os.X_OK):
        return False
    place = os.statvfs(directory)
    return place.f_bavail * place.f_frsize >= ROOMY_BYTES and not place.f_flag & NO_EXECUTION


def _end(shell: subprocess.Popen[bytes]) -> None:
    _close(shell)
    shell.wait()


def _close(shell: subprocess.Popen[bytes]) -> None:
    for pipe in (shell.stdin, shell.stdout):
        if pipe is not None:
            pipe.close()


def _disowning(watched: weakref.ref[Watched]) -> Callable[[], None]:
    def disown() -> None:
        alive = watched()
        if alive is not None:
            alive.disown()

    return disown
