"""Who asked, in asyncio, when the library's own coroutine is a task: its stack does not lead to the user's line.

`gather`, `create_task` and (before Python 3.12) `wait_for` make a task of the coroutine they are given. But whoever
called the coroutine's function is on the stack while that makes it.
"""

from __future__ import annotations

import inspect
from asyncio import current_task
from functools import wraps
from types import CodeType
from typing import Any

from redis_perf.site import Trail, caller
from redis_perf.wire import Caller


class Callers:
    """The user's lines that made the library's coroutines, by the coroutine's id.

    That is safe although ids are used again: all coroutines of these functions are noted when they are made, so the
    last note of an id is of the one that lives.
    """

    def __init__(self) -> None:
        self._makers: dict[int, Caller] = {}
        self._noted: list[CodeType] = []

    def noting(self, make: Any) -> Any:
        """`make`, which makes coroutines, with a note of who called it."""
        self._noted.append(inspect.unwrap(make).__code__)
        makers, trail = self._makers, Trail()

        @wraps(make)
        def noted(*args: Any, **options: Any) -> Any:
            coroutine = make(*args, **options)
            makers[id(coroutine)] = caller(2, trail)
            return coroutine

        if hasattr(inspect, "markcoroutinefunction") and inspect.iscoroutinefunction(make):  # Python 3.12
            inspect.markcoroutinefunction(noted)
        return noted

    def here(self, trail: Trail | None = None, depth: int = 3) -> Caller:
        """Who is on the stack, else who made the coroutine that this task runs."""
        who = caller(depth, trail)
        return who if who.code is not None else self._maker(who)

    def _maker(self, who: Caller) -> Caller:
        try:
            task = current_task()
        except RuntimeError:  # no loop runs
            return who
        coroutine = task.get_coro() if task is not None else None
        if getattr(coroutine, "cr_code", None) not in self._noted:
            return who
        maker = self._makers.get(id(coroutine), who)
        return maker._replace(lane=who.lane)
