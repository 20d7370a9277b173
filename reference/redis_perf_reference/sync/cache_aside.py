# Generated from ../asyncio/cache_aside.py by tools/sync_twins.py: change that file, then run the tool.
"""CacheAside: `get_with_cache(key, fetch)` answers from Redis, or calls `fetch` once for all who ask.

| call                       | Redis round trips                                                              |
|----------------------------|--------------------------------------------------------------------------------|
| get_with_cache: hit, stale | 1                                                                              |
| get_with_cache: miss       | 2: read and take the lease, fill                                               |
| ... others, this process   | 1, then they wait for the loader's value                                       |
| ... others, elsewhere      | 1, and 1 for all of a process, which blocks until the loader tells the value   |
| get, set, delete           | 1                                                                              |

A server that does not know a script yet costs one more, once. Who finds nothing takes the *lease* in the same round
trip; only its holder may fill the entry, and only if nobody wrote or removed it since. So a slow load never undoes a
newer write. A lease ends by itself after `lease_seconds`: let it be longer than a load takes.

What `fetch` returns is a hit from then on, be it None, 0, "" or []; a WithTtl says how long this value lives, or that
it is not kept. Its exceptions go to all who wait for it and free the lease. Without Redis values are loaded and handed
out, once for all who ask at the same time in this process. Whoever waits gets the same object as the loader: treat it
as read-only.
"""

from __future__ import annotations

import logging
from functools import partial
from time import monotonic
from typing import Any, TypeVar, cast

from redis_perf_reference.cache_input import checked_key, checked_namespace, checked_ttl
from redis_perf_reference.codec import Codec
from redis_perf_reference.entry_state import FAILED, EntryState
from redis_perf_reference.lifetime import Lifetime, Loaded, WithTtl
from redis_perf_reference.missing import GONE, MISSING
from redis_perf_reference.observer import SILENT, Observer
from redis_perf_reference.sync.background import Background, Loader, OneEach, Renewer
from redis_perf_reference.sync.client import RedisClient
from redis_perf_reference.sync.entries import Entries
from redis_perf_reference.sync.flight import Flights
from redis_perf_reference.sync.request import Request

T = TypeVar("T")
SILENCE_SECONDS = 1.0
LONGEST_LOAD_MS = 999_999_999
MOST_BACKGROUND_LOADS = 8

logger = logging.getLogger("redis_perf_reference")


