"""Who asked, in asyncio, when the library's own coroutine is a task: its stack does not lead to the user's line."""

from __future__ import annotations

from asyncio import current_task
from types import CodeType
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from redis_perf.site import caller, user_line
from redis_perf.wire import Caller

Coroutine = TypeVar("Coroutine")


class Callers:
    """The user's lines that made the library's coroutines, while these live."""

    def __init__(self) -> None:
        self._lines: WeakKeyDictionary[Any, tuple[CodeType | None, int]] = WeakKeyDictionary()

    def note(self, coroutine: Coroutine) -> Coroutine:
        """Who is on the stack made it."""
        self._lines[coroutine] = user_line(2)
        return coroutine

    def here(self) -> Caller:
        """Who is on the stack, else who made the coroutine that this task runs."""
        who = caller(2)
        if who.code is not None:
            return who
        try:
            task = current_task()
        except RuntimeError:  # no loop runs
            return who
        code, line = self._lines.get(task.get_coro(), (None, 0)) if task is not None else (None, 0)
        return Caller(code, line, who.lane)
