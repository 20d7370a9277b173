"""ReadThrough: what is not in this process is looked up in Redis, or loaded, once for all who ask.

Those who ask for a key in one process meanwhile wait for the first of them, without a round trip of their own; across
processes one holds the lease, and the others look again when they hear that it is over. Who asks after a write, a
deletion or an invalidation that this process has heard of, does not get what was loaded before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from redis_perf_reference.asyncio.background import Loader, OneEach
from redis_perf_reference.asyncio.flight import Flights
from redis_perf_reference.asyncio.leases import Leases, Patience, Tiers
from redis_perf_reference.entry_state import Tokens
from redis_perf_reference.lifetime import Lifetime


@dataclass(slots=True)
class Lookup:
    """One call of get_with_cache. `led`: it has asked Redis itself."""

    key: str
    tags: tuple[str, ...]
    fetch: Loader[Any]
    lifetime: Lifetime
    led: bool = field(init=False, default=False)


class Answer(NamedTuple):
    plain: bytes
    loaded: bool


class ReadThrough:
    """`joined` counts the calls that were answered by another's look-up or load in this process."""

    def __init__(self, tiers: Tiers) -> None:
        self.joined = 0
        self._tiers = tiers
        self._flights = OneEach(Flights)
        self._tokens = OneEach(Tokens)

    def leases(self, keys: Mapping[str, tuple[str, ...]], ttl: float, **options: Any) -> Leases:
        return Leases(self._tiers, self._tokens.here().take(), keys, ttl, **options)

    def patience(self) -> Patience:
        return Patience(self._tiers.lease_seconds)

    async def get(self, lookup: Lookup) -> Any:
        """The value, which is the caller's own."""
        observer = self._tiers.observer
        try:
            answer = await self._shared(lookup)
        except Exception:
            observer.miss()
            raise
        (observer.miss if answer.loaded else observer.hit)()
        return self._tiers.near.local.codec.decode_plain(answer.plain)

    async def _shared(self, lookup: Lookup) -> Answer:
        flights, near, longest = self._flights.here(), self._tiers.near, self._tiers.lease_seconds
        try:
            while True:
                name = near.load_of(lookup.key, lookup.tags, longest)
                answer = await flights.share(name, partial(self._answered, lookup, name), longest)
                if isinstance(answer, Answer):
                    return answer
        finally:
            self.joined += not lookup.led

    async def _answered(self, lookup: Lookup, name: str) -> Answer:
        patience, waited = self.patience(), False
        try:
            while True:
                async with self._lease(lookup) as leases:
                    lookup.led = True
                    if lookup.key in leases.found:
                        return Answer(leases.plains[lookup.key], loaded=waited)
                    if patience.over or not leases.elsewhere(lookup.key):
                        return await self._loaded(lookup, leases)
                    waiter, waited = leases.waiter(lookup.key), True
                await patience.pause(waiter)
        finally:
            self._tiers.near.loaded(lookup.key, name)

    def _lease(self, lookup: Lookup) -> Leases:
        return self.leases({lookup.key: lookup.tags}, lookup.lifetime.longest_seconds, again=lookup.led)

    async def _loaded(self, lookup: Lookup, leases: Leases) -> Answer:
        observer, started = self._tiers.observer, monotonic()
        observer.load()
        try:
            value = await lookup.fetch()
        except Exception:
            observer.error("load")
            raise
        finally:
            observer.seconds("load", monotonic() - started)
        leases.fill(lookup.key, value, lookup.lifetime.fresh_ms(value) / 1000)
        return Answer(leases.plains[lookup.key], loaded=True)
