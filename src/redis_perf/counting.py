"""`counted(client)`: the trace of one client alone, carried by the client itself.

The client stays the object it was; its class becomes a subclass that has `trace`. Its connections are told from
others by a name put on them, which is why clients that share a pool share the count.
"""

from __future__ import annotations

import inspect
import itertools
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from redis_perf.recording import Recording
from redis_perf.trace import Trace

Client = TypeVar("Client")

NAME = "_redis_perf_name"
"""The attribute of a connection that taps take its name from."""
_numbers = itertools.count(1)


class _Name(str):
    """Equal to any such text, but only itself is this client's."""

    __slots__ = ()


class _Counting:
    """The recording behind one client, until the client is closed."""

    def __init__(self, name: _Name) -> None:
        self.name = name
        self._recording = Recording()
        self._recording.__enter__()

    @property
    def trace(self) -> Trace:
        everything = self._recording.trace
        return replace(
            everything,
            round_trips=tuple(trip for trip in everything.round_trips if trip.name is self.name),
            opened=tuple(opened for opened in everything.opened if opened.name is self.name),
            problems=tuple(each for each in everything.problems if getattr(each, "name", None) is self.name),
        )

    def mark(self, connection: Any) -> None:
        """This connection, open already, is this client's."""
        setattr(connection, NAME, self.name)
        if self._recording.recorder is not None:
            self._recording.recorder.name(getattr(connection, "pgconn", connection), self.name)

    def mark_new(self, connection_class: type) -> type:
        """A connection class whose connections are this client's."""
        plain = vars(connection_class).get("_redis_perf_plain", connection_class)
        name = self.name

        def __init__(connection: Any, *args: Any, **options: Any) -> None:
            connection.__dict__[NAME] = name
            plain.__init__(connection, *args, **options)

        return _subclass(plain, {NAME: name, "_redis_perf_plain": plain, "__init__": __init__})

    def stop(self) -> None:
        """The trace stays as it is now. Idempotent."""
        self._recording.__exit__(None, None, None)


def counted(client: Client, *, name: str | None = None) -> Client:
    """Count what this client does from now on: it gets an attribute `trace`, a `redis_perf.Trace`.

        memory = redis_perf.counted(redis.Redis())
        memory.get("user:1")
        assert memory.trace.redis.round_trips == 1

    For redis-py and valkey-py clients (blocking, asyncio, cluster), psycopg connections and psycopg_pool pools. The
    same object is returned. `name` is what its round trips are called, in budgets by name too.
    Counting ends when the client is closed or collected; counting it again starts from nothing.
    Raises TypeError for anything else, TapError as `redis_perf.record` does.
    """
    mark = _marking(client)
    _stop_counting(client)
    counting = _Counting(_Name(name or f"{type(client).__name__} {next(_numbers)}"))
    try:
        mark(client, counting)
        client.__class__ = _counted_class(type(client), counting)
    except BaseException:
        counting.stop()
        raise
    weakref.finalize(client, counting.stop).atexit = False
    return client


def _marking(client: object) -> Callable[[Any, _Counting], None]:
    packages = {base.__module__.partition(".")[0] for base in type(client).__mro__}
    if packages & {"redis", "valkey"} and hasattr(client, "nodes_manager"):
        return _mark_cluster
    if packages & {"redis", "valkey"} and hasattr(client, "connection_pool"):
        return _mark_client
    if "psycopg_pool" in packages and hasattr(client, "connection_class"):
        return _mark_psycopg_pool
    if "psycopg" in packages and hasattr(client, "pgconn"):
        return _mark_psycopg
    raise TypeError(
        f"counted() takes a redis-py or valkey-py client, a psycopg connection or a psycopg_pool pool, "
        f"not {type(client).__module__}.{type(client).__qualname__}; use redis_perf.record() for everything else"
    )


def _mark_client(client: Any, counting: _Counting) -> None:
    _mark_pool(client.connection_pool, counting)
    if getattr(client, "connection", None) is not None:
        counting.mark(client.connection)


def _mark_pool(pool: Any, counting: _Counting) -> None:
    pool.connection_class = counting.mark_new(pool.connection_class)
    for kept in ("_available_connections", "_in_use_connections", "_connections"):
        for connection in getattr(pool, kept, ()):
            counting.mark(getattr(connection, "_conn", connection))  # client-side caching wraps the real one


def _mark_cluster(client: Any, counting: _Counting) -> None:
    nodes = client.nodes_manager
    if hasattr(nodes, "create_redis_node"):
        _mark_cluster_nodes(nodes, counting)
        return
    client.connection_kwargs["connection_class"] = counting.mark_new(client.connection_kwargs["connection_class"])
    for node in (*nodes.nodes_cache.values(), *nodes.startup_nodes.values()):
        node.connection_class = counting.mark_new(node.connection_class)
        _mark_each(node._connections, counting)


def _mark_cluster_nodes(nodes: Any, counting: _Counting) -> None:
    create = getattr(nodes.create_redis_node, "__wrapped__", nodes.create_redis_node)

    def create_redis_node(*args: Any, **options: Any) -> Any:
        node = create(*args, **options)
        _mark_pool(node.connection_pool, counting)
        return node

    create_redis_node.__wrapped__ = create  # type: ignore[attr-defined]
    nodes.create_redis_node = create_redis_node
    for node in (*nodes.nodes_cache.values(), *nodes.startup_nodes.values()):
        if node.redis_connection is not None:
            _mark_pool(node.redis_connection.connection_pool, counting)


def _mark_psycopg(connection: Any, counting: _Counting) -> None:
    counting.mark(connection)


def _mark_psycopg_pool(pool: Any, counting: _Counting) -> None:
    pool.connection_class = counting.mark_new(pool.connection_class)
    for connection in list(pool._pool):
        _mark_psycopg(connection, counting)


def _mark_each(connections: Iterable[Any], counting: _Counting) -> None:
    for connection in list(connections):
        counting.mark(connection)


def _stop_counting(client: object) -> None:
    counting = getattr(type(client), "_redis_perf_counting", None)
    if counting is not None:
        counting.stop()
        client.__class__ = type(client).__mro__[1]


def _counted_class(plain: type, counting: _Counting) -> type:
    ends = {name: _ending(getattr(plain, name), counting) for name in ("close", "aclose") if hasattr(plain, name)}
    trace = property(lambda client: counting.trace, doc="What this client has done since it is counted.")
    return _subclass(plain, {"trace": trace, "_redis_perf_counting": counting, **ends})


def _ending(close: Any, counting: _Counting) -> Any:
    """`close`, after which counting ends."""
    if inspect.iscoroutinefunction(inspect.unwrap(close)):

        async def aclose(client: Any, *args: Any, **options: Any) -> Any:
            try:
                return await close(client, *args, **options)
            finally:
                counting.stop()

        return aclose

    def end(client: Any, *args: Any, **options: Any) -> Any:
        try:
            return close(client, *args, **options)
        finally:
            counting.stop()

    return end


def _subclass(plain: type, members: dict[str, Any]) -> type:
    names = {"__module__": plain.__module__, "__qualname__": plain.__qualname__, "__doc__": plain.__doc__}
    return type(plain.__name__, (plain,), {"__slots__": (), **names, **members})
