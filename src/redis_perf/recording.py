"""`record()`: everything this process sends through tapped clients while a block runs.

Patching a client is a thing of the whole process, so this file holds the one process-wide state there is: which
taps are in place, and how many recordings need them. The first recording installs, the last one restores. A tap that
does not fit its client fails a recording, unless that can do with less (`strict=False`).
A forked child starts over with nothing patched: what it sends is its own.
"""

from __future__ import annotations

import multiprocessing.util
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import wraps
from importlib.metadata import EntryPoint
from types import TracebackType
from typing import Any, Self

from redis_perf import own_children, taps
from redis_perf.errors import TapError
from redis_perf.pace import Pace
from redis_perf.recorder import Recorder, Tap, now_ns
from redis_perf.trace import StoreTrace, Trace


class _Listening:
    """The taps in place right now."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.names: dict[str, str] = {}
        self.recorder = Recorder(forgets=True, pace=self.pace, names=self.names)
        self._users = 0
        self._unfit: TapError | None = None
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
        with ExitStack() as stack:
            try:
                found = _found_taps()
            except TapError as none:
                found, self._unfit = (), none
            for point in found:
                try:
                    stack.enter_context(_loud(point, self.recorder))
                except TapError as unfit:
                    self._unfit = self._unfit or unfit
            self._watch_children(stack)
            self._installed = stack.pop_all()

    def _restore(self) -> None:
        self._installed.close()

    def _watch_children(self, stack: ExitStack) -> None:
        if not self._watches_forks:
            os.register_at_fork(after_in_parent=self._forked, after_in_child=self._start_over)
            self._watches_forks = True
        self._watch(stack, subprocess.Popen, "__init__")
        self._watch(stack, multiprocessing.util, "spawnv_passfds")

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
def _loud(point: EntryPoint, recorder: Recorder) -> Iterator[None]:
    """The tap; if it does not fit its client, the error says how to go on without it."""
    tap = _load(point)(recorder)
    try:
        tap.__enter__()
    except TapError as error:
        raise TapError(f"{error}; to leave this client uncounted set {taps.WITHOUT}={point.name}") from error
    with ExitStack() as stack:
        stack.push(tap)
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


_listening = _Listening()


class Recording:
    """A window of time over what this process sends. Reads like the `Trace` it is turning into.

    Not `strict`: a client whose tap does not fit is left out.
    """

    def __init__(self, *, strict: bool = True) -> None:
        self._strict = strict
        self._recorder: Recorder | None = None
        self._since_ns = 0
        self._trace: Trace | None = None

    def __enter__(self) -> Self:
        self._recorder = _listening.start(strict=self._strict)
        self._since_ns = self._recorder.open_window()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._recorder is None:
            return
        until_ns = now_ns()
        try:
            self._trace = self._recorder.trace(self._since_ns, until_ns)
        finally:
            recorder, self._recorder = self._recorder, None
            recorder.close_window(self._since_ns)
            _listening.stop(recorder)

    @property
    def recorder(self) -> Recorder | None:
        """What it reads from while it runs."""
        return self._recorder

    @property
    def trace(self) -> Trace:
        """What has been seen so far; final once the block has ended."""
        if self._trace is not None:
            return self._trace
        if self._recorder is None:
            raise RuntimeError("this recording has not begun: use it as `with redis_perf.record() as trace:`")
        return self._recorder.trace(self._since_ns)

    @property
    def redis(self) -> StoreTrace:
        return self.trace.redis

    @property
    def postgres(self) -> StoreTrace:
        return self.trace.postgres

    @property
    def setup(self) -> Trace:
        return self.trace.setup

    @property
    def transaction(self) -> Trace:
        return self.trace.transaction

    @property
    def work(self) -> Trace:
        return self.trace.work

    @property
    def every(self) -> Trace:
        return self.trace.every

    @property
    def depth(self) -> int:
        return self.trace.depth


def pace() -> Pace:
    """How much longer the replies of this process's blocking redis-py clients take, while taps are in place."""
    return _listening.pace


def unheard() -> AbstractContextManager[None]:
    """While the block runs nothing is recorded and nothing slowed down, though recordings may be running."""
    return _listening.suspended()


@contextmanager
def tapped(*, strict: bool = True) -> Iterator[None]:
    """Keep the taps in place while the block runs, so that recordings within it need not patch and restore.

    Raises TapError as `record` does, if it is to be strict.
    """
    recorder = _listening.start(strict=strict)
    try:
        yield
    finally:
        _listening.stop(recorder)


def record() -> Recording:
    """Record what this process sends to Redis and Postgres while the block runs, from any thread or task.

        with redis_perf.record() as trace:
            client.get("user:1")
        assert trace.redis.round_trips == 1

    Connections opened earlier are seen too. Processes started meanwhile are not (`trace.children` counts them).
    Raises TapError when a client is installed but has not the hook points its tap needs.
    """
    return Recording()


def server_names() -> dict[str, str]:
    """What servers are called in traces of this process, by address (`127.0.0.1:6379`); to be changed by who starts
    them. Connections made before keep the name they have."""
    return _listening.names
