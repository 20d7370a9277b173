# Generated from ../asyncio/redis_cache.py by tools/sync_twins.py: change that file, then run the tool.
"""RedisCache: values shared by all processes, each for its time to live, gone when Redis is.

| call                                        | round trips                                  |
|---------------------------------------------|----------------------------------------------|
| get, get_many (with the time left)          | 1, for any number of keys                    |
| set, set_many, delete                       | 1, for any number of keys, others told       |
| lease, settle                               | 1, for any number of keys                    |
| invalidate_tags, invalidate_pattern, clear  | 1, for any number of values                  |
| delete_pattern, sweep                       | 1 for each `scan_count` keys on the server   |

Invalidating makes values count no more, and leaves their memory to expire; `delete_pattern` and `sweep` free it and
say how many they removed. Nothing but this cache's own keys is ever touched. A server that does not know a script yet
costs one more, once. Values that cannot be read are misses; damaged ones are removed, and
where they are to be loaded, those of another format too: its codec will load anew in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import count, repeat
from secrets import token_hex
from time import monotonic
from typing import Any, TypeVar

from redis_perf_reference.breaker import Breaker, ConsecutiveFailures
from redis_perf_reference.cache_input import checked_key, checked_keys, checked_tags, checked_ttl, encoded
from redis_perf_reference.cache_keys import CacheKeys, groups_of
from redis_perf_reference.cache_message import Kind, encoded_message
from redis_perf_reference.cache_record import Found, Looked, found_in, value_in
from redis_perf_reference.cache_stats import RedisStats
from redis_perf_reference.codec import Codec, Undecodable, UnknownFormat
from redis_perf_reference.forks import tell_of_forks
from redis_perf_reference.known_stamps import KnownStamps
from redis_perf_reference.outcomes import CacheUnavailable
from redis_perf_reference.pattern import Pattern
from redis_perf_reference.sync.cache import Cache, Commands
from redis_perf_reference.sync.client import RedisClient
from redis_perf_reference.sync.sweep import swept

T = TypeVar("T")


class RedisCache:
    """The values of `namespace`. All calls raise CacheUnavailable if Redis did not answer, or was not asked.

    `redis` is a RedisClient, or a client of redis-py with short timeouts, then behind `breaker`.
    """

    def __init__(
        self,
        redis: RedisClient | Commands,
        *,
        namespace: str = "cache",
        codec: Codec | None = None,
        breaker: Breaker | None = None,
        scan_count: int = 1000,
    ) -> None:
        if scan_count < 1:
            raise ValueError(f"{scan_count=}: must be above 0")
        self.codec = codec or Codec()
        self.keys = CacheKeys(namespace)
        self.available = True
        self._cache = redis if isinstance(redis, RedisClient) else Cache(redis, breaker or ConsecutiveFailures())
        self._scan_count, self._stamps = scan_count, KnownStamps()
        self._hits = self._misses = self._errors = self._undecodable = 0
        self.forked()
        tell_of_forks(self)

    def forked(self) -> None:
        """A forked child is somebody else: its parent hears it, and no stamp is used by both."""
        self.origin, self._numbers = token_hex(8), count()
        self.own = f"{self.origin}\n".encode()  # what messages of ours begin with

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default`; to tell a stored None from nothing, pass a default of your own."""
        return (self._read((key,), value_in)).get(key, default)

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of those keys that have one."""
        return self._read(keys, value_in)

    def find(self, keys: Iterable[str]) -> dict[str, Found]:
        """What `get_many` finds, with the time it has left and its tags."""
        return self._read(keys, found_in, timed=True)

    def _read(
        self, keys: Iterable[str], taken_from: Callable[[bytes, int, Codec], T], timed: bool = False
    ) -> dict[str, T]:
        names = checked_keys(keys)
        if not names:
            return {}
        try:
            reply = self._run("cache_get", map(self.keys.record, names), self.keys.stamps, int(timed))
        except BaseException:
            self._errors += len(names)
            raise
        found, damaged = {}, []
        for key, record, left_ms in zip(names, reply[0], reply[1] or repeat(1), strict=False):
            try:
                if record is not None and left_ms > 0:
                    found[key] = taken_from(record, left_ms, self.codec)
            except UnknownFormat:
                self._undecodable += 1
            except Undecodable:
                damaged.append(key)
        self._hits += len(found)
        self._misses += len(names) - len(found)
        self._undecodable += len(damaged)
        if damaged:
            self.delete(*damaged)
        return found

    def set(self, key: str, value: object, ttl: float, tags: Iterable[str] = ()) -> None:
        """Raises InvalidKey, InvalidTtl or Unencodable before anything is sent."""
        checked_key(key)
        self.put({key: self.codec.encode_plain(value)}, checked_ttl(ttl), checked_tags(tags))

    def set_many(self, values: Mapping[str, object], ttl: float, tags: Iterable[str] = ()) -> None:
        """All of them or none."""
        self.put(encoded(self.codec, values), checked_ttl(ttl), checked_tags(tags))

    def put(self, plains: Mapping[str, bytes], ttl: float, tags: tuple[str, ...]) -> None:
        """`set_many`, for arguments that are checked and values that are encoded."""
        if not plains:
            return
        arguments: list[str | bytes | int] = [self.keys.stamps, max(1, round(ttl * 1000))]
        arguments += [self._new_stamp(), *self._told("keys", plains)]
        asked = monotonic()
        for key, plain in plains.items():
            head = self._stamps.head(groups_of(key, tags), asked + ttl)
            arguments.append(b"%b\n%b" % (head, self.codec.framed(plain)))
        self._stamps.learn(self._run("cache_set", map(self.keys.record, plains), *arguments), asked)

    def lease(
        self,
        keys: Mapping[str, tuple[str, ...]],
        token: bytes,
        seconds: float,
        ttl: float,
        *,
        only_if: Mapping[str, object] | None = None,
        again: bool = False,
    ) -> Looked:
        """What `find` finds, and who may load what is missing: `token` for `seconds`, unless somebody else does.

        `keys` are with the tags they will carry, `ttl` is the longest that `settle` will be given. Those in `only_if`
        are leased only if the first of `keys` has that value, or none. `again` is for those who wait: the same question
        is not counted twice.
        """
        arguments: list[str | bytes | int] = [self.keys.stamps, token, round(seconds * 1000), self._new_stamp()]
        arguments.append(math.ceil((seconds + ttl) * 1000))
        for key, tags in keys.items():
            wanted = only_if is not None and key in only_if
            arguments += [groups_of(key, tags), self.codec.encode(only_if[key]) if only_if and wanted else b""]
        try:
            reply = self._run("cache_lease", map(self.keys.record, keys), *arguments)
        except BaseException:
            self._errors += 0 if again else len(keys)
            raise
        looked, damaged = self._looked(keys, reply)
        if not again:
            self._hits += len(looked.found)
            self._misses += len(keys) - len(looked.found)
        if damaged:
            self.delete(*damaged)
        return looked

    def settle(self, token: bytes, values: Mapping[str, tuple[bytes, int] | None]) -> frozenset[str]:
        """Writes values, each for its ms, under the leases of this token; None gives a lease back.

        Returns which keys were written: those that nobody wrote, deleted or invalidated since.
        """
        arguments: list[str | bytes | int] = [self.keys.stamps, token, *self._told("loaded", values)]
        for plain, ms in (value or (b"", 0) for value in values.values()):
            arguments += [ms, self.codec.framed(plain)]
        written = self._run("cache_settle", map(self.keys.record, values), *arguments)
        return frozenset(key for key, done in zip(values, written, strict=True) if done)

    def delete(self, *keys: str) -> int:
        """How many of them there were, those that no longer count (invalidated, not yet expired) included."""
        names = list(map(checked_key, keys))
        return self._unlink(map(self.keys.record, names), self._told("keys", names)) if names else 0

    def invalidate_tags(self, *tags: str) -> None:
        """Makes every value that carries one of these tags count no more."""
        names = checked_tags(tags)
        if names:
            self._unlink(map(self.keys.tag, names), self._told("tags", names))

    def invalidate_pattern(self, pattern: str) -> None:
        """Makes every value whose key matches count no more. Takes patterns like `persona:lua:*`.

        Raises PatternRefused for others, which `delete_pattern` may take.
        """
        wanted = Pattern(pattern)
        self._unlink([self.keys.beginning(wanted)], self._told("pattern", [wanted.text]))

    def clear(self) -> None:
        """Makes every value of this namespace count no more."""
        self._unlink([self.keys.whole()], self._told("all"))

    def delete_pattern(self, pattern: str) -> int:
        """Removes every value whose key matches, and says how many that were, also of those invalidated before.

        Raises PatternRefused.
        """
        wanted = Pattern(pattern)
        return self._sweep(self.keys.every(wanted.glob), self._told("pattern", [wanted.text]))

    def sweep(self) -> int:
        """Removes every value of this namespace, and says how many that were, also of those invalidated before."""
        return self._sweep(self.keys.every("*"), self._told("all"))

    def get_stats(self) -> RedisStats:
        return RedisStats(self.available, self._hits, self._misses, self._errors, self._undecodable)

    def _looked(self, keys: Iterable[str], reply: list[Any]) -> tuple[Looked, list[str]]:
        """What `cache_lease` replied, and which keys hold what cannot be read here."""
        looked, damaged = Looked({}, {}), []
        for key, record, left_ms, holder in zip(keys, reply[::3], reply[1::3], reply[2::3], strict=True):
            try:
                if record is None:
                    looked.holders[key] = holder
                else:
                    looked.found[key] = found_in(record, left_ms, self.codec)
            except Undecodable:
                self._undecodable += 1
                damaged.append(key)
        return looked, damaged

    def _new_stamp(self) -> str:
        return f"{self.origin}{next(self._numbers):x}"

    def _told(self, kind: Kind, names: Iterable[str] = ()) -> tuple[str, bytes]:
        """Channel and message."""
        return self.keys.channel, encoded_message(self.origin, kind, names)

    def _unlink(self, keys: Iterable[str], told: tuple[str, bytes]) -> int:
        removed: int = self._run("cache_unlink", keys, *told)
        return removed

    def _sweep(self, glob: str, told: tuple[str, bytes]) -> int:
        return swept(self._run, self.keys.whole(), glob, self._scan_count, *told)

    def _run(self, name: str, keys: Iterable[str], *arguments: str | bytes | int) -> Any:
        try:
            reply = self._cache.run(name, tuple(keys), *arguments)
        except CacheUnavailable:
            self.available = False
            raise
        self.available = True
        return reply
