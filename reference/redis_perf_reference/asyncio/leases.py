"""Leases: what some keys hold, and the right to load those that hold nothing.

    async with cache.leases({"persona:lua:name": (), "persona:lua:prompt": ()}, ttl=3600) as leases:
        for key in leases.missing:
            leases.fill(key, await load(key), ttl=3600)
    values = leases.found

Entering is one round trip, for any number of keys. Leaving writes what was filled and gives back the other leases, in
one more; where nothing was missing it is none. What anybody wrote, deleted or invalidated since is not written. While
Redis is away, values are kept in this process only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from types import TracebackType
from typing import Any, NamedTuple, Self

from redis_perf_reference.asyncio.background import Background, Waiter, sleep
from redis_perf_reference.asyncio.redis_cache import RedisCache
from redis_perf_reference.cache_input import InvalidKey, checked_ttl
from redis_perf_reference.cache_message import Message
from redis_perf_reference.cache_record import Looked
from redis_perf_reference.near_cache import NearCache
from redis_perf_reference.observer import Observer, telling
from redis_perf_reference.outcomes import CacheUnavailable

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.01, 0.1
SILENCE_SECONDS = 1.0


class Tiers(NamedTuple):
    """`local_seconds(ttl, known)` is how long a copy may be kept here; if it is not `known` to Redis, only shortly.
    `listening` is whether others are heard."""

    near: NearCache
    shared: RedisCache | None
    local_seconds: Callable[[float, bool], float]
    listening: Callable[[], bool]
    lease_seconds: float
    background: Background
    observer: Observer


class Patience:
    """Of those who wait for another process, for `seconds` in all."""

    def __init__(self, seconds: float) -> None:
        self._until, self._pause_seconds = monotonic() + seconds, FIRST_PAUSE_SECONDS

    @property
    def over(self) -> bool:
        return monotonic() > self._until

    async def pause(self, waiter: Waiter | None) -> None:
        """Until it is woken, or for a second, as news may be lost; without a waiter for 10, 20, 40, 80, then 100 ms."""
        if waiter is not None:
            await waiter.wait(max(0.0, min(SILENCE_SECONDS, self._until - monotonic())))
            return
        await sleep(self._pause_seconds)
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)


class Leases:
    """`found` are the values there were, and those that were filled in. A context manager, for one use."""

    def __init__(
        self,
        tiers: Tiers,
        token: bytes,
        keys: Mapping[str, tuple[str, ...]],
        ttl: float,
        *,
        only_if: Mapping[str, object] | None = None,
        again: bool = False,
    ) -> None:
        self.found: dict[str, Any] = {}
        self.plains: dict[str, bytes] = {}
        self._tiers, self._token, self._keys, self._ttl = tiers, token, keys, ttl
        self._only_if, self._again = only_if or {}, again
        self._passage = tiers.near.reading(keys)
        self._holders: dict[str, bytes] = {}
        self._missed: list[str] = []
        self._filled: dict[str, tuple[bytes, int]] = {}

    @property
    def missing(self) -> list[str]:
        return [key for key in self._keys if key not in self.found]

    def elsewhere(self, key: str) -> bool:
        """Whether somebody else loads this key at the moment. What is filled here for it is not kept."""
        return self._holders.get(key, b"") not in (b"", self._token)

    def waiter(self, key: str) -> Waiter | None:
        """One that is woken when the load elsewhere has ended; None if that would not be heard here."""
        waiter = Waiter(key) if self._tiers.listening() else None
        return waiter if waiter is not None and self._passage.wait(waiter) else None

    def asked(self, key: str) -> bool:
        return key in self._keys

    def fill(self, key: str, value: object, ttl: float) -> Any:
        """Has the value kept for `ttl` seconds from the end of the block, and returns it as the cache will.

        Raises InvalidKey for a key that was not asked for, InvalidTtl and Unencodable; nothing is kept then.
        """
        if not self.asked(key):
            raise InvalidKey(f"key is {key!r}, must be one of those that these leases are for")
        ttl, codec = checked_ttl(ttl), self._tiers.near.local.codec
        plain = codec.encode_plain(value)
        self._filled[key], self.plains[key] = (plain, max(1, round(ttl * 1000))), plain
        self.found[key] = codec.decode_plain(plain)
        return self.found[key]

    async def __aenter__(self) -> Self:
        self._passage.__enter__()
        try:
            looked = await self._look()
        except BaseException:  # cancelled, with leases perhaps in hand
            self._passage.__exit__()
            self._tiers.background.start(lambda: self._end(dict.fromkeys(self._keys)))
            raise
        self._holders = looked.holders
        for key, record in looked.found.items():
            self.found[key], self.plains[key] = record.value, record.plain
            seconds = self._tiers.local_seconds(record.ttl, True)
            self._passage.keep(key, record.plain, record.value, seconds, record.tags)
        self._missed = self.missing
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Also when Redis did not answer: perhaps it has given the leases, and only its reply was lost."""
        mine = [key for key in self._missed if self._holders.get(key, self._token) == self._token]
        self._passage.count_from_now()
        try:
            known = await self._end({key: None if error else self._filled.get(key) for key in mine}) if mine else {}
            if error is None:
                self._keep(known)
        finally:
            self._passage.__exit__()
            if mine:
                self._tiers.near.heard(Message("", "loaded", tuple(mine)))  # another event loop may wait

    def _keep(self, known: Mapping[str, bool]) -> None:
        decode = self._tiers.near.local.codec.decode_plain
        for key, (plain, ms) in self._filled.items():
            if key in known or key not in self._holders:
                seconds = self._tiers.local_seconds(ms / 1000, known.get(key, self._tiers.shared is None))
                self._passage.keep(key, plain, decode(plain), seconds, self._keys[key])

    async def _look(self) -> Looked:
        tiers = self._tiers
        if tiers.shared is None or not self._keys:
            return Looked({}, {})
        try:
            with telling(tiers.observer, "read"):
                looked = await tiers.shared.lease(
                    self._keys, self._token, tiers.lease_seconds, self._ttl, only_if=self._only_if, again=self._again
                )
        except CacheUnavailable:
            return Looked({}, {})
        if len(looked.found) + len(looked.holders) < len(self._keys):
            tiers.observer.error("undecodable")
        return looked

    async def _end(self, values: Mapping[str, tuple[bytes, int] | None]) -> dict[str, bool]:
        """Which keys may be kept here, and whether Redis is known to have them too."""
        tiers = self._tiers
        if tiers.shared is None:
            return {}
        try:
            with telling(tiers.observer, "fill"):
                return dict.fromkeys(await tiers.shared.settle(self._token, values), True)
        except CacheUnavailable:
            return dict.fromkeys(values, False)
