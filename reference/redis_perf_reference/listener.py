"""Something that goes on beside the calls: a task of the running loop, or a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from time import sleep
from typing import Any

REST_SECONDS = 0.005
"""The interpreter's switch interval: where another thread computes, nobody is sure of a turn any sooner."""


class BackgroundTask:
    """Runs `work` until it returns or `stop` cancels it."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._work, self._name = work, name
        self._task: asyncio.Task[None] | None = None
        self.ending = False

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done() and not self._task.get_loop().is_closed()

    async def start(self) -> None:
        if self.running:
            return
        self.ending = False
        self._task = asyncio.create_task(self._work(), name=self._name)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def rest(self) -> None:
        """A task takes nothing from others by going on at once."""

    async def stop(self, wake: Callable[[], Awaitable[None]]) -> None:
        """Cancelling needs no waking."""
        self.ending = True
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None


class BackgroundThread:
    """Runs `work`, which looks at `ending` often, until it returns."""

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self._work, self._name = work, name
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    @property
    def ending(self) -> bool:
        return self._ending.is_set()

    @property
    def running(self) -> bool:
        """Never in a forked child, which has none of its parent's threads."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        if self.running:
            return
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def pause(self, seconds: float) -> None:
        self._ending.wait(seconds)

    def rest(self) -> None:
        """Between two pieces of work. A thread that is woken while another one works holds that up for longer than its
        work takes: so what comes within this time is one piece."""
        sleep(REST_SECONDS)

    def stop(self, wake: Callable[[], None]) -> None:
        """`wake` makes work that waits look at `ending`."""
        if self._thread is not None and self._thread.is_alive():
            self._ending.set()
            wake()
            self._thread.join()
        self._thread = None
