"""Exchange: what goes over a connection of redis-py, either a command and its reply or what is told on a channel.

Written by hand, as is its twin in `sync/`. redis-py sends within `asyncio.wait_for`, which before Python 3.12 is a task
for each command, and loses a cancellation now and then. So here the sockets have no timeout, and the whole exchange has
one, connecting included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from redis.asyncio import Redis

from redis_perf_reference.connection_options import connection_options
from redis_perf_reference.packed import packed

HEARD_BYTES = 65536


class Exchange:
    """`connect` makes a connection like those of `redis`, `subscriber` one to hear on; either opens when first used."""

    def __init__(self, redis: Redis) -> None:
        options = connection_options(redis.connection_pool.connection_kwargs)
        self._timeout_seconds = options.get("socket_timeout")
        self.subscriber: Callable[..., Any] = partial(redis.connection_pool.connection_class, **options)
        self.connect: Callable[..., Any] = partial(self.subscriber, socket_timeout=None)

    async def __call__(self, connection: Any, command: tuple[Any, ...], blocks_seconds: float = 0) -> Any:
        """The reply as bytes, of a command that may block. Raises what redis-py raises, and Python's TimeoutError."""
        async with asyncio.timeout(self._timeout_seconds and self._timeout_seconds + blocks_seconds):
            await connection.send_packed_command(packed(connection, command))
            return await connection.read_response(disable_decoding=True)

    @staticmethod
    async def unread(connection: Any) -> bool:
        """Whether something has come that nobody waits for, if only the end."""
        if hasattr(connection, "can_read"):
            return bool(await connection.can_read())
        # Before redis-py 8 it had this name, and saw of what had come nothing but the end.
        return bool(await connection.can_read_destructive() or connection._reader._buffer)

    @staticmethod
    async def heard(connection: Any, timeout_seconds: float) -> bytes | None:
        """What came next; None if nothing came in time. Raises OSError, also at the end."""
        try:
            async with asyncio.timeout(timeout_seconds):
                data: bytes = await connection._reader.read(HEARD_BYTES)
        except TimeoutError:
            return None
        if not data:
            raise ConnectionError("closed by the server")
        return data
