"""Lifetime: how long values of a cache live, and what a loader says of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

from redis_perf_reference.cache_input import checked_ttl

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WithTtl(Generic[T]):
    """What a loader may return in place of a value: this one lives `ttl` seconds, or, with 0, is handed out to all
    who wait for it and not kept."""

    value: T
    ttl: float


class Loaded(NamedTuple):
    """What a loader returned. `raw` is None if it is not to be kept; `times` are what the script `fill` takes."""

    value: Any
    raw: bytes | None
    times: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Whole ms. `fresh_ms(value)` is drawn anew for each value, at most the time that was asked for."""

    ttl_ms: int
    negative_ttl_ms: int
    jitter: float
    revalidate_ms: int
    stale_ms: int

    @classmethod
    def checked(
        cls, ttl: float, negative_ttl: float | None, jitter: float, revalidate: float, if_error: float
    ) -> Lifetime:
        """From seconds. Raises InvalidTtl, which names the argument, and ValueError for a jitter that is none."""
        if not 0 <= jitter < 1:
            raise ValueError(f"{jitter=}: must be from 0 to below 1")
        ttl_ms, revalidate_ms = _ms(ttl, "ttl"), revalidate and _ms(revalidate, "stale_while_revalidate")
        if_error_ms = if_error and _ms(if_error, "stale_if_error")
        negative_ms = ttl_ms if negative_ttl is None else _ms(negative_ttl, "negative_ttl")
        return cls(ttl_ms, negative_ms, jitter, int(revalidate_ms), int(max(revalidate_ms, if_error_ms)))

    def but(self, ttl: float | None, negative_ttl: float | None) -> Lifetime:
        """With other times for one call; a `ttl` of its own is also that of None, unless `negative_ttl` says more."""
        if ttl is None and negative_ttl is None:
            return self
        ttl_ms = self.ttl_ms if ttl is None else _ms(ttl, "ttl")
        shortest = self.negative_ttl_ms if self.negative_ttl_ms < self.ttl_ms else ttl_ms
        negative_ms = min(shortest, ttl_ms) if negative_ttl is None else _ms(negative_ttl, "negative_ttl")
        return replace(self, ttl_ms=ttl_ms, negative_ttl_ms=negative_ms)

    def of(self, loaded: Any) -> tuple[Any, Lifetime | None]:
        """The value of what a loader returned, and how long it lives: None if it is not to be kept."""
        if not isinstance(loaded, WithTtl):
            return loaded, self
        return loaded.value, self.but(loaded.ttl, loaded.ttl) if loaded.ttl else None

    @property
    def longest_seconds(self) -> float:
        return max(self.ttl_ms, self.negative_ttl_ms) / 1000

    def fresh_ms(self, value: object) -> int:
        wanted = self.negative_ttl_ms if value is None else self.ttl_ms
        return max(1, round(wanted * (1 - self.jitter * random.random())))


def _ms(seconds: float, name: str) -> int:
    return round(checked_ttl(seconds, name) * 1000)
