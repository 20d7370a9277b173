"""Exchange: one command and its reply on a connection of redis-py.

Written by hand, as is its twin in `sync/`. redis-py sends within `asyncio.wait_for`, which before Python 3.12 is a task
for each command, and loses a cancellation now and then. So here the sockets have no timeout, and the whole exchange has
one, connecting included.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from redis.asyncio import Redis


class Exchange:
    """`connect` makes a connection like those of `redis`, which opens when it is first used."""

    def __init__(self, redis: Redis) -> None:
        pool = redis.connection_pool
        self._timeout_seconds = pool.connection_kwargs.get("socket_timeout")
        self.connect = partial(pool.connection_class, **pool.connection_kwargs | {"socket_timeout": None})

    async def __call__(self, connection: Any, command: tuple[Any, ...]) -> Any:
        """The reply as bytes. Raises what redis-py raises, and TimeoutError."""
        async with asyncio.timeout(self._timeout_seconds):
            await connection.send_command(*command)
            return await connection.read_response(disable_decoding=True)

    @staticmethod
    async def unread(connection: Any) -> bool:
        """Whether something has come that nobody waits for, if only the end."""
        look = getattr(connection, "can_read", None) or connection.can_read_destructive  # the name before redis-py 8
        return bool(await look())
