"""Redis without a server: fakeredis, in this process.

There is no wire, so no URL. (fakeredis can also listen on a port; INFO, CONFIG and others are unknown to it and
replies differ from a server's, so where a URL is needed a real server is the better choice.)
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from redis_perf.errors import ServerUnavailable
from redis_perf.servers.lifecycle import NotOurs

if TYPE_CHECKING:
    import fakeredis

MISSING = (
    "redis=fake: fakeredis is not installed. Other ways: pip install 'pytest-redisperf[fake]', "
    "pip install 'pytest-redisperf[embedded]' and --redisperf-redis=embedded, --redisperf-redis=redis://..."
)
NO_URL = (
    "redis=fake has no URL: fakeredis lives in this process. Use the client fixtures, "
    "or --redisperf-redis=embedded for a server with an address"
)


class FakeRedisServer(NotOurs):
    """A RedisServer; all its clients share one set of data."""

    choice = "fake"
    whose = "lives in this process"
    owned = True
    fake = True

    def __init__(self) -> None:
        if find_spec("fakeredis") is None:
            raise ServerUnavailable(MISSING)
        import fakeredis

        self._server = fakeredis.FakeServer()
        self.version = f"fakeredis {version('fakeredis')}"

    @property
    def url(self) -> str:
        """Raises ServerUnavailable: there is none."""
        raise ServerUnavailable(NO_URL)

    def client(self, *, decode_responses: bool = False) -> fakeredis.FakeRedis:
        """A `redis.Redis` on this server."""
        import fakeredis

        return fakeredis.FakeRedis(server=self._server, decode_responses=decode_responses)

    def async_client(self, *, decode_responses: bool = False) -> fakeredis.FakeAsyncRedis:
        """A `redis.asyncio.Redis` on this server."""
        import fakeredis

        return fakeredis.FakeAsyncRedis(server=self._server, decode_responses=decode_responses)

    def reset(self) -> None:
        """Empty it: keys of all databases, and scripts."""
        client = self.client()
        try:
            client.flushall()
            client.script_flush()
        finally:
            client.close()

    def stop(self) -> None:
        """Nothing to end."""
