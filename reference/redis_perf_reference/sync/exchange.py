"""Exchange: what goes over a connection of redis-py, either a command and its reply or what is told on a channel.

Written by hand, as is its twin in `asyncio/`. What is told is taken from the socket as it comes: a thread that hears
holds up all others of the process, the less the sooner it waits again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from redis import Redis

from redis_perf_reference.connection_options import connection_options
from redis_perf_reference.packed import packed

HEARD_BYTES = 65536


class Exchange:
    """`connect` makes a connection like those of `redis`, `subscriber` one to hear on; either opens when first used."""

    def __init__(self, redis: Redis) -> None:
        options = connection_options(redis.connection_pool.connection_kwargs)
        self.connect = self.subscriber = partial(redis.connection_pool.connection_class, **options)

    def __call__(self, connection: Any, command: tuple[Any, ...], blocks_seconds: float = 0) -> Any:
        """The reply as bytes, of a command that may block. Raises what redis-py raises."""
        connection.send_packed_command(packed(connection, command))
        if blocks_seconds:
            connection.can_read(timeout=blocks_seconds)  # and then as long as for any reply
        return connection.read_response(disable_decoding=True)

    @staticmethod
    def unread(connection: Any) -> bool:
        """Whether something has come that nobody waits for, if only the end."""
        return bool(connection.can_read())

    @staticmethod
    def heard(connection: Any, timeout_seconds: float) -> bytes | None:
        """What came next; None if nothing came in time. Raises OSError, also at the end."""
        connection._sock.settimeout(timeout_seconds)
        try:
            data: bytes = connection._sock.recv(HEARD_BYTES)
        except TimeoutError:
            return None
        if not data:
            raise ConnectionError("closed by the server")
        return data
