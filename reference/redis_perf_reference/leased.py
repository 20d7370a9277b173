"""What a cache with leases knows of an entry, and how long its values live."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass, replace
from enum import Enum
from itertools import count
from typing import Any, Generic, NamedTuple, TypeVar

from redis_perf_reference.cache_input import checked_ttl

T = TypeVar("T")
FAILED = b"!" * 16
"""In place of a token: the last load failed, and for a while nobody shall try again."""


class Missing(Enum):
    """In place of a value: there is none. (None is a value.)"""

    MISSING = "missing"


MISSING = Missing.MISSING


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
        """From seconds. Raises InvalidTtl, which names the argument."""
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


class Leased(NamedTuple):
    """`holder` is the token of who may load it, empty if nobody has to; below 0, `left_ms` is how long it is due."""

    holder: bytes
    left_ms: int
    value: Any

    @property
    def fresh(self) -> bool:
        return self.value is not MISSING and self.left_ms > 0

    def usable(self, lifetime: Lifetime) -> bool:
        """Whether to answer with it at once, loading or not."""
        bound = lifetime.stale_ms if self.holder == FAILED else lifetime.revalidate_ms
        return self.fresh or (self.value is not MISSING and bound > 0 and -self.left_ms <= bound)

    def tolerable(self, lifetime: Lifetime) -> bool:
        """Whether to answer with it where loading failed."""
        return self.value is not MISSING and -self.left_ms <= lifetime.stale_ms


class Tokens:
    """16 characters each, that nobody else has meanwhile. For one process: after a fork both would take the same.

    Threads may share it.
    """

    def __init__(self) -> None:
        self._mine = secrets.token_hex(5)[:9].encode()
        self._count = count()

    def take(self) -> bytes:
        return b"%b%07x" % (self._mine, next(self._count) % 16**7)


def _ms(seconds: float, name: str) -> int:
    return round(checked_ttl(seconds, name) * 1000)
