"""What threads do their own way: work beside the callers, pauses, and things that belong to one process.

Written by hand, as is its twin in `asyncio/`, which has the same names for event loops.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from inspect import iscoroutinefunction
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
Function: TypeAlias = Callable[P, T]
"""A function that can be decorated here."""
Loader: TypeAlias = Callable[[], T]
"""Called without arguments, returns what is to be cached."""
KeyedLoader: TypeAlias = Callable[[str], T]
"""Called with a key, returns what is to be cached."""
Renewer: TypeAlias = Callable[[Any], T]
"""Called with a cached value past its time, returns what is to be cached in its place."""
KeyedRenewer: TypeAlias = Callable[[str, Any], T]
"""Called with a key as well."""

logger = logging.getLogger("redis_perf_reference")
sleep = time.sleep
MOST_THREADS = 8


def check_function(function: Callable[..., Any]) -> None:
    """Raises TypeError for an async function."""
    if any(map(iscoroutinefunction, (function, getattr(function, "__call__", None)))):  # noqa: B004
        raise TypeError(
            f"{function!r} is an async function, and this cache is sync: take Caching and the cache from "
            "redis_perf_reference.asyncio"
        )


class OneEach(Generic[T]):
    """One value for each process: a forked child has none of its parent's threads, so nobody ends what they began."""

    forks = 0
    """How many forks lie between this process and the first; asking for the process id would be a system call."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._mine: tuple[int, T] = (OneEach.forks, make())

    def here(self) -> T:
        forks, value = self._mine
        if forks != OneEach.forks:
            self._mine = (OneEach.forks, value := self._make())
        return value


def _forked() -> None:
    OneEach.forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls it here: the twin of a call that does not block its event loop."""
    return function(*arguments)


def finished(work: Callable[[], T]) -> T:
    """Does it: a thread is not cancelled."""
    return work()


def landed(future: Future[T]) -> T:
    """Waits for what another thread has begun."""
    return future.result()


class Waiter:
    """Waits until it is woken, by any thread, or for some seconds. For one wait."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._woken = threading.Event()
        self.wake = self._woken.set

    def wait(self, seconds: float) -> None:
        self._woken.wait(seconds)


class Background:
    """Runs work that no caller waits for, in `at_most` daemon threads; what it raises is logged."""

    def __init__(self, at_most: int = MOST_THREADS) -> None:
        self._last: threading.Thread | None = None
        self._free = OneEach(lambda: threading.Semaphore(at_most))

    def start(self, work: Callable[[], Any]) -> bool:
        """False if it is not done: all threads are busy, or there can be no more."""
        free = self._free.here()
        if not free.acquire(blocking=False):
            return False
        thread = threading.Thread(target=_logged, args=(work, free), daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            free.release()
            logger.warning("in the background: %s", error)
            return False
        self._last = thread
        return True

    def start_unless_running(self, work: Callable[[], Any]) -> None:
        """A thread that a fork left behind does not count as running. Two callers at once may start two."""
        if self._last is None or not self._last.is_alive():
            self.start(work)


def gathered(calls: list[Callable[[], Any]], at_once: int) -> list[Any]:
    """What each call returned, or the exception it raised; `at_once` of them at a time, in threads."""
    with ThreadPoolExecutor(at_once) as threads:
        futures = [threads.submit(call) for call in calls]
    return [future.exception() or future.result() for future in futures]


def _logged(work: Callable[[], Any], free: threading.Semaphore) -> None:
    try:
        work()
    except Exception as error:
        logger.warning("in the background: %s: %s", type(error).__name__, error)
    finally:
        free.release()
