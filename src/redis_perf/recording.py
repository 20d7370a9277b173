"""`record()`: everything this process sends through tapped clients while a block runs.

This file holds the one process-wide state there is, for patching a client is a thing of the whole process: see
`listening`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from redis_perf.listening import Listening
from redis_perf.pace import Pace
from redis_perf.recorder import Recorder, now_ns
from redis_perf.trace import StoreTrace, Trace

_listening = Listening()


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
            self._trace = self._read(self._recorder, until_ns)
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
        return self._read(self._recorder)

    def _read(self, recorder: Recorder, until_ns: int | None = None) -> Trace:
        trace = recorder.trace(self._since_ns, until_ns)
        misfits = _listening.problems if self._strict else []
        return replace(trace, problems=(*trace.problems, *misfits)) if misfits else trace

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
    Raises TapError when a client that is imported has not the hook points its tap needs; if it is imported later, that
    is a problem of the trace, on which budgets of its store fail.
    """
    return Recording()


def server_names() -> dict[str, str]:
    """What servers are called in traces of this process, by address (`127.0.0.1:6379`); to be changed by who starts
    them. Connections made before keep the name they have."""
    return _listening.names
