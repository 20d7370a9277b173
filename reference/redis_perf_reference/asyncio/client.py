"""RedisClient: the one place where connections to Redis are made, and where it is known whether Redis answers.

No call waits longer than `timeout_seconds` to connect and as long again for a reply, and none is retried. With the
first failure Redis counts as away: calls then raise CacheUnavailable at once, while somebody in the background asks
every `probe_seconds` whether it is back. Replies are bytes, whatever the URL says about decoding. The password is in
no repr, log line or error.

Safe to share between tasks, threads and event loops; each event loop has its own connections.
"""

from __future__ import annotations

import threading
from functools import partial
from math import ceil
from typing import Any
from urllib.parse import urlsplit
from weakref import ref

from redis.asyncio import Redis
from redis.exceptions import RedisError

from redis_perf_reference.asyncio.background import Background, OneEach, sleep
from redis_perf_reference.asyncio.cache import Cache, connect_redis
from redis_perf_reference.asyncio.connections import Connections
from redis_perf_reference.availability import Availability
from redis_perf_reference.cache_input import checked_key, checked_ttl


class RedisClient:
    def __init__(self, url: str, *, timeout_seconds: float = 0.1, probe_seconds: float = 0.2) -> None:
        """Connects at the first call. Raises ValueError for a URL that is none, without showing it."""
        self._url = url
        self._shown = without_password(url)
        self._timeout_seconds = checked_ttl(timeout_seconds, "timeout_seconds")
        self._probe_seconds = checked_ttl(probe_seconds, "probe_seconds")
        self._closings = 0
        self._background = Background()
        self._availability = Availability(self._look_out)
        try:
            self._connect()
        except ValueError:
            raise ValueError(f"url is not one for Redis: {self._shown} (expected redis://host:port/0)") from None
        self._here = OneEach(self._connected)

    @property
    def available(self) -> bool:
        """Whether Redis answered when it was last asked; true before the first time."""
        return self._availability.up

    async def ask(self, command: str, *arguments: str | bytes | int) -> Any:
        """Sends one command, in one round trip. Raises CacheUnavailable if it was not answered, or refused."""
        return await self._here.here()[1].ask(command, *arguments)

    async def run(self, name: str, keys: tuple[str, ...], *arguments: str | bytes | int) -> Any:
        """Runs `lua/<name>.lua`, in one round trip (two where this Redis does not know it yet). Raises the same."""
        return await self._here.here()[1].run(name, keys, *arguments)

    async def get(self, key: str) -> bytes | None:
        reply: bytes | None = await self.ask("GET", checked_key(key))
        return reply

    async def set(self, key: str, value: str | bytes, ttl: float | None = None) -> None:
        """Kept for `ttl` seconds; for ever only if none is given.

        Raises InvalidTtl for zero and below, InvalidKey, and TypeError for a value that is neither str nor bytes.
        """
        if not isinstance(value, str | bytes):
            raise TypeError(f"value is {type(value).__name__}, must be str or bytes")
        expiry = () if ttl is None else ("PX", round(checked_ttl(ttl) * 1000))
        await self.ask("SET", checked_key(key), value, *expiry)

    async def delete(self, *keys: str) -> int:
        """How many of them there were; no keys, no round trip."""
        names = [checked_key(key) for key in keys]
        return int(await self.ask("UNLINK", *names)) if names else 0

    async def next_message(self, stream: str, seconds: float) -> bytes | None:
        """The first message in a stream whose messages have one field; None if none came within `seconds`.

        One round trip, that blocks its connection for so long. Raises CacheUnavailable.
        """
        ms = max(1, ceil(seconds * 1000))
        command = ("XREAD", "COUNT", 1, "BLOCK", ms, "STREAMS", stream, "0")
        reply = await self._here.here()[1].ask(*command, blocks_seconds=ms / 1000)
        if not reply:
            return None
        messages = next(iter(reply.values())) if isinstance(reply, dict) else reply[0][1]
        value: bytes = messages[0][1][1]
        return value

    async def ping(self) -> bool:
        """Asks now, whatever `available` says, and notes the answer."""
        try:
            await self._here.here()[0].execute_command("PING")
        except (RedisError, OSError):
            self._availability.failed()
            return False
        self._availability.succeeded()
        return True

    async def close(self) -> None:
        """Closes this event loop's connections, and stops asking for a Redis that is away. A call connects anew."""
        self._closings += 1
        await self._here.here()[0].close()

    def __repr__(self) -> str:
        return f"<RedisClient {self._shown} {'available' if self.available else 'away'}>"

    def _connect(self) -> Redis:
        return connect_redis(self._url, timeout_seconds=self._timeout_seconds)

    def _connected(self) -> tuple[Connections, Cache]:
        connections = Connections(self._connect())
        return connections, Cache(connections, self._availability)

    def _look_out(self) -> None:
        self._background.start_unless_running(partial(_until_back, ref(self), self._closings))


async def _until_back(client: ref[RedisClient], closings: int) -> None:
    """Asks until Redis is back, or until the client was closed, or nobody has it any more."""
    while pause_seconds := await _asked(client, closings):
        await sleep(pause_seconds)


async def _asked(client: ref[RedisClient], closings: int) -> float:
    """The seconds until it is to be asked again, 0 for never. Holds the client no longer than that takes."""
    here = client()
    if here is None or here._closings != closings or here.available or await here.ping():
        return 0
    return here._probe_seconds


def without_password(url: str) -> str:
    """Where a URL leads, and nothing of how one gets in: no user, password or options."""
    try:
        parts = urlsplit(url)
        address = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}{parts.path}"
    except ValueError:
        return "***"
    known = parts.scheme in ("redis", "rediss", "unix", "valkey", "valkeys")
    return f"{parts.scheme}://{address}" if known and "@" not in address else "***"


_shared: dict[str, RedisClient] = {}
_sharing = threading.Lock()


def shared(url: str) -> RedisClient:
    """The same client for the same URL, all over the process; for those who do not want to hand one around."""
    with _sharing:
        if url not in _shared:
            _shared[url] = RedisClient(url)
        return _shared[url]
