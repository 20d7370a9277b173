"""NearCache: copies of what Redis holds, kept only if nothing overtook them on the way.

Reading Redis takes a while. If the key is written or invalidated meanwhile, the reply may be old, and an old copy kept
after the invalidation was heard would stay until it expires. So each look-up and each write of a key is announced
(`reading`, `writing`); whichever is overtaken is not kept. Two writes of this process at once: neither is kept.

Loads have names here, for those who come later to wait for them. One that was overtaken is no longer found.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import count
from time import monotonic
from typing import Protocol
from weakref import WeakSet

from redis_perf_reference.cache_message import Message
from redis_perf_reference.local_cache import LocalCache
from redis_perf_reference.pattern import Pattern


class Waiting(Protocol):
    """Somebody who waits for news of a key."""

    key: str

    def wake(self) -> None: ...


class NearCache:
    def __init__(self, local: LocalCache) -> None:
        self.local = local
        self._numbers = count()
        self.invalidations = 0
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, object] = {}
        self._loads: dict[str, tuple[str, tuple[str, ...], float]] = {}
        self._waiting: WeakSet[Waiting] = WeakSet()

    def forked(self) -> None:
        """In a forked child, where nobody goes on with what was under way."""
        self.local.forked()
        self._begin()

    def reading(self, keys: Iterable[str]) -> Passage:
        return Passage(self, keys)

    def writing(self, keys: Iterable[str]) -> Passage:
        return Passage(self, keys, writes=True)

    def load_of(self, key: str, tags: tuple[str, ...], longest_seconds: float) -> str:
        """The name of the load of this key that is under way, a new one if there is none, or none that began within
        `longest_seconds`. `loaded` must follow."""
        with self._lock:
            now, known = monotonic(), self._loads.get(key)
            if known is None or now - known[2] >= longest_seconds:
                known = self._loads[key] = (f"load {next(self._numbers)}", tags, now)
            return known[0]

    def loaded(self, key: str, name: str) -> None:
        with self._lock:
            if self._loads.get(key, ("",))[0] == name:
                del self._loads[key]

    def heard(self, message: Message) -> int:
        """Deletes what the message is about, and lets nothing under way bring it back. Returns how many keys left."""
        with self._lock:
            for waiting in self._waiting:
                if waiting.key in message.names or message.kind not in ("keys", "loaded"):
                    waiting.wake()
            if message.kind == "loaded":
                for key in message.names:
                    self._under_way.pop(key, None)
                return 0
            self.invalidations += 1
            if message.kind == "keys":
                return sum(self._forget(key) for key in message.names)
            self._under_way.clear()  # which of them it concerns would take as long to find out as to read them again
            concerns = _concerns(message)
            self._loads = {key: load for key, load in self._loads.items() if not concerns(key, load[1])}
            if message.kind == "pattern":
                return sum(self.local.delete_pattern(Pattern(name)) for name in message.names)
            return self.local.invalidate_tags(*message.names) if message.kind == "tags" else self.local.clear()

    def _forget(self, key: str) -> bool:
        self._under_way.pop(key, None)
        self._loads.pop(key, None)
        return self.local.delete(key)


class Passage:
    """Keys on their way between Redis and here. On leaving, what a write did not keep is deleted."""

    def __init__(self, near: NearCache, keys: Iterable[str], writes: bool = False) -> None:
        self._near, self._left, self._writes = near, set(keys), writes
        self._began = monotonic()

    def keep(self, key: str, plain: bytes, value: object, ttl: float, tags: tuple[str, ...]) -> None:
        """Keeps a value for `ttl` seconds, counted from the beginning of the passage, unless it was overtaken."""
        near, ttl = self._near, ttl - (monotonic() - self._began)
        with near._lock:
            if self._writes:
                near._loads.pop(key, None)
            if ttl > 0 and near._under_way.get(key) is self:
                del near._under_way[key]
                self._left.discard(key)
                near.local.keep(key, plain, value, ttl, tags)

    def wait(self, waiting: Waiting) -> bool:
        """Has it woken by what is heard of its key. False if that was overtaken already; then nobody may come."""
        with self._near._lock:
            in_time = self._near._under_way.get(waiting.key) is self
            if in_time:
                self._near._waiting.add(waiting)
            return in_time

    def count_from_now(self) -> None:
        """For values whose time begins only now."""
        self._began = monotonic()

    def __enter__(self) -> Passage:
        near = self._near
        with near._lock:
            for key in self._left:
                near._under_way[key] = self
                if self._writes:
                    near._loads.pop(key, None)
        return self

    def __exit__(self, *_: object) -> None:
        with self._near._lock:
            self._near.invalidations += self._writes
            for key in self._left:
                if self._writes:
                    self._near._forget(key)
                elif self._near._under_way.get(key) is self:
                    del self._near._under_way[key]


def _concerns(message: Message) -> Callable[[str, Iterable[str]], bool]:
    """Whether a message, not one of single keys, is about this key with these tags."""
    if message.kind == "pattern":
        patterns = [Pattern(name) for name in message.names]
        return lambda key, tags: any(pattern.matches(key) for pattern in patterns)
    if message.kind == "tags":
        return lambda key, tags: not set(message.names).isdisjoint(tags)
    return lambda key, tags: True
