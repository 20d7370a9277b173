"""What is replaced in psycopg2 while it is tapped: `psycopg2._connect`, through which `psycopg2.connect` makes all.

Whoever holds `connect` itself, pools and SQLAlchemy among them, goes through it as well.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import wraps
from types import ModuleType, SimpleNamespace
from typing import Any, Final, cast

from redis_perf.errors import TapError
from redis_perf.recorder import now_ns
from redis_perf.site import caller
from redis_perf.taps.libpq import PROXY
from redis_perf.taps.psycopg2.classes import (
    CONNECTION_CALLS,
    CONNECTION_SETTINGS,
    LISTENING,
    NAMED_CURSOR_CALLS,
    bases,
    listening,
)
from redis_perf.taps.psycopg2.connections import Connections, Strangers
from redis_perf.taps.unheard import used

TESTED: Final = "2.9"


def pq_of(client: Any) -> ModuleType:
    """psycopg2's libpq, described as psycopg 3 does its own. Raises TapError."""
    version = _find(client, _find(client, client, "extensions"), "libpq_version")
    extension = _find(client, client, "_psycopg").__name__
    pq = SimpleNamespace(version=version, __impl__="c", PGconn=SimpleNamespace(__module__=extension))
    return cast("ModuleType", pq)


def patch(client: Any, connections: Connections, stack: ExitStack) -> None:
    """Replace what has to be replaced; the stack restores it. Raises TapError."""
    extensions, connect = client.extensions, _find(client, client, "_connect")
    if LISTENING.connections is not None:
        raise TapError("psycopg2 is tapped already: a connection has one message trace, so one recorder at a time")
    for name in (*CONNECTION_CALLS, *CONNECTION_SETTINGS, "cursor", "cursor_factory", "pgconn_ptr", "info", "closed"):
        _find(client, extensions.connection, name)
    for name in NAMED_CURSOR_CALLS:
        _find(client, extensions.cursor, name)
    base, _, _ = bases(extensions)
    stack.callback(Strangers(connections, extensions, base).release)
    LISTENING.connections = connections
    stack.callback(setattr, LISTENING, "connections", None)
    stack.callback(setattr, client, "_connect", connect)
    client._connect = _connecting(connect, connections, extensions.connection, base)


def _connecting(connect: Any, connections: Connections, plain: type, base: type) -> Any:
    @wraps(connect)
    def connecting(dsn: Any, connection_factory: Any = None, *args: Any, **options: Any) -> Any:
        began_ns, who = now_ns(), caller(1)
        try:
            connection = connect(dsn, listening(connection_factory or plain, base), *args, **options)
        except Exception as error:
            connections.failed(error, began_ns, who)
            raise
        if isinstance(connection, base):
            connections.opened(connection, began_ns, who)
        elif isinstance(connection, plain):  # made by a function, of a class of its own
            used(connections.unheard(connection))
        return connection

    return connecting


def _find(client: Any, owner: Any, name: str) -> Any:
    found = getattr(owner, name, None)
    if found is None:
        where = f"{owner.__module__}.{owner.__name__}" if isinstance(owner, type) else owner.__name__
        raise TapError(
            f"psycopg2 {client.__version__.split()[0]} has no {where}.{name}, where round trips are counted "
            f"(tested with psycopg2 {TESTED}); use that, or {PROXY}"
        )
    return found
