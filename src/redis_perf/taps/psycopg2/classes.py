"""The classes that connections and cursors are made of while psycopg2 is tapped.

They come last before psycopg2's own, whatever class the user asked for: what that adds (`DictCursor`, a logging
connection) stays as it is, and each call is noted once, where it enters the compiled code. An object keeps its class
for good, so these outlive a recording; `LISTENING` says whether anybody listens.
"""

from __future__ import annotations

from functools import cache, wraps
from typing import Any, Final

from redis_perf.taps.psycopg2.connections import Connections


class _Listening:
    """Who listens right now. One for the process, as psycopg2's classes are."""

    connections: Connections | None = None


LISTENING: Final = _Listening()
CONNECTION_CALLS: Final = (
    "commit", "rollback", "reset", "poll", "close", "set_session", "set_isolation_level", "set_client_encoding",
    "tpc_begin", "tpc_prepare", "tpc_commit", "tpc_rollback", "tpc_recover",
)  # fmt: skip
CONNECTION_SETTINGS: Final = ("autocommit", "isolation_level", "readonly", "deferrable")
CURSOR_CALLS: Final = ("execute", "executemany", "callproc", "copy_from", "copy_to", "copy_expert")
NAMED_CURSOR_CALLS: Final = (
    *CURSOR_CALLS, "fetchone", "fetchmany", "fetchall", "scroll", "close", "__next__",
)  # fmt: skip
"""A cursor without a name has all its rows once it was executed."""


@cache
def bases(extensions: Any) -> tuple[type, type, type]:
    """What listens: a connection, a cursor, a named cursor."""
    plain = extensions.cursor
    cursor = _subclass(plain, {name: _cursor_call(getattr(plain, name)) for name in CURSOR_CALLS})
    named = _subclass(plain, {name: _cursor_call(getattr(plain, name)) for name in NAMED_CURSOR_CALLS})
    plain = extensions.connection
    calls = {name: _connection_call(getattr(plain, name)) for name in CONNECTION_CALLS}
    settings = {name: _setting(getattr(plain, name)) for name in CONNECTION_SETTINGS}
    made = _subclass(plain, {**calls, **settings, "cursor": _cursor(plain, cursor, named)})
    return made, cursor, named


@cache
def listening(wanted: Any, base: type) -> Any:
    """The class the user asked for, on top of one that listens. What is no class, or listens already, stays."""
    if not isinstance(wanted, type) or issubclass(wanted, base):
        return wanted
    if issubclass(base, wanted):
        return base
    return type(wanted.__name__, (wanted, base), _like(wanted))


def _subclass(plain: type, methods: dict[str, Any]) -> type:
    return type(plain.__name__, (plain,), {**_like(plain), **methods})


def _like(plain: type) -> dict[str, Any]:
    return {
        "__slots__": (),
        "__module__": plain.__module__,
        "__qualname__": plain.__qualname__,
        "__doc__": plain.__doc__,
    }


def _connection_call(plain: Any) -> Any:
    @wraps(plain)
    def call(connection: Any, *args: Any, **options: Any) -> Any:
        listener = LISTENING.connections
        stream = listener.entered(connection) if listener is not None else None
        if stream is None:
            return plain(connection, *args, **options)
        began_ns = stream.enter()
        try:
            return plain(connection, *args, **options)
        finally:
            stream.leave(connection, began_ns)

    return call


def _cursor_call(plain: Any) -> Any:
    @wraps(plain)
    def call(cursor: Any, *args: Any, **options: Any) -> Any:
        connection, listener = cursor.connection, LISTENING.connections
        stream = listener.entered(connection) if listener is not None else None
        if stream is None:
            return plain(cursor, *args, **options)
        began_ns = stream.enter()
        try:
            return plain(cursor, *args, **options)
        finally:
            stream.leave(connection, began_ns)

    return call


def _setting(plain: Any) -> property:
    """An attribute that sends something when it is set."""
    return property(plain.__get__, _connection_call(plain.__set__), doc=plain.__doc__)


def _cursor(plain: Any, cursor: type, named: type) -> Any:
    plain_cursor, plain_class = plain.cursor, cursor.__mro__[1]

    @wraps(plain_cursor)
    def make(connection: Any, name: Any = None, cursor_factory: Any = None, *args: Any, **options: Any) -> Any:
        wanted = cursor_factory or connection.cursor_factory or plain_class
        factory = listening(wanted, cursor if name is None else named)
        return plain_cursor(connection, name, factory, *args, **options)

    return make
