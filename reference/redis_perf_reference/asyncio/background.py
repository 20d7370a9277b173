"""What asyncio does its own way: work beside the callers, pauses, and things that belong to one event loop.

Written by hand, as is its twin in `sync/`, which has the same names for threads and processes.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from inspect import iscoroutinefunction
from math import inf
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

P = ParamSpec("P")
T = TypeVar("T")
Function: TypeAlias = Callable[P, Awaitable[T]]
"""A function that can be decorated here."""
Loader: TypeAlias = Callable[[], Awaitable[T]]
"""Called without arguments, returns what is to be cached."""
KeyedLoader: TypeAlias = Callable[[str], Awaitable[T]]
"""Called with a key, returns what is to be cached."""
Renewer: TypeAlias = Callable[[Any], Awaitable[T]]
"""Called with a cached value past its time, returns what is to be cached in its place."""
KeyedRenewer: TypeAlias = Callable[[str, Any], Awaitable[T]]
"""Called with a key as well."""

logger = logging.getLogger("redis_perf_reference")
sleep = asyncio.sleep


def check_function(function: Callable[..., Any]) -> None:
    """Raises TypeError for a function that is not async."""
    if not (iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))):  # noqa: B004
        raise TypeError(
            f"{function!r} is no async function, and this cache is asyncio's: make it async, or take Caching and the "
            "cache from redis_perf_reference.sync"
        )


class OneEach(Generic[T]):
    """One value for each event loop: connections and futures belong to the loop they were made in.

    Values know their loop, so none would ever go by itself: those of closed loops go when the next value is made.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def here(self) -> T:
        loop = asyncio.get_running_loop()
        value = self._values.get(loop)
        if value is None:
            with self._lock:
                for closed in [known for known in self._values if known.is_closed()]:
                    del self._values[closed]
                value = self._values[loop] = self._make()
        return value


async def called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls it in a thread (`asyncio.to_thread`), so that it may block; awaits what it returns if need be."""
    result = await asyncio.to_thread(function, *arguments)
    return await result if inspect.isawaitable(result) else result


async def finished(work: Callable[[], Awaitable[T]]) -> T:
    """Does it to the end, also if the caller is cancelled meanwhile; the caller is cancelled then."""
    task = asyncio.ensure_future(work())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def landed(future: Future[T]) -> T:
    """Waits for what another caller has begun; whoever is cancelled meanwhile takes nobody along."""
    return await asyncio.shield(asyncio.wrap_future(future))


class Waiter:
    """Waits until it is woken, by any thread, or for some seconds. For one wait."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._loop, self._woken = asyncio.get_running_loop(), asyncio.Event()

    def wake(self) -> None:
        with suppress(RuntimeError):  # its loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._woken.set)

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)


class Background:
    """Runs work that no caller waits for, `at_most` of it at once in each event loop; what it raises is logged."""

    def __init__(self, at_most: float = inf) -> None:
        self._at_most = at_most
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Callable[[], Awaitable[Any]]) -> bool:
        """False if it is not done, as there is enough to do already."""
        loop = asyncio.get_running_loop()
        if sum(task.get_loop() is loop for task in self._running) >= self._at_most:
            return False
        task = loop.create_task(_logged(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

    def start_unless_running(self, work: Callable[[], Awaitable[Any]]) -> None:
        """A task whose loop has stopped does not count as running."""
        if not any(task.get_loop().is_running() and not task.done() for task in tuple(self._running)):
            self.start(work)


async def gathered(calls: list[Callable[[], Awaitable[Any]]], at_once: int) -> list[Any]:
    """What each call returned, or the exception it raised; `at_once` of them at a time."""
    gate = asyncio.Semaphore(at_once)

    async def one(call: Callable[[], Awaitable[Any]]) -> Any:
        async with gate:
            return await call()

    return await asyncio.gather(*map(one, calls), return_exceptions=True)


async def _logged(work: Callable[[], Awaitable[Any]]) -> None:
    try:
        await work()
    except Exception as error:
        logger.warning("in the background: %s: %s", type(error).__name__, error)
