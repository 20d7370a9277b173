# Generated from ../asyncio/cache.py by tools/sync_twins.py: change that file, then run the tool.
"""Cache: commands and scripts to Redis, each one round trip, behind a circuit breaker.

Whatever keeps Redis from answering becomes CacheUnavailable, with the reason in words. Replies come as bytes, whether
the client decodes responses or not: one undecodable entry must not spoil a whole list.
Build the client with short timeouts and no retries (`connect_redis` does): redis-py 8 retries ten times by default,
so a Redis that hangs would hold each call for a minute. For valkey-py, change the imports as reference/README.md says.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import DataError, NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from redis_perf_reference.breaker import Breaker
from redis_perf_reference.outcomes import CacheUnavailable
from redis_perf_reference.resources import script

MOST_CONNECTIONS = 10_000
"""redis-py 8 refuses the 101st call at once, which would look as if Redis were away."""

logger = logging.getLogger("redis_perf_reference")


class Commands(Protocol):
    """The one method asked of a client: `redis.Redis` has it, `RedisCluster` and valkey-py's clients too."""

    def execute_command(self, *args: Any, **options: Any) -> Any: ...


def connect_redis(url: str, *, timeout_seconds: float = 0.2) -> Redis:
    """A client for a cache: what does not answer in time is passed over, not waited for."""
    return Redis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        max_connections=MOST_CONNECTIONS,
    )


class Cache:
    def __init__(self, redis: Commands, breaker: Breaker) -> None:
        self._redis = redis
        self._breaker = breaker

    def ask(self, command: str, *arguments: str | bytes | int, **options: Any) -> Any:
        """Sends one command. Raises CacheUnavailable if it was not sent, not answered, or refused."""
        try:
            return self._guarded(command, *arguments, **options)
        except ResponseError as error:
            raise _unavailable(f"Redis refused {command}: {error}") from error

    def run(self, name: str, keys: tuple[str, ...], *arguments: str | bytes | int) -> Any:
        """Runs `lua/<name>.lua` in one round trip; in two when this Redis does not know the script yet.

        An unknown script did nothing, so sending its text afterwards does not do things twice.
        """
        known = script(name)
        try:
            return self._guarded("EVALSHA", known.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return self.ask("EVAL", known.text, len(keys), *keys, *arguments)
        except ResponseError as error:
            raise _unavailable(f"Redis refused {name}: {error}") from error

    def _guarded(self, command: str, *arguments: str | bytes | int, **options: Any) -> Any:
        if not self._breaker.allow():
            raise CacheUnavailable("Redis not asked: the breaker is open")
        try:
            reply = self._redis.execute_command(command, *arguments, NEVER_DECODE=True, **options)
        except ResponseError:
            self._breaker.succeeded()
            raise
        except DataError:  # the caller's mistake: nothing was sent
            raise
        except (RedisError, OSError) as error:
            self._breaker.failed()
            raise _unavailable(f"Redis did not answer {command}: {type(error).__name__}: {error}") from error
        self._breaker.succeeded()
        return reply


def _unavailable(reason: str) -> CacheUnavailable:
    logger.warning(reason)
    return CacheUnavailable(reason)
