"""Connections: redis-py's, asked without what it does around each command.

A cache wants no retries, no metrics, no decoding and no pool with a lock, all of which take their time at each call. A
connection is looked at before it is used again, so one that the server closed meanwhile costs no failure. One that
failed is not used again. After a rush at most 64 are kept for later, the others are closed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from redis_perf_reference.asyncio.exchange import Exchange

MOST_IDLE = 64


class Connections:
    """As many as there are calls at once, all like those of `redis`. For one event loop, or for one process."""

    def __init__(self, redis: Redis) -> None:
        self._exchange = Exchange(redis)
        self._idle: list[Any] = []
        self._closings = 0

    async def execute_command(self, *args: Any, blocks_seconds: float = 0, **options: Any) -> Any:
        """The reply, as bytes whatever the options say. Raises what redis-py raises, and TimeoutError.

        A command that blocks has so much longer.
        """
        closings, connection = self._closings, await self._take()
        try:
            reply = await self._exchange(connection, args, blocks_seconds)
        except ResponseError:
            await self._keep(connection, closings)
            raise
        except BaseException:
            await connection.disconnect()
            raise
        await self._keep(connection, closings)
        return reply

    async def close(self) -> None:
        """Those in use are closed when they are back; later calls connect anew."""
        self._closings += 1
        while self._idle:
            await self._idle.pop().disconnect()

    async def _keep(self, connection: Any, closings: int) -> None:
        if closings == self._closings and len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
            return
        with suppress(RedisError, OSError):
            await connection.disconnect()

    async def _take(self) -> Any:
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._exchange.connect()
        try:
            unsound = await self._exchange.unread(connection)
        except (RedisError, OSError):
            unsound = True
        if unsound:
            await connection.disconnect()
        return connection
