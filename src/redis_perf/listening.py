"""Which taps are in place in this process, and for how many recordings.

Patching a client is a thing of the whole process. The first recording installs, the last one restores. A client that
is not imported yet is tapped when it is. A tap that does not fit its client fails a recording, unless that can do with
less (`strict=False`); where the client is imported later, it is a problem, and fails the recordings that begin then.
A forked child starts over with nothing patched: what it sends is its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial, wraps
from importlib.metadata import EntryPoint
from typing import Any

from redis_perf import own_children, taps
from redis_perf.errors import TapError
from redis_perf.pace import Pace
from redis_perf.recorder import Recorder, Tap
from redis_perf.taps.on_import import OnImport, Wanted
from redis_perf.trace import Problem, Store


class Listening:
    """The taps in place right now."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.names: dict[str, str] = {}
        self.recorder = Recorder(forgets=True, pace=self.pace, names=self.names)
        self._users = 0
        self.problems: list[Problem] = []
        """Of taps that did not fit their client, which those do not mind that are not strict."""
        self._unfit: TapError | None = None
        self._on_import = OnImport()
        self._installed = ExitStack()
        self._lock = threading.RLock()
        self._watches_forks = False

    def start(self, *, strict: bool = True) -> Recorder:
        """Raises TapError, if it is to be strict, when a tap does not fit its client."""
        with self._lock:
            if not self._users:
                self.pace.slowed.clear()  # the next recorder numbers its connections anew
                self.recorder = Recorder(forgets=True, pace=self.pace, names=self.names)
                self._install()
            else:
                self._on_import.look()
            if strict and self._unfit is not None:
                if not self._users:
                    self._restore()
                raise self._unfit
            self._users += 1
            return self.recorder

    def stop(self, recorder: Recorder) -> None:
        """One recording less; nothing to a forked child that goes on with its parent's."""
        with self._lock:
            if recorder is not self.recorder:
                return
            self._users -= 1
            if not self._users:
                self._restore()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Nobody listens while the block runs, and whoever did goes on afterwards."""
        users, recorder = self._users, self.recorder
        if users:
            self._restore()
        self._users = 0
        try:
            yield
        finally:
            self._users, self.recorder = users, recorder
            if users:
                self._install()

    def _install(self) -> None:
        self._unfit = None
        self.problems = []
        with ExitStack() as stack:
            try:
                found = _found_taps()
            except TapError as none:
                found, self._unfit = (), none
            self._on_import = stack.enter_context(OnImport())
            for point in found:
                try:
                    self._tap(point, stack)
                except TapError as unfit:
                    self._misfit(unfit)
            self._on_import.look()
            self._watch_children(stack)
            self._installed = stack.pop_all()

    def _tap(self, point: EntryPoint, stack: ExitStack) -> None:
        tap, recorder = _load(point), self.recorder
        client = taps.client_of(tap)
        if client is None:
            stack.enter_context(_loud(point, tap, recorder))
            return
        waiting = client.tapped(point.name) if client.module not in sys.modules else None
        if waiting is not None:
            recorder.tapped(waiting)

        def failed(error: Exception) -> None:
            if waiting is not None:
                recorder.tapped(replace(waiting, problem="cannot be tapped"))
            if not isinstance(error, TapError):
                problem = f"tap {point.name!r}: internal error {error!r}; to leave this client uncounted set "
                error = TapError(f"{problem}{taps.WITHOUT}={point.name}").with_traceback(error.__traceback__)
            self._misfit(error, client.store)

        self._on_import.wait(point.name, Wanted(client.module, partial(_loud, point, tap, recorder), failed))

    def _misfit(self, error: TapError, store: Store | None = None) -> None:
        self._unfit = self._unfit or error
        self.problems.append(Problem(str(error), store))

    def _restore(self) -> None:
        if not sys.is_finalizing():  # then a client closes itself among modules that are half gone, and nobody is left
            self._installed.close()

    def _watch_children(self, stack: ExitStack) -> None:
        if not self._watches_forks:
            os.register_at_fork(after_in_parent=self._forked, after_in_child=self._start_over)
            self._watches_forks = True
        self._watch(stack, subprocess.Popen, "__init__")
        if "_posixsubprocess" in sys.modules:  # for multiprocessing, which need not be imported; Popen has its own name
            self._watch(stack, sys.modules["_posixsubprocess"], "fork_exec")

    def _watch(self, stack: ExitStack, owner: Any, name: str) -> None:
        """Note a child after each of its calls; multiprocessing's own helper that frees shared memory is none."""
        original = getattr(owner, name)

        @wraps(original)
        def counting(*args: Any, **options: Any) -> Any:
            result = original(*args, **options)
            if "multiprocessing.resource_tracker" not in str(args):
                self._forked()
            return result

        setattr(owner, name, counting)
        stack.callback(setattr, owner, name, original)

    def _forked(self) -> None:
        if self._users and not own_children.starting():
            self.recorder.child_started()

    def _start_over(self) -> None:
        self._lock = threading.RLock()
        if self._users:
            self._users = 0
            self._restore()
        self.recorder = Recorder(forgets=True, pace=self.pace, names=self.names)


def _found_taps() -> tuple[EntryPoint, ...]:
    found = taps.installed()
    if not found:
        raise TapError(
            f"no taps are registered under the entry-point group {taps.GROUP!r}, so nothing would be counted: "
            "install the distribution (pip install pytest-redisperf); its source on the path is not enough"
        )
    return found


@contextmanager
def _loud(point: EntryPoint, tap: Tap, recorder: Recorder) -> Iterator[None]:
    """The tap; if it does not fit its client, the error says how to go on without it."""
    entered = tap(recorder)
    try:
        entered.__enter__()
    except TapError as error:
        raise TapError(f"{error}; to leave this client uncounted set {taps.WITHOUT}={point.name}") from error
    with ExitStack() as stack:
        stack.push(entered)
        yield


def _load(point: EntryPoint) -> Tap:
    try:
        tap: Tap = point.load()
    except Exception as error:
        raise TapError(
            f"tap {point.name!r} ({point.value}) could not be loaded: {error!r}; "
            "nothing would be counted: reinstall the distribution that offers it, or remove it"
        ) from error
    return tap
