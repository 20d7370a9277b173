"""What is replaced in asyncpg while it is tapped. All is looked up before the first is replaced.

`protocol.Protocol`, which connections are made with; `connect_utils._connect_addr`, which opens them;
`connect_utils.TLSUpgradeProto`, which asks for TLS; of `Connection` its slot `_protocol`, by which connections that
were open before are met, and `reset`, which knows what a pool's reset sends. And the methods that make coroutines, to
know who calls them.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import wraps
from typing import Any, Final

from redis_perf.errors import TapError
from redis_perf.recorder import Log
from redis_perf.site import caller
from redis_perf.taps.asyncpg.housekeeping import look_ups
from redis_perf.taps.asyncpg.listening import Listener, Listeners, listening_protocol
from redis_perf.taps.asyncpg.opening import OPENING, Opening, opening
from redis_perf.wire import Caller

TESTED: Final = "0.29 to 0.32"
ASKING: Final = (
    "execute", "executemany", "fetch", "fetchval", "fetchrow", "fetchmany", "prepare", "copy_from_table",
    "copy_from_query", "copy_to_table", "copy_records_to_table", "close",
)  # fmt: skip
_MISSING: Final = object()


def patch(client: Any, listeners: Listeners, stack: ExitStack) -> None:
    """Replace what has to be replaced; the stack restores it. Raises TapError."""
    connection, utils = client.Connection, _find(client, client, "connect_utils")
    plain = _find(client, _find(client, client, "protocol"), "Protocol")
    if "_redis_perf" in vars(plain):
        raise TapError("asyncpg is tapped already: a connection has one transport, so one recorder at a time")
    listening = listening_protocol(plain)
    query = "_get_reset_query" if hasattr(connection, "_get_reset_query") else "get_reset_query"  # public since 0.30
    _find(client, connection, query)
    replacements = [
        (client.protocol, "Protocol", listening),
        (utils, "_connect_addr", _opening(_find(client, utils, "_connect_addr"), listeners)),
        (connection, "_protocol", _meeting(_find(client, connection, "_protocol"), listeners, listening)),
        (connection, "reset", _resetting(_find(client, connection, "reset"), listeners, query)),
    ]
    upgrade = _find(client, utils, "TLSUpgradeProto")
    _find(client, upgrade, "data_received")
    listeners.housekeeping.update(_look_ups(client))
    replacements += [(upgrade, name, method) for name, method in _asking(upgrade).items()]
    replacements += _asking_methods(client, listeners)
    for owner, name, replacement in replacements:
        _set(stack, owner, name, replacement)


def _asking_methods(client: Any, listeners: Listeners) -> list[tuple[Any, str, Any]]:
    """What makes a coroutine that asks the server, with a note of who called: see `callers`."""
    owners = (client.Connection, client.pool.Pool, client.prepared_stmt.PreparedStatement)
    return [
        (owner, name, listeners.callers.noting(vars(owner)[name]))
        for owner in owners
        for name in ASKING
        if name in vars(owner)
    ]


def _look_ups(client: Any) -> set[str]:
    _find(client, _find(client, client, "introspection"), "TYPE_BY_NAME")
    _find(client, client.Connection, "_introspect_types")
    return look_ups(client)


def _find(client: Any, owner: Any, name: str) -> Any:
    found = getattr(owner, name, None)
    if found is None:
        where = f"{owner.__module__}.{owner.__name__}" if isinstance(owner, type) else owner.__name__
        raise TapError(
            f"asyncpg {client.__version__} has no {where}.{name}, so its traffic cannot be counted "
            f"(tested with asyncpg {TESTED}). Install a tested version, or count it through the proxy instead"
        )
    return found


def _set(stack: ExitStack, owner: Any, name: str, replacement: Any) -> None:
    original = vars(owner).get(name, _MISSING)
    if original is _MISSING:
        stack.callback(delattr, owner, name)
    else:
        stack.callback(setattr, owner, name, original)
    setattr(owner, name, replacement)


def _opening(original: Any, listeners: Listeners) -> Any:
    def listen(protocol: Any, log: Log, who: Caller) -> None:
        listeners.listen(protocol, Listener(log, who, listeners.callers))

    @wraps(original)
    async def connect_addr(**options: Any) -> Any:
        now = Opening(listeners, not isinstance(options.get("addr"), str), caller(1), listen)
        token = OPENING.set(now)
        try:
            return await original(**options)
        except ConnectionRefusedError:
            now.refused()
            raise
        finally:
            now.over = True
            OPENING.reset(token)

    return connect_addr


def _meeting(slot: Any, listeners: Listeners, listening: Any) -> property:
    read = slot.__get__

    def get(connection: Any) -> Any:
        protocol = read(connection)
        if protocol is not None and getattr(protocol, "_redis_perf", None) is None:
            listeners.adopt(connection, protocol, listening)
        return protocol

    return property(get, slot.__set__, slot.__delete__)


def _resetting(original: Any, listeners: Listeners, query: str) -> Any:
    """`query`: the method that knows what is sent."""

    @wraps(original)
    def reset(connection: Any, *args: Any, **options: Any) -> Any:
        listeners.housekeeping.add(getattr(connection, query)())
        return original(connection, *args, **options)

    return reset


def _asking(upgrade: Any) -> dict[str, Any]:
    """The methods of the protocol that asks for TLS: asyncpg writes its request as soon as that is connected."""

    def connection_made(self: Any, transport: Any) -> None:
        now = opening()
        if now is not None:
            self._redis_perf_opening = now
            now.asks_for_tls(transport)
        made(self, transport)

    def data_received(self: Any, data: bytes) -> None:
        now = getattr(self, "_redis_perf_opening", None)
        if now is not None:
            now.answered(bytes(data))
        received(self, data)

    def connection_lost(self: Any, error: Exception | None) -> None:
        now = getattr(self, "_redis_perf_opening", None)
        if now is not None:
            now.gone()
        lost(self, error)

    made, received, lost = upgrade.connection_made, upgrade.data_received, upgrade.connection_lost
    return {"connection_made": connection_made, "data_received": data_received, "connection_lost": connection_lost}
