"""TwoTierCache: values in this process before values in Redis, and all processes of one mind.

| call                                        | round trips                             |
|---------------------------------------------|-----------------------------------------|
| get, get_many: all in this process          | 0                                       |
| get, get_many: some in Redis, or nowhere    | 1                                       |
| get_with_cache: in this process             | 0                                       |
| ... in Redis                                | 1                                       |
| ... nowhere: load                           | 2: look and take the lease, fill        |
| ... meanwhile others in this process        | 0                                       |
| ... and others in another one               | 2 for them all                          |
| set, set_many, delete, others told          | 1                                       |
| invalidate_tags, invalidate_pattern, clear  | 1, others told                          |
| delete_pattern                              | 1 for each 1000 keys on the server      |

A value found in Redis is kept here for what is left of its time, at most `local_ttl`. Others' writes and deletions are
heard on a subscription; while it is not live, everything kept here is forgotten and new copies live at most
`unheard_ttl` seconds. Redis is an aid: reads go on without it (as misses), writes say so (`Told.skipped`) and hold in
this process only. Without any Redis (`shared=None`) it is a LocalCache with the same face.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from redis.asyncio import Redis

from redis_perf_reference.asyncio.background import Background, Loader
from redis_perf_reference.asyncio.leases import Leases, Patience, Tiers
from redis_perf_reference.asyncio.read_through import Lookup, ReadThrough
from redis_perf_reference.asyncio.redis_cache import RedisCache
from redis_perf_reference.asyncio.subscription import Subscription
from redis_perf_reference.cache_input import checked_key, checked_keys, checked_tags, checked_ttl, copied
from redis_perf_reference.cache_message import Kind, Message, decoded_message
from redis_perf_reference.cache_outcome import Told
from redis_perf_reference.cache_record import Found
from redis_perf_reference.cache_stats import TwoTierStats
from redis_perf_reference.forks import tell_of_forks
from redis_perf_reference.lifetime import Lifetime
from redis_perf_reference.local_cache import LocalCache
from redis_perf_reference.missing import MISSING
from redis_perf_reference.near_cache import NearCache
from redis_perf_reference.observer import SILENT, Observer, telling
from redis_perf_reference.outcomes import CacheUnavailable
from redis_perf_reference.pattern import Pattern, PatternRefused

T = TypeVar("T")


class TwoTierCache:
    """`local` and `shared` belong to it alone. Use it as a context manager, or call `start` and `close`.

    `listen` is a client for the subscription, the one that `shared` uses or another.
    """

    def __init__(
        self,
        shared: RedisCache | None = None,
        listen: Redis | None = None,
        *,
        max_size: int = 1000,
        max_bytes: int | None = None,
        local_ttl: float = 3600.0,
        unheard_ttl: float = 1.0,
        heartbeat_seconds: float = 5.0,
        ttl: float = 300.0,
        negative_ttl: float | None = None,
        jitter: float = 0.1,
        lease_seconds: float = 10.0,
        observer: Observer = SILENT,
    ) -> None:
        self._lifetime = Lifetime.checked(ttl, negative_ttl, jitter, 0, 0)
        self.observer, self._hit = observer, observer.hit
        codec = shared.codec if shared else None
        self._near = NearCache(LocalCache(max_size, max_bytes=max_bytes, codec=codec))
        self.local = self._near.local
        self._shared = shared
        self._local_ttl = checked_ttl(local_ttl, "local_ttl")
        self._unheard_ttl = checked_ttl(unheard_ttl, "unheard_ttl")
        lease_seconds = checked_ttl(lease_seconds, "lease_seconds")
        tiers = Tiers(
            self._near, shared, self._local_seconds, lambda: self._listening, lease_seconds, Background(), observer
        )
        self._read_through = ReadThrough(tiers)
        self._subscription: Subscription | None = None
        if shared is not None and listen is not None:
            self._subscription = Subscription(
                listen, shared.keys.channel, heard=self._hear, missed=self._missed, heartbeat_seconds=heartbeat_seconds
            )
        tell_of_forks(self)

    def forked(self) -> None:
        """A forked child hears nobody until it calls `start` itself: what was kept is forgotten."""
        self._near.forked()
        if self._subscription is not None:
            self._subscription.forked()

    async def start(self) -> None:
        if self._subscription is not None:
            await self._subscription.start()

    async def close(self) -> None:
        if self._subscription is not None:
            await self._subscription.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default`; to tell a stored None from nothing, pass a default of your own."""
        value = self.local.get(key, MISSING)
        if value is not MISSING:
            self._hit()
            return value
        return (await self._fetch([key])).get(key, default)

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of those keys that have one."""
        values, missing = {}, []
        for key in checked_keys(keys):
            value = self.local.get(key, MISSING)
            if value is MISSING:
                missing.append(key)
            else:
                values[key] = value
                self._hit()
        return values | (await self._fetch(missing) if missing else {})

    async def get_with_cache(
        self,
        key: str,
        fetch: Loader[T],
        ttl: float | None = None,
        tags: Iterable[str] = (),
        *,
        negative_ttl: float | None = None,
    ) -> T:
        """The cached value, or what `fetch()` returns, which is then kept `ttl` seconds, less some jitter.

        One caller loads for all who ask at the same time, in all processes; what `fetch` raises is raised to each of
        them in this process. None is a value, for which `negative_ttl` holds. Raises InvalidKey and InvalidTtl before
        anything is done, Unencodable for a value that cannot be kept.
        """
        value = self.local.get(key, MISSING)
        if value is MISSING:
            lifetime = self._lifetime.but(ttl, negative_ttl)
            return cast(
                "T", await self._read_through.get(Lookup(checked_key(key), checked_tags(tags), fetch, lifetime))
            )
        self._hit()
        hit: T = value
        return hit

    def leases(
        self, keys: Mapping[str, Iterable[str]], ttl: float, only_if: Mapping[str, object] | None = None
    ) -> Leases:
        """For values that are loaded together: looks for these keys, each with the tags it will carry, and takes the
        right to load what is missing. `ttl` is the longest that any of them will live. The keys in `only_if` are not
        loaded unless the first of `keys` has that value, or none yet."""
        tagged = {checked_key(key): checked_tags(tags) for key, tags in keys.items()}
        return self._read_through.leases(tagged, checked_ttl(ttl), only_if=only_if)

    def patience(self) -> Patience:
        """For those who wait till another process has loaded something."""
        return self._read_through.patience()

    @property
    def invalidations(self) -> int:
        """Grows with each write, deletion and invalidation that this process makes or hears of; not with fills."""
        return self._near.invalidations

    async def set(self, key: str, value: object, ttl: float, tags: Iterable[str] = ()) -> Told:
        """Keeps the value `ttl` seconds, here and in Redis. Raises InvalidKey, InvalidTtl, Unencodable."""
        checked_key(key)
        copy = self.local.codec.copied(value)
        return await self._write({key: copy}, checked_ttl(ttl), checked_tags(tags))

    async def set_many(self, values: Mapping[str, object], ttl: float, tags: Iterable[str] = ()) -> Told:
        """`set` for many, all or none in Redis."""
        return await self._write(copied(self.local.codec, values), checked_ttl(ttl), checked_tags(tags))

    async def delete(self, *keys: str) -> Told:
        """Deletes here, in Redis and in the other processes; counts what Redis held, invalidated included."""
        names = tuple(map(checked_key, keys))
        with self._near.writing(names):
            return await self._change("keys", names, lambda shared: shared.delete(*names))

    async def delete_pattern(self, pattern: str) -> Told:
        """`delete` for all keys that match, counted in the same way. Raises PatternRefused."""
        names = (Pattern(pattern).text,)
        return await self._change("pattern", names, lambda shared: shared.delete_pattern(pattern))

    async def invalidate_pattern(self, pattern: str) -> Told:
        """Deletes all keys that match one like `persona:lua:*`; what it was in Redis is not counted."""
        wanted = Pattern(pattern)
        if self._shared is not None:
            self._shared.keys.beginning(wanted)
        return await self._change("pattern", (wanted.text,), lambda shared: shared.invalidate_pattern(pattern))

    async def invalidate_tags(self, *tags: str) -> Told:
        """Deletes every value that carries one of these tags; what it was in Redis is not counted."""
        names = checked_tags(tags)
        return await self._change("tags", names, lambda shared: shared.invalidate_tags(*names))

    async def invalidate(self, pattern: str) -> Told:
        """The cheapest of `delete`, `invalidate_pattern` and `delete_pattern` that does for this pattern."""
        wanted = Pattern(pattern)
        if wanted.key is not None:
            return await self.delete(wanted.key)
        try:
            return await self.invalidate_pattern(pattern)
        except PatternRefused:
            return await self.delete_pattern(pattern)

    async def clear(self) -> Told:
        """Deletes every value of this namespace; what it was in Redis is not counted."""
        return await self._change("all", (), lambda shared: shared.clear())

    def get_stats(self) -> TwoTierStats:
        shared = self._shared.get_stats() if self._shared is not None else None
        return TwoTierStats(self.local.get_stats(), shared, self._listening, self._read_through.joined)

    @property
    def _listening(self) -> bool:
        return self._subscription is not None and self._subscription.live

    async def _fetch(self, keys: list[str]) -> dict[str, Any]:
        with self._near.reading(keys) as passage:
            found = {} if self._shared is None else await self._found(self._shared, keys)
            for key, record in found.items():
                passage.keep(key, record.plain, record.value, self._local_seconds(record.ttl), record.tags)
        if self.observer is not SILENT:  # fifty calls that do nothing take as long as fifty values
            for key in keys:
                (self._hit if key in found else self.observer.miss)()
        return {key: record.value for key, record in found.items()}

    async def _found(self, shared: RedisCache, keys: list[str]) -> dict[str, Found]:
        with suppress(CacheUnavailable), telling(self.observer, "read"):
            return await shared.find(keys)
        return {}

    async def _write(self, copies: Mapping[str, tuple[bytes, Any]], ttl: float, tags: tuple[str, ...]) -> Told:
        skipped = None
        with self._near.writing(copies) as passage:
            if self._shared is not None:
                try:
                    plains = {key: plain for key, (plain, _) in copies.items()}
                    with telling(self.observer, "write"):
                        await self._shared.put(plains, ttl, tags)
                except CacheUnavailable as reason:
                    skipped = str(reason)
            local_ttl = self._local_seconds(ttl, skipped is None)
            for key, (plain, value) in copies.items():
                passage.keep(key, plain, value, local_ttl, tags)
        return Told(len(copies), skipped)

    async def _change(self, kind: Kind, names: tuple[str, ...], change: Callable[[RedisCache], Any]) -> Told:
        """Here last, whatever came of it: a look-up meanwhile may have brought the old value back."""
        there, skipped = None, None
        try:
            if self._shared is not None:
                with telling(self.observer, "delete"):
                    there = await change(self._shared)
        except CacheUnavailable as reason:
            skipped = str(reason)
        finally:
            count = self._near.heard(Message("", kind, names))
        return Told(count if there is None else there, skipped)

    def _local_seconds(self, ttl: float, known: bool = True) -> float:
        """How long a copy is kept here; only shortly where others' news of it would not reach us, nor ours them."""
        if self._shared is None or (self._listening and known):
            return min(ttl, self._local_ttl)
        return min(ttl, self._local_ttl, self._unheard_ttl)

    def _hear(self, raw: bytes) -> None:
        """What is no message of ours, or names what no cache takes, may stand for any change."""
        if self._shared is not None and raw.startswith(self._shared.own):
            return
        message = decoded_message(raw)
        if message is None:
            self._missed()
        else:
            try:
                self._near.heard(message)
            except ValueError:
                self._missed()

    def _missed(self) -> None:
        self._near.heard(Message("", "all"))
