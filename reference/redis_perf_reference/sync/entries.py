# Generated from ../asyncio/entries.py by tools/sync_twins.py: change that file, then run the tool.
"""Entries: what CacheAside holds in Redis. Each call is one round trip; `lua/entry.lua` says what an entry looks like.

Reads and fills go on without Redis, as if there were nothing; writes and deletions raise CacheUnavailable. What cannot
be read is nothing. If it is damaged it is removed; what is of another format only where it is to be loaded anew: an
older release that merely looks does not undo what a newer one has written.
"""

from __future__ import annotations

import logging
import math
import random
import threading
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from time import monotonic
from typing import Any, TypeAlias

from redis_perf_reference.codec import Codec, Undecodable, Unencodable, UnknownFormat
from redis_perf_reference.entry_state import EntryState
from redis_perf_reference.lifetime import Lifetime
from redis_perf_reference.missing import GONE, MISSING
from redis_perf_reference.observer import Observer, telling
from redis_perf_reference.outcomes import CacheUnavailable
from redis_perf_reference.sync.background import OneEach, sleep
from redis_perf_reference.sync.client import RedisClient

Fill: TypeAlias = tuple[str, tuple[bytes | int, ...]]
"""An entry's name, and what the script `fill` takes for it."""

MOST_BLOCKED = 64
UNTOLD_SECONDS = 0.1

logger = logging.getLogger("redis_perf_reference")


class Entries:
    def __init__(
        self,
        redis: RedisClient,
        codec: Codec,
        observer: Observer,
        *,
        lease_ms: int,
        retry_ms: int,
        early_refresh: float,
    ) -> None:
        self._redis, self._codec, self._observer = redis, codec, observer
        self._lease_ms, self._retry_ms, self._early_refresh = lease_ms, retry_ms, early_refresh
        self._blocked = OneEach(lambda: threading.Semaphore(MOST_BLOCKED))

    def look(self, name: str) -> EntryState | None:
        """None if Redis did not answer."""
        reply = self._looked((name,), b"", 0, "0", 0)
        found = reply and self._state(*reply)
        if isinstance(found, Undecodable):
            self._unreadable(name, found, remove=not isinstance(found, UnknownFormat))
            return EntryState(b"", 0, MISSING)
        return found

    def lease(self, name: str, token: bytes, lifetime: Lifetime) -> EntryState | None:
        """Looks, and has the token hold what is to be loaded, unless somebody does already; None as `look`."""
        for _ in range(2):
            reply = self._looked((name,), token, self._lease_ms, self._earliness(), lifetime.revalidate_ms)
            found = reply and self._state(*reply)
            if not isinstance(found, Undecodable):
                return found
            self._unreadable(name, found, remove=True)
        return None

    def lease_many(
        self, names: list[str], tokens: list[bytes], lifetimes: list[Lifetime]
    ) -> list[EntryState | Undecodable | None]:
        """For each as `lease`, but that nothing is removed."""
        arguments = list[bytes | int | str]()
        for token, lifetime in zip(tokens, lifetimes, strict=True):
            arguments += [token, self._lease_ms, self._earliness(), lifetime.revalidate_ms]
        reply = self._looked(tuple(names), *arguments)
        return [reply and self._state(*reply[3 * at : 3 * at + 3]) for at in range(len(names))]

    def loaded_elsewhere(self, name: str, holder: bytes, seconds: float) -> Any:
        """What the holder tells that it has loaded; GONE if it tells that it will not, MISSING if it tells nothing.

        That is a command that blocks for `seconds`, on a connection of its own. At most 64 do so at once, from each
        process or event loop; who comes when all do waits a bit instead.
        """
        blocked = self._blocked.here()
        if not blocked.acquire(blocking=False):
            sleep(min(seconds, UNTOLD_SECONDS))
            return MISSING
        try:
            raw = self._redis.next_message(_stream(name, holder), seconds)
        except CacheUnavailable:
            self._observer.error("unavailable")
            return GONE
        finally:
            blocked.release()
        return MISSING if raw is None else self._told(raw)

    def fill(self, fills: list[Fill]) -> None:
        names, arguments = tuple(name for name, _ in fills), chain(*(what for _, what in fills))
        with suppress(CacheUnavailable), telling(self._observer, "fill"):
            self._redis.run("fill", names, *arguments)

    def give_back(self, name: str, token: bytes) -> None:
        """Frees what is held. An old value is not loaded anew for `retry_ms` then."""
        try:
            self._redis.run("release", (name,), token, self._retry_ms)
        except CacheUnavailable:
            self._observer.error("unavailable")

    def write(self, name: str, value: object, lifetime: Lifetime) -> None:
        raw = self.encoded(value)
        with telling(self._observer, "write"):
            self._redis.run("fill", (name,), "", lifetime.fresh_ms(value), lifetime.stale_ms, 0, raw)

    def delete(self, names: Sequence[str]) -> int:
        """How many entries there were; no names, no round trip."""
        if not names:
            return 0
        with telling(self._observer, "delete"):
            return int(self._redis.run("delete", tuple(names)))

    def encoded(self, value: object) -> bytes:
        try:
            return self._codec.encode(value)
        except Unencodable:
            self._observer.error("unencodable")
            raise

    def _told(self, raw: bytes) -> Any:
        try:
            return self._codec.decode(raw) if raw else GONE
        except Undecodable:
            return GONE

    def _looked(self, names: tuple[str, ...], *arguments: bytes | int | str) -> Any:
        started = monotonic()
        try:
            return self._redis.run("lease", names, *arguments)
        except CacheUnavailable:
            self._observer.error("unavailable")
            return None
        finally:
            self._observer.seconds("read", monotonic() - started)

    def _state(self, holder: bytes, left_ms: int, raw: bytes | None) -> EntryState | Undecodable:
        try:
            return EntryState(holder, left_ms, MISSING if raw is None else self._codec.decode(raw))
        except Undecodable as error:
            return error

    def _unreadable(self, name: str, error: Undecodable, *, remove: bool) -> None:
        logger.warning("%s cannot be read%s: %s", name, ", so it is removed" if remove else "", error)
        self._observer.error("undecodable")
        if remove:
            try:
                self._redis.run("delete", (name,))
            except CacheUnavailable:
                self._observer.error("unavailable")

    def _earliness(self) -> str:
        """How many load times before it is due a value is loaded anew, drawn so that few readers begin early."""
        return f"{self._early_refresh * -math.log(1 - random.random()):.6f}" if self._early_refresh else "0"


def _stream(name: str, holder: bytes) -> str:
    """Where the holder tells what it has loaded, as `lua/entry.lua` has it."""
    return f"load:{name if '{' in name else '{' + name + '}'}:{holder.decode(errors='replace')}"
