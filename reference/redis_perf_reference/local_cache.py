"""LocalCache: values in this process, the least recently used leaving first, each for its time to live.

What it hands out is the caller's own: values are held encoded and decoded for each hit, so changing one changes no
other. A value that cannot change (text, numbers, tuples, frozen Structs; see `frozen`) is decoded once and shared.
Bounds hold for entries and, if `max_bytes` is given, for their memory with keys and bookkeeping. Entries that expired
leave before others are evicted. Safe to use from several threads.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from sys import getsizeof
from time import monotonic
from typing import Any

from redis_perf_reference.cache_input import checked_key, checked_tags, checked_ttl
from redis_perf_reference.cache_stats import LocalStats
from redis_perf_reference.codec import Codec
from redis_perf_reference.forks import tell_of_forks
from redis_perf_reference.frozen import frozen_bytes
from redis_perf_reference.lru import Entry, Lru, new_lru
from redis_perf_reference.pattern import Pattern

ENTRY_BYTES = 360  # the entry, its deadline, its places in the map and in the heap: the most that was measured
_NONE: Entry = (None,)  # in the place of an entry
DEADLINE, VALUE, DECODE, BYTES, TAGS = range(5)  # of an entry


class LocalCache:
    """At most `max_size` entries and about `max_bytes` bytes."""

    def __init__(
        self,
        max_size: int = 1000,
        *,
        max_bytes: int | None = None,
        codec: Codec | None = None,
        clock: Callable[[], float] = monotonic,
        lru: Lru | None = None,
    ) -> None:
        if max_size < 1 or (max_bytes is not None and max_bytes < 1):
            raise ValueError(f"{max_size=}, {max_bytes=}: both must be above 0")
        self.codec = codec or Codec()
        self._max_size, self._max_bytes = max_size, max_bytes
        self._entries = new_lru() if lru is None else lru
        self._find = self._entries.get
        self._now = clock
        self._lock = threading.RLock()
        self._deadlines: list[tuple[float, str]] = []
        self._used_bytes = 0
        self._hits = self._misses = self._evicted = self._expired = self._too_large = 0
        tell_of_forks(self)

    def forked(self) -> None:
        """In a forked child. Where another thread was in the middle of a change, the child begins empty."""
        whole, self._lock = self._lock.acquire(blocking=False), threading.RLock()
        if not whole:
            self._entries = new_lru()
            self._find, self._deadlines, self._used_bytes = self._entries.get, [], 0

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default`; to tell a stored None from nothing, pass a default of your own."""
        entry = self._find(key)
        if entry is None or entry[0] <= self._now():
            return self._missed(entry, default)
        self._hits += 1
        decode = entry[2]
        return entry[1] if decode is None else decode(entry[1])

    def held(self, key: str, default: Any = None) -> Any:
        """`get`, where not to have it counts as no miss: for those who will ask again."""
        entry = self._find(key)
        if entry is None or entry[0] <= self._now():
            return default
        self._hits += 1
        decode = entry[2]
        return entry[1] if decode is None else decode(entry[1])

    def set(self, key: str, value: object, ttl: float, tags: Iterable[str] = ()) -> None:
        """Keeps the value for `ttl` seconds. Raises InvalidKey, InvalidTtl, Unencodable."""
        checked_key(key)
        ttl, tags = checked_ttl(ttl), checked_tags(tags)
        plain, copy = self.codec.copied(value)
        self.keep(key, plain, copy, ttl, tags)

    def keep(self, key: str, plain: bytes, value: object, ttl: float, tags: tuple[str, ...]) -> None:
        """`set`, for arguments that are checked and a value that was encoded and decoded."""
        held, decode, size = value, None, frozen_bytes(value)
        if size is None:
            held = bytes(memoryview(plain))  # a copy: the encoder's own has room to grow behind it
            decode, size = self.codec.decode_plain, getsizeof(held)
        size += getsizeof(key) + ENTRY_BYTES
        now = self._now()
        self._put(key, (now + ttl, held, decode, size, tags), now)

    def delete(self, key: str) -> bool:
        """Whether there was something to delete."""
        with self._lock:
            entry = self._take(key)
            return entry is not None and entry[DEADLINE] > self._now()

    def delete_pattern(self, pattern: str | Pattern) -> int:
        """How many keys matched and were deleted. Raises PatternRefused."""
        wanted = pattern if isinstance(pattern, Pattern) else Pattern(pattern)
        return self._delete_if(lambda key, entry: wanted.matches(key))

    def invalidate_tags(self, *tags: str) -> int:
        """How many entries carried one of these tags and were deleted."""
        wanted = set(checked_tags(tags))
        return self._delete_if(lambda key, entry: not wanted.isdisjoint(entry[TAGS]))

    def clear(self) -> int:
        """Empties the cache and says how many entries had not expired."""
        return self._delete_if(lambda key, entry: True)

    def ttl(self, key: str) -> float | None:
        """The seconds this key has left, None if it is not there."""
        entry = self._entries.peek(key)
        left = entry[DEADLINE] - self._now() if entry else 0.0
        return left if left > 0 else None

    def get_stats(self) -> LocalStats:
        with self._lock:
            self._free_expired()
            return LocalStats(
                size=len(self._entries),
                max_size=self._max_size,
                used_bytes=self._used_bytes,
                max_bytes=self._max_bytes,
                hits=self._hits,
                misses=self._misses,
                evicted=self._evicted,
                expired=self._expired,
                too_large=self._too_large,
            )

    def __len__(self) -> int:
        with self._lock:
            self._free_expired()
            return len(self._entries)

    def _missed(self, entry: Entry | None, default: Any) -> Any:
        with self._lock:
            self._misses += 1
            if entry is not None:
                self._free_expired()
        return default

    def _put(self, key: str, entry: Entry, now: float) -> None:
        with self._lock:
            if self._entries.peek(key) is not None:
                self._take(key)
            if self._deadlines and self._deadlines[0][0] <= now:
                self._free_expired()
            if self._max_bytes is not None and entry[BYTES] > self._max_bytes:
                self._too_large += 1
                return
            self._entries.insert(key, entry)
            heapq.heappush(self._deadlines, (entry[DEADLINE], key))
            self._used_bytes += entry[BYTES]
            self._make_room()

    def _make_room(self) -> None:
        while len(self._entries) > self._max_size or (self._max_bytes and self._used_bytes > self._max_bytes):
            _, entry = self._entries.popitem()
            self._used_bytes -= entry[BYTES]
            self._evicted += 1
        if 8 * len(self._deadlines) > 9 * len(self._entries) + 128:  # most are of entries that left otherwise
            held = self._entries.peek  # compared by identity: an equal deadline may be an older entry's
            self._deadlines = [item for item in self._deadlines if (held(item[1]) or _NONE)[DEADLINE] is item[0]]
            heapq.heapify(self._deadlines)

    def _free_expired(self) -> None:
        now = self._now()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, key = heapq.heappop(self._deadlines)
            entry = self._entries.peek(key)
            if entry is not None and entry[DEADLINE] <= now:
                self._take(key)
                self._expired += 1

    def _take(self, key: str) -> Entry | None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._used_bytes -= entry[BYTES]
        return entry

    def _delete_if(self, unwanted: Callable[[str, Entry], bool]) -> int:
        with self._lock:
            self._free_expired()
            keys = [key for key, entry in self._all() if unwanted(key, entry)]
            for key in keys:
                self._take(key)
            return len(keys)

    def _all(self) -> list[tuple[str, Entry]]:
        """A look-up, which takes no lock, ends cachebox's iterators: so they are emptied in one go."""
        while True:
            with suppress(RuntimeError):
                return list(self._entries.items())
