"""Subscription: hears what others say on a channel, and knows when it may have missed something.

It has a connection of its own, tries again by itself, and says `missed` whenever the connection went or came:
whatever was said meanwhile was said to nobody. A connection that is silent is asked for a sign of life every
`heartbeat_seconds`; one that gives none until the next is given up. So what is missed is noticed within twice that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from redis_perf_reference.asyncio.exchange import Exchange
from redis_perf_reference.channel_messages import ChannelMessages
from redis_perf_reference.listener import BackgroundTask

logger = logging.getLogger("redis_perf_reference")


class Subscription:
    """`live` while what is said on the channel is heard, on a connection like those of `redis`."""

    def __init__(
        self,
        redis: Redis,
        channel: str,
        *,
        heard: Callable[[bytes], None],
        missed: Callable[[], None],
        heartbeat_seconds: float = 5.0,
        retry_seconds: float = 0.2,
    ) -> None:
        self.live = False
        self._exchange, self._channel = Exchange(redis), channel
        self._heard, self._missed = heard, missed
        self._heartbeat_seconds, self._retry_seconds = heartbeat_seconds, retry_seconds
        self._connection: Any = None
        self._messages = ChannelMessages(channel)
        self._asked = False
        self._background = BackgroundTask(self._listen, f"subscription to {channel}")

    async def start(self) -> None:
        """Subscribes, or, if Redis is away, goes on trying. Nothing if it was started and not closed."""
        if not self._background.running:
            await self._subscribe()
            await self._background.start()

    async def close(self) -> None:
        await self._background.stop(self._wake)
        await self._drop()

    def forked(self) -> None:
        """In a forked child: the connection is the parent's, and nothing is sent on it."""
        self._lost()
        self._connection = None

    async def _subscribe(self) -> None:
        try:
            self._connection = self._exchange.subscriber()
            self._messages = ChannelMessages(self._channel)
            await self._connection.send_command("SUBSCRIBE", self._channel)
            while not self._messages.replies:
                data = await self._exchange.heard(self._connection, self._heartbeat_seconds)
                if data is None:
                    raise RedisError(f"no answer to SUBSCRIBE within {self._heartbeat_seconds} s")
                self._messages.take(data)
        except (RedisError, OSError, ValueError) as error:
            logger.warning("not subscribed to %s: %s: %s", self._channel, type(error).__name__, error)
            await self._drop()
        else:
            self._missed()
            self._asked, self.live = False, True

    async def _listen(self) -> None:
        try:
            while not self._background.ending:
                await self._go_on()
        finally:
            self._lost()

    async def _go_on(self) -> None:
        """Whatever goes wrong, also in what is done with the news, ends the connection and not the listening."""
        try:
            if self.live:
                await self._next()
            else:
                await self._background.pause(self._retry_seconds)
                await self._subscribe()
        except Exception as error:
            logger.warning("subscription to %s lost: %s: %s", self._channel, type(error).__name__, error)
            await self._drop()

    async def _next(self) -> None:
        data = await self._exchange.heard(self._connection, self._heartbeat_seconds)
        if data is None:
            if self._asked:
                raise RedisError(f"no sign of life for {self._heartbeat_seconds} s")
            self._asked = True
            await self._connection.send_command("PING")
            return
        self._asked = False
        for message in self._messages.take(data):
            self._heard(message)
        await self._background.rest()

    async def _wake(self) -> None:
        with suppress(RedisError, OSError, AttributeError):  # without a connection there is nobody to wake
            await self._connection.send_command("UNSUBSCRIBE")

    def _lost(self) -> None:
        was_live, self.live = self.live, False
        if was_live:
            self._missed()

    async def _drop(self) -> None:
        self._lost()
        if self._connection is not None:
            with suppress(RedisError, OSError):
                await self._connection.disconnect()
            self._connection = None
