"""Something being started in a thread, and the few things that must not meet that thread.

It makes dozens of system calls. After each of them a thread gets the interpreter's lock back only when the other one,
which imports modules, is made to give it up: every 5 ms, unless the interval is set shorter until the server is there.

A fork of the process waits for the thread's end: a child of a process with threads may hang, and Python 3.12 warns of
it, which would be an error of a test that has nothing to do with us.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Stoppable(Protocol):
    def stop(self) -> None: ...


Server = TypeVar("Server", bound=Stoppable)

SWITCH_INTERVAL_S = 0.001


class Ahead(Generic[Server]):
    """What `start` will return."""

    def __init__(self, start: Callable[[], Server]) -> None:
        self._start = start
        self._server: Server | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="redisperf-start", daemon=True)
        os.register_at_fork(before=_waiting(weakref.ref(self)))
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether `result` would not wait."""
        return not self._thread.is_alive()

    def result(self) -> Server:
        """Waits for it; raises what `start` raised."""
        self._thread.join()
        if self._server is None:
            assert self._error is not None
            raise self._error
        return self._server

    def stop(self) -> None:
        """Stop what nobody has asked for; whether it started does not matter any more."""
        with contextlib.suppress(Exception):
            self.result().stop()

    def wait(self) -> None:
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            with _switching:
                self._server = self._start()
        except BaseException as error:
            self._error = error


class _Switching:
    """The interpreter's switch interval, short while any block runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._usual_s = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._blocks:
                self._usual_s = sys.getswitchinterval()
                sys.setswitchinterval(min(SWITCH_INTERVAL_S, self._usual_s))
            self._blocks += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                sys.setswitchinterval(self._usual_s)


_switching = _Switching()


def _waiting(started: weakref.ref[Ahead[Server]]) -> Callable[[], None]:
    def wait() -> None:
        alive = started()
        if alive is not None:
            alive.wait()

    return wait
