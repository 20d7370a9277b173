"""Flights: work that several callers want is done once, and all of them get what came of it.

Written by hand, as is its twin in `sync/`: here the work is a task of its own, so that a caller who is cancelled takes
nobody along. What it raises is raised to each caller. Belongs to one event loop.

An announcement costs next to nothing until somebody comes to wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis_perf_reference.entry_state import Tokens
from redis_perf_reference.missing import GONE


class Flights:
    def __init__(self) -> None:
        self._open: dict[str | bytes, asyncio.Future[Any] | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._tokens = Tokens()

    def announce(self) -> bytes:
        """A name that nobody else has: others find it from now on. `lead` or `withdraw` must follow."""
        token = self._tokens.take()
        self._open[token] = None
        return token

    def withdraw(self, token: bytes) -> None:
        """Nobody will do it: those who wait get GONE."""
        future = self._open.pop(token, None)
        if future is not None:
            future.set_result(GONE)

    def forget(self, name: str) -> None:
        """Nobody shall join it any more; those who have will get its result."""
        self._open.pop(name, None)

    async def lead(self, token: bytes, work: Callable[[], Awaitable[Any]]) -> Any:
        """Does what was announced, and returns its result; GONE if that was cancelled."""
        return await self._begun(token, self._found(token)[1], work)

    async def share(
        self, name: str | bytes, work: Callable[[], Awaitable[Any]], wait_seconds: float | None = None
    ) -> Any:
        """Waits for it if somebody has announced it, else does it. GONE if somebody gave up on it, or if it took
        longer than `wait_seconds`: then nobody shall join it any more."""
        known, future = self._found(name)
        if not known:
            return await self._begun(name, future, work)
        done, _ = await asyncio.wait([future], timeout=wait_seconds)
        if done:
            return future.result()
        self._leave(name, future)
        return GONE

    def _found(self, name: str | bytes) -> tuple[bool, asyncio.Future[Any]]:
        known = name in self._open
        future = self._open[name] = self._open.get(name) or asyncio.get_running_loop().create_future()
        return known, future

    async def _begun(self, name: str | bytes, future: asyncio.Future[Any], work: Callable[[], Awaitable[Any]]) -> Any:
        task = asyncio.create_task(self._do(name, future, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(future)

    async def _do(self, name: str | bytes, future: asyncio.Future[Any], work: Callable[[], Awaitable[Any]]) -> None:
        result: Any = GONE
        try:
            result = await work()
        except Exception as error:
            future.set_exception(error)
            future.exception()  # looked at: if every caller was cancelled, asyncio need not complain
        finally:
            self._leave(name, future)
            if not future.done():
                future.set_result(result)

    def _leave(self, name: str | bytes, future: asyncio.Future[Any]) -> None:
        if self._open.get(name) is future:
            del self._open[name]
