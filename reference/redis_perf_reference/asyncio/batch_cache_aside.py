"""BatchCacheAside: a CacheAside that answers many keys in the round trips of one.

| call                               | Redis round trips                                          |
|------------------------------------|------------------------------------------------------------|
| get_many_with_cache: all hits      | 1                                                          |
| get_many_with_cache: some misses   | 2: read and take the leases, fill                          |
| ... some loaded by others          | besides 1 look for them all, and for each 1 that blocks    |
| delete_by_prefix                   | 1 for each 1000 keys on the server                         |

What this call has to load itself it loads first, so two batches that want each other's keys do not wait in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from redis_perf_reference.asyncio.background import KeyedLoader, KeyedRenewer, gathered
from redis_perf_reference.asyncio.cache_aside import CacheAside
from redis_perf_reference.asyncio.entries import Fill
from redis_perf_reference.asyncio.request import Request
from redis_perf_reference.asyncio.sweep import swept
from redis_perf_reference.codec import Undecodable
from redis_perf_reference.entry_state import EntryState
from redis_perf_reference.lifetime import WithTtl
from redis_perf_reference.pattern import escape

T = TypeVar("T")
SCAN_COUNT = 1000
Look = tuple[bytes, EntryState | None]


class BatchCacheAside(CacheAside):
    """Takes the same options. In the sync twin loads that happen at the same time happen in threads."""

    async def get_many_with_cache(
        self,
        keys: Iterable[str],
        fetch: KeyedLoader[T | WithTtl[T]],
        ttl: float | None = None,
        *,
        negative_ttl: float | None = None,
        revalidate: KeyedRenewer[T | WithTtl[T]] | None = None,
        at_once: int = 8,
    ) -> dict[str, T]:
        """For each key its cached value, or what `fetch(key)` returns; at most `at_once` of these run at a time.

        If some fail the others are kept, then the first failure is raised. Else as `get_with_cache`.
        """
        if at_once < 1:
            raise ValueError(f"{at_once=}: must be above 0")
        lifetime, until = self._lifetime.but(ttl, negative_ttl), monotonic() + self._lease_seconds
        requests = {
            key: Request(self._name(key), partial(fetch, key), revalidate and partial(revalidate, key), lifetime, until)
            for key in keys
        }
        return await self._answer_many(requests, at_once) if requests else {}

    async def delete_by_prefix(self, start: str) -> int:
        """Removes all values whose keys start so, and says how many entries there were. Raises as `delete` does."""
        name = self._name(start)
        return await swept(self._redis.run, name, escape(name) + "*", SCAN_COUNT, f"{self._prefix}:told", b"")

    async def _answer_many(self, requests: dict[str, Request], at_once: int) -> dict[str, Any]:
        answers: dict[str, Any] = dict.fromkeys(requests)
        loading, waiting = {}, {}
        for (key, request), look in zip(requests.items(), await self._read_many(list(requests.values())), strict=True):
            found = look and look[1]
            if found is not None and found.usable(request.lifetime):
                answers[key] = await self._answer(request, look)
            elif look is not None and (found is None or found.holder == look[0]):
                loading[key] = (request, look)
            else:
                waiting[key] = (request, look)
        if not loading:
            return answers | await self._gathered(waiting, at_once) if waiting else answers
        flights = self._flights.here()
        answers |= await flights.lead(flights.announce(), lambda: self._load_many(loading, at_once))
        rest = {key: request for key, (request, _) in waiting.items()}
        return answers | await self._answer_many(rest, at_once) if rest else answers  # they may be loaded by now

    async def _read_many(self, requests: list[Request]) -> list[Look | None]:
        """None for what cannot be read, which wants a look of its own."""
        flights = self._flights.here()
        tokens, led = [flights.announce() for _ in requests], set[bytes]()
        try:
            found = await self._entries.lease_many(
                [request.name for request in requests], tokens, [request.lifetime for request in requests]
            )
            led = {
                token
                for token, one in zip(tokens, found, strict=True)
                if isinstance(one, EntryState) and one.holder == token
            }
        except BaseException:  # cancelled, with leases perhaps in hand
            for request, token in zip(requests, tokens, strict=True):
                self._background.start(partial(self._entries.give_back, request.name, token))
            raise
        finally:
            for token in tokens:
                if token not in led:
                    flights.withdraw(token)
        return [
            None if isinstance(one, Undecodable) else (token, one) for token, one in zip(tokens, found, strict=True)
        ]

    async def _load_many(self, loading: dict[str, tuple[Request, Look]], at_once: int) -> dict[str, Any]:
        fills: list[Fill] = []
        try:
            return await self._gathered(
                {key: (request._replace(fills=fills), look) for key, (request, look) in loading.items()}, at_once
            )
        finally:
            if fills:
                await self._entries.fill(fills)

    async def _gathered(self, wanted: dict[str, tuple[Request, Look | None]], at_once: int) -> dict[str, Any]:
        answers = await gathered([partial(self._answer, request, look) for request, look in wanted.values()], at_once)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return dict(zip(wanted, answers, strict=True))
