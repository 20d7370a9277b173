"""A server process that cannot outlive us, and can be ended and started again under the same address.

See `guard` for how: a small shell is between us, and has the server end when we do.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

from redis_perf.errors import ServerUnavailable
from redis_perf.own_children import own_children
from redis_perf.servers.guard import POLL_S, SHELL, Guard, Life

Answer = TypeVar("Answer")

GONE_DEADLINE_S = 30.0
IN_MEMORY = "/dev/shm"
NO_EXECUTION = getattr(os, "ST_NOEXEC", 0)  # Linux only, as is IN_MEMORY
ROOMY_BYTES = 1 << 30  # a cluster takes 40 MB, a database 7 MB, and Docker gives 64 MB in all
# A socket's path may have 103 bytes (macOS) or 107 (Linux); the longest name we put into a directory is Postgres's.
LONGEST_PATH_BYTES = 103 - len("/redisperf-12345678/.s.PGSQL.12345")


class ForeignShell:
    """The shell of a server that another process of ours has started: no child of this one."""

    returncode: int | None = None

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def wait(self) -> None:
        """Return when it has ended: last of all it removes the directory."""
        deadline = time.monotonic() + GONE_DEADLINE_S
        while self._directory.exists() and time.monotonic() < deadline:
            time.sleep(POLL_S)


Shell: TypeAlias = "subprocess.Popen[bytes] | ForeignShell"


class Watched:
    """One server process, its private directory and the guard between us."""

    def __init__(
        self,
        directory: Path,
        serve: Sequence[str],
        *,
        prepare: str = ":",
        clear: str = ":",
        furnish: Callable[[Path], None] = lambda _: None,
        farewell: bool = True,
    ) -> None:
        """Make `directory`, for us alone, have `furnish` put files there, run `prepare` (shell text) and start `serve`.
        All of it goes in the end.

        `clear` (shell text) is run when the server is gone, for what is not in the directory. Without a `farewell` the
        server is killed at last instead of being asked to end, which it might take its time to do.
        """
        self.directory = directory
        directory.mkdir(mode=0o700)
        try:
            furnish(directory)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        self.guard = Guard(directory)
        os.mkfifo(self.guard.control, 0o600)
        os.mkfifo(self.guard.life, 0o600)
        self._life = Life(self.guard)
        commands, self._control = _both_ends(self.guard.control)
        last = "finish" if farewell else "slay"
        living = os.open(self.guard.life, os.O_WRONLY)
        try:
            self._shell: Shell = subprocess.Popen(
                ["sh", "-c", SHELL, "sh", str(directory), prepare, shlex.join(serve), last, clear],
                stdin=commands,
                stdout=living,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={**os.environ, "LC_ALL": "C"},
                start_new_session=True,
            )
        finally:
            os.close(commands)
            os.close(living)
        self._own()

    def _own(self) -> None:
        self._end = weakref.finalize(self, _end, self._shell, self._control, self._life)
        os.register_at_fork(after_in_child=_disowning(weakref.ref(self)))

    def __getstate__(self) -> Path:
        """Can be handed over to another process, by pickle: it lives for both until this one disowns it."""
        return self.directory

    def __setstate__(self, directory: Path) -> None:
        """Raises OSError when it was stopped."""
        self.directory = directory
        self.guard = Guard(directory)
        self._life = Life(self.guard)
        self._control = os.open(self.guard.control, os.O_WRONLY | os.O_NONBLOCK)
        self._shell = ForeignShell(directory)
        self._own()

    def until(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` returns once it no longer raises OSError. Raises ServerUnavailable when the server ended."""
        return self._life.until(ask)

    def ended(self, timeout_s: float) -> bool:
        """Whether the server and all its children are gone, waiting so long for it."""
        return self._life.ended(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether there is a server process, paused or not."""
        return self._end.alive and not self.ended(0)

    def kill(self) -> None:
        """SIGKILL to the server and all its children; returns when they are gone. Their files stay until `stop`."""
        self.guard.tell("kill")
        self.gone("was killed")

    def end(self) -> None:
        """Ask it to end in good order, and return when it is gone. Its files stay until `stop`."""
        self.guard.tell("end")
        self.gone("was asked to end")

    def gone(self, what: str) -> None:
        """Wait for the end of the server and its children, who die a moment after it. Raises ServerUnavailable."""
        if not self.ended(GONE_DEADLINE_S):
            raise self.failure(f"{what} and has not, with all of its children, within {GONE_DEADLINE_S:.0f} s")

    def start(self, ask: Callable[[], Answer]) -> Answer:
        """Start it again on the files it left, at the same address; returns what `ask` does, see `until`."""
        if self.alive:
            raise ServerUnavailable("cannot start the server: it runs; kill() it before, or restart() it")
        self.guard.tell("start")
        return self.until(ask)

    def pause(self) -> None:
        """SIGSTOP to the server and all its children: they hang, connections stay open."""
        self.guard.tell("pause")

    def resume(self) -> None:
        """SIGCONT to what was paused."""
        self.guard.tell("resume")

    def stop(self) -> None:
        """End it and return when process and directory are gone. Idempotent; does nothing in a forked child."""
        self._end()

    def outlive(self, seconds: int) -> int:
        """Let it live on for so long, also when we have ended; `stop` then only lets go of it.

        Returns the id of a process that waits until then. Whoever ends that one ends the server.
        """
        waiting = os.open(self.guard.control, os.O_WRONLY)
        try:
            with own_children():
                waiter = subprocess.Popen(
                    ["sleep", str(seconds)],
                    stdin=subprocess.DEVNULL,
                    stdout=waiting,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    start_new_session=True,
                )
        finally:
            os.close(waiting)
        waiter.returncode = 0  # nobody here waits for it
        self._end.detach()
        self._end = weakref.finalize(self, _let_go, self._shell, self._control, self._life)
        return waiter.pid

    def disown(self) -> None:
        """Let go of the pipe without ending the server: what a forked child must do."""
        if self._end.detach() is not None:
            _let_go(self._shell, self._control, self._life)

    def failure(self, what: str) -> ServerUnavailable:
        """The error to raise: what happened, and the end of the server's log."""
        return self.guard.failure(what)


def run_directory() -> Path:
    """The name of a directory that is not there yet, short enough for a socket's path.

    In memory where that is roomy, unless TMPDIR says where: a database is some 300 files, made and removed for each
    test, which costs a disk 20 to 300 ms and memory 14.
    """
    parent = IN_MEMORY if "TMPDIR" not in os.environ and _roomy(IN_MEMORY) else tempfile.gettempdir()
    if len(os.fsencode(parent)) > LONGEST_PATH_BYTES:
        parent = "/tmp"
    return Path(parent, f"redisperf-{os.urandom(4).hex()}")


def _roomy(directory: str) -> bool:
    """Enough free, and programs may be run from it (see `unprivileged`)."""
    if not os.access(directory, os.W_OK | os.X_OK):
        return False
    place = os.statvfs(directory)
    return place.f_bavail * place.f_frsize >= ROOMY_BYTES and not place.f_flag & NO_EXECUTION


def _both_ends(pipe: Path) -> tuple[int, int]:
    """Of a named pipe, for reading and for writing."""
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # would wait for a writer else
    writing = os.open(pipe, os.O_WRONLY)
    os.set_blocking(reading, True)
    return reading, writing


def _end(shell: Shell, control: int, life: Life) -> None:
    os.close(control)
    shell.wait()
    life.close()


def _let_go(shell: Shell, control: int, life: Life) -> None:
    os.close(control)
    life.close()
    shell.returncode = 0


def _disowning(watched: weakref.ref[Watched]) -> Callable[[], None]:
    def disown() -> None:
        alive = watched()
        if alive is not None:
            alive.disown()

    return disown