class CacheAside:
    """Values live for `ttl` seconds, less a random part of it of up to `jitter`, so that they do not expire together.

    `negative_ttl` is for None, where it says that there is nothing. For `stale_while_revalidate` seconds after its time
    a value is still answered at once while it is loaded in the background; for `stale_if_error` seconds it is answered
    if loading fails, and nobody tries again for `retry_after_error` seconds. With `early_refresh` above 0 a value is
    loaded in the background shortly before its time, the earlier the longer that takes (1 is a good choice); who loads
    in the background is one of at most 8 tasks, or threads in the sync twin.
    """

    def __init__(
        self,
        redis: RedisClient,
        *,
        prefix: str = "cache",
        codec: Codec | None = None,
        ttl: float = 300,
        negative_ttl: float | None = None,
        jitter: float = 0.1,
        stale_while_revalidate: float = 0,
        stale_if_error: float = 0,
        retry_after_error: float = 1,
        early_refresh: float = 0,
        lease_seconds: float = 10,
        observer: Observer = SILENT,
    ) -> None:
        if not 0 <= early_refresh <= 100:
            raise ValueError(f"{early_refresh=}: must be from 0 to 100")
        self._redis, self._observer = redis, observer
        self._prefix = checked_namespace(prefix, "prefix")
        self._lifetime = Lifetime.checked(ttl, negative_ttl, jitter, stale_while_revalidate, stale_if_error)
        self._lease_seconds = checked_ttl(lease_seconds, "lease_seconds")
        self._entries = Entries(
            redis,
            codec or Codec(),
            observer,
            lease_ms=round(self._lease_seconds * 1000),
            retry_ms=round(checked_ttl(retry_after_error, "retry_after_error") * 1000),
            early_refresh=early_refresh,
        )
        self._flights = OneEach(Flights)
        self._background, self._loads = Background(), Background(MOST_BACKGROUND_LOADS)

    def get_with_cache(
        self,
        key: str,
        fetch: Loader[T | WithTtl[T]],
        ttl: float | None = None,
        *,
        negative_ttl: float | None = None,
        revalidate: Renewer[T | WithTtl[T]] | None = None,
    ) -> T:
        """The cached value, or what `fetch()` returns. Raises what it raises, unless a stale value may stand in.

        Where a value past its time is at hand, `revalidate(value)` is called instead of `fetch()`, if given.
        Raises InvalidKey and InvalidTtl before anything is done, Unencodable for a value that cannot be kept.
        """
        lifetime = self._lifetime.but(ttl, negative_ttl)
        request = Request(self._name(key), fetch, revalidate, lifetime, monotonic() + self._lease_seconds)
        return cast("T", self._answer(request))

    def get(self, key: str, default: T | None = None) -> Any | T | None:
        """The cached value if it is not due yet, else the default. Never raises CacheUnavailable."""
        found = self._entries.look(self._name(key))
        fresh = found is not None and found.fresh
        (self._observer.hit if fresh else self._observer.miss)()
        return found.value if found is not None and fresh else default

    def set(self, key: str, value: object, ttl: float | None = None) -> None:
        """Writes a value; loads under way will not replace it.

        Raises Unencodable, and CacheUnavailable if it is not known to be written: the old value may still be there.
        """
        name, lifetime = self._name(key), self._lifetime.but(ttl, None)
        self._flights.here().forget(name)
        self._entries.write(name, value, lifetime)

    def delete(self, *keys: str) -> int:
        """Removes values, and says how many entries there were; loads under way will not bring them back.

        Raises CacheUnavailable if they are not known to be gone: they may still be answered until they expire.
        """
        names, flights = [self._name(key) for key in keys], self._flights.here()
        for name in names:
            flights.forget(name)
        return self._entries.delete(names)

    def _name(self, key: str) -> str:
        return f"{self._prefix}:{checked_key(key)}"

    def _answer(self, request: Request, look: tuple[bytes, EntryState | None] | None = None) -> Any:
        """Begins with a look that was taken already, if there is one."""
        waited = False
        while True:
            token, found = look or self._read(request)
            look, request = None, request.knowing(found)
            if found is not None and found.usable(request.lifetime):
                (self._observer.hit if found.left_ms > 0 else self._observer.stale)()
                if found.holder == token:
                    self._refresh(request._replace(fills=None), token)
                return found.value
            if not waited:
                self._observer.miss()
            value = self._missed(request, token, found)
            if value is not GONE:
                return value
            waited = True

    def _refresh(self, request: Request, token: bytes) -> None:
        """Loads in the background; where that has no room, nobody does for `retry_after_error` seconds."""
        if not self._loads.start(partial(self._lead, request, token)):
            self._flights.here().withdraw(token)
            self._entries.give_back(request.name, token)

    def _read(self, request: Request) -> tuple[bytes, EntryState | None]:
        """Looks, and takes the lease if a load is due. Others in this process find the token before Redis has it."""
        flights, leads = self._flights.here(), False
        token = flights.announce()
        try:
            found = self._entries.lease(request.name, token, request.lifetime)
            leads = found is not None and found.holder == token
        except BaseException:  # cancelled, with the lease perhaps in hand
            self._background.start(lambda: self._entries.give_back(request.name, token))
            raise
        finally:
            if not leads:
                flights.withdraw(token)
        return token, found

    def _missed(self, request: Request, token: bytes, found: EntryState | None) -> Any:
        """The value, from this caller's load or from another's. GONE: look again."""
        try:
            if found is not None and found.holder == token:
                return self._lead(request, token)
            return self._joined(request, token, found)
        except Exception as error:
            if found is None or not found.tolerable(request.lifetime):
                raise
            logger.warning("answered with a stale value: %s: %s", type(error).__name__, error)
            self._observer.stale()
            return found.value

    def _joined(self, request: Request, token: bytes, found: EntryState | None) -> Any:
        """Waits for another's load until the request's time is up, then as long again for one by those whose time is
        up too, so that a load that hangs is not begun by all at once. In the end it loads for itself."""
        left, filling = request.until - monotonic(), None
        if found is None:  # perhaps the lease was taken and its reply lost: so the load tries to fill
            filling = token
        elif found.holder != FAILED and left > 0:  # that marks no load to wait for
            return self._flights.here().share(found.holder, lambda: self._elsewhere(request, found), left)
        left += self._lease_seconds if left <= 0 else 0
        if left <= 0:
            return self._load(request, filling)
        return self._flights.here().share(request.name, lambda: self._load(request, filling), left)

    def _lead(self, request: Request, token: bytes) -> Any:
        return self._flights.here().lead(token, lambda: self._load(request, token))

    def _elsewhere(self, request: Request, found: EntryState) -> Any:
        """Waits for a load in another process, which tells what came of it. Looks where nothing was said for a second,
        as news may be lost, or until the lease should be over."""
        holder = found.holder
        while found.holder == holder and (left := request.until - monotonic()) > 0:
            seconds = min(left, found.held_ms / 1000, SILENCE_SECONDS)
            told = self._entries.loaded_elsewhere(request.name, holder, seconds)
            if told is not MISSING:
                return told
            found = self._entries.look(request.name) or found  # where Redis is away the next wait is over at once
        return found.value if found.fresh else GONE

    def _load(self, request: Request, token: bytes | None) -> Any:
        """Calls `fetch`, and fills the entry if there is a token."""
        loaded = self._loaded(request, token)
        if token is not None and loaded.raw is not None:
            fill = request.name, (token, *loaded.times, loaded.raw)
            self._entries.fill([fill]) if request.fills is None else request.fills.append(fill)
        return loaded.value

    def _loaded(self, request: Request, token: bytes | None) -> Loaded:
        """Calls `fetch`. Gives the lease back if nothing came of it that may be kept."""
        started, raw = monotonic(), None
        self._observer.load()
        try:
            value, lifetime = request.lifetime.of(self._fetched(request))
            raw = self._entries.encoded(value) if lifetime is not None else None
        finally:
            if token is not None and raw is None:
                self._entries.give_back(request.name, token)
        load_ms = min(round((monotonic() - started) * 1000), LONGEST_LOAD_MS)
        times = (lifetime.fresh_ms(value), lifetime.stale_ms, load_ms) if lifetime is not None else (0, 0, 0)
        return Loaded(value, raw, times)

    def _fetched(self, request: Request) -> Any:
        started = monotonic()
        try:
            return request.fetch()
        except Exception:
            self._observer.error("load")
            raise
        finally:
            self._observer.seconds("load", monotonic() - started)
