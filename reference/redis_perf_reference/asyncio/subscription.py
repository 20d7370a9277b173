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

from redis.exceptions import RedisError

from redis_perf_reference.listener import BackgroundTask

logger = logging.getLogger("redis_perf_reference")


class Subscription:
    """`live` while what is said on the channel is heard. `pubsub` is a client's method of that name."""

    def __init__(
        self,
        pubsub: Callable[[], Any],
        channel: str,
        *,
        heard: Callable[[bytes], None],
        missed: Callable[[], None],
        heartbeat_seconds: float = 5.0,
        retry_seconds: float = 0.2,
    ) -> None:
        self.live = False
        self._new_pubsub, self._channel = pubsub, channel
        self._heard, self._missed = heard, missed
        self._heartbeat_seconds, self._retry_seconds = heartbeat_seconds, retry_seconds
        self._pubsub: Any = None
        self._asked = False
        self._background = BackgroundTask(self._listen, f"subscription to {channel}")

    async def start(self) -> None:
        """Subscribes, or, if Redis is away, goes on trying."""
        await self._subscribe()
        await self._background.start()

    async def close(self) -> None:
        await self._background.stop(self._wake)
        await self._drop()

    async def _subscribe(self) -> None:
        try:
            self._pubsub = self._new_pubsub()
            await self._pubsub.subscribe(self._channel)
            answer = await self._pubsub.get_message(timeout=self._heartbeat_seconds)
            if answer is None:
                raise RedisError(f"no answer to SUBSCRIBE within {self._heartbeat_seconds} s")
        except (RedisError, OSError) as error:
            logger.warning("not subscribed to %s: %s: %s", self._channel, type(error).__name__, error)
            await self._drop()
        else:
            self._missed()
            self._asked, self.live = False, True

    async def _listen(self) -> None:
        while not self._background.ending:
            if not self.live:
                await self._background.pause(self._retry_seconds)
                await self._subscribe()
                continue
            try:
                await self._next()
            except (RedisError, OSError) as error:
                logger.warning("subscription to %s lost: %s: %s", self._channel, type(error).__name__, error)
                await self._drop()

    async def _next(self) -> None:
        message = await self._pubsub.get_message(timeout=self._heartbeat_seconds)
        if message is None:
            if self._asked:
                raise RedisError(f"no sign of life for {self._heartbeat_seconds} s")
            self._asked = True
            await self._pubsub.ping()
            return
        self._asked = False
        if message["type"] == "message":
            data = message["data"]
            self._heard(data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape"))
        elif message["type"] == "subscribe":  # the client reconnected by itself
            self._missed()

    async def _wake(self) -> None:
        with suppress(RedisError, OSError, AttributeError):  # without a connection there is nobody to wake
            await self._pubsub.unsubscribe()

    async def _drop(self) -> None:
        was_live, self.live = self.live, False
        if was_live:
            self._missed()
        if self._pubsub is not None:
            with suppress(RedisError, OSError):
                await self._pubsub.aclose()
            self._pubsub = None
