"""What is replaced in psycopg while it is tapped.

`generators.connect`, `execute` and `fetch` in every module that holds them (some import them by name), `wait` and
`close` of `Connection` and `AsyncConnection`. All are looked up before the first is replaced.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack
from types import ModuleType
from typing import Any, Final

from redis_perf.errors import TapError
from redis_perf.taps.libpq import PROXY
from redis_perf.taps.psycopg.connections import Connections
from redis_perf.taps.psycopg.handshake import traced

TESTED: Final = "3.1 to 3.3"

ASKING: Final = (
    "execute", "commit", "rollback", "set_autocommit", "tpc_begin", "tpc_prepare", "tpc_commit", "tpc_rollback",
)  # fmt: skip
"""Methods of `AsyncConnection` that make a coroutine which asks the server, to know who calls them."""
CURSOR_ASKING: Final = ("execute", "executemany")
SERVER_CURSOR_ASKING: Final = (*CURSOR_ASKING, "fetchone", "fetchmany", "fetchall", "scroll", "close")

_Replace = Callable[[Any, Connections], Any]


def patch(client: Any, connections: Connections, stack: ExitStack) -> None:
    """Replace what has to be replaced; the stack restores it."""
    generators = _find(client, "generators")
    if hasattr(_find(generators, "connect"), "recorder"):
        raise TapError("psycopg is tapped already: a connection has one message trace, so one recorder at a time")
    _find(generators, "_connect")
    replacements = [
        (_find(generators, "connect"), traced(generators, connections.recorder, connections.attach)),
        (_find(generators, "execute"), _answered(generators.execute, connections)),
        (_find(generators, "fetch"), _answered(generators.fetch, connections)),
    ]
    methods = [
        (owner, name, replace(_find(owner, name), connections))
        for owner, replace_each in ((client.Connection, _SYNC), (client.AsyncConnection, _ASYNC))
        for name, replace in replace_each.items()
    ]
    methods += [
        (owner, name, connections.callers.noting(vars(owner)[name]))
        for owner, names in (
            (client.AsyncConnection, ASKING),
            (client.AsyncCursor, CURSOR_ASKING),
            (client.AsyncServerCursor, SERVER_CURSOR_ASKING),
        )
        for name in names
        if name in vars(owner)
    ]
    for original, replacement in replacements:
        for module, name in _holders(original):
            _set(stack, module, name, replacement)
    for owner, name, replacement in methods:
        _set(stack, owner, name, replacement)


def _find(owner: Any, name: str) -> Any:
    found = getattr(owner, name, None)
    if found is None:
        version = sys.modules["psycopg"].__version__
        where = f"{owner.__module__}.{owner.__name__}" if isinstance(owner, type) else owner.__name__
        raise TapError(
            f"psycopg {version} has no {where}.{name}, where round trips are counted (tested with psycopg {TESTED}); "
            f"use one of those, or {PROXY}"
        )
    return found


def _holders(function: Any) -> list[tuple[ModuleType, str]]:
    """psycopg's modules that hold this function: several import it by name, which ones depends on the version."""
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "psycopg"]
    return [(module, name) for module in modules for name, held in list(vars(module).items()) if held is function]


def _set(stack: ExitStack, owner: Any, name: str, replacement: Any) -> None:
    stack.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, replacement)


def _answered(original: Any, connections: Connections) -> Any:
    """`execute` or `fetch`: the generators for the replies to what was just sent."""
    stream_of = connections.of

    @functools.wraps(original)
    def answered(pgconn: Any) -> Generator[Any, Any, Any]:
        stream = stream_of(id(pgconn))
        replies: Generator[Any, Any, Any] = original(pgconn)
        return replies if stream is None or not stream.lock.locked() else stream.answered(pgconn, replies)

    return answered


def _wait(original: Any, connections: Connections) -> Any:
    entered = connections.entered

    @functools.wraps(original)
    def wait(connection: Any, *args: Any, **options: Any) -> Any:
        stream = entered(connection)
        if stream is None:
            return original(connection, *args, **options)
        try:
            return original(connection, *args, **options)
        finally:
            stream.leave(connection.pgconn)

    return wait


def _wait_async(original: Any, connections: Connections) -> Any:
    entered = connections.entered

    @functools.wraps(original)
    async def wait(connection: Any, *args: Any, **options: Any) -> Any:
        stream = entered(connection)
        if stream is None:
            return await original(connection, *args, **options)
        try:
            return await original(connection, *args, **options)
        finally:
            stream.leave(connection.pgconn)

    return wait


def _close(original: Any, connections: Connections) -> Any:
    @functools.wraps(original)
    def close(connection: Any) -> None:
        try:
            original(connection)
        finally:
            connections.closed(connection.pgconn)

    return close


def _close_async(original: Any, connections: Connections) -> Any:
    @functools.wraps(original)
    async def close(connection: Any) -> None:
        try:
            await original(connection)
        finally:
            connections.closed(connection.pgconn)

    return close


_SYNC: Final[dict[str, _Replace]] = {"wait": _wait, "close": _close}
_ASYNC: Final[dict[str, _Replace]] = {"wait": _wait_async, "close": _close_async}
