"""Exchange: one command and its reply on a connection of redis-py. Written by hand, as is its twin in `asyncio/`."""

from __future__ import annotations

from functools import partial
from typing import Any

from redis import Redis


class Exchange:
    """`connect` makes a connection like those of `redis`, which opens when it is first used."""

    def __init__(self, redis: Redis) -> None:
        pool = redis.connection_pool
        self.connect = partial(pool.connection_class, **pool.connection_kwargs)

    def __call__(self, connection: Any, command: tuple[Any, ...]) -> Any:
        """The reply as bytes. Raises what redis-py raises."""
        connection.send_command(*command)
        return connection.read_response(disable_decoding=True)

    @staticmethod
    def unread(connection: Any) -> bool:
        """Whether something has come that nobody waits for, if only the end."""
        return bool(connection.can_read())
