"""What caches have counted since they were made. Numbers, to add up and divide; rates are between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass


def rate(hits: int, misses: int) -> float:
    return hits / (hits + misses) if hits + misses else 0.0


@dataclass(frozen=True, slots=True)
class LocalStats:
    """`size` entries of `used_bytes` are held now; `evicted` left for want of room, `expired` for age; `too_large`
    were not taken at all."""

    size: int
    max_size: int
    used_bytes: int
    max_bytes: int | None
    hits: int
    misses: int
    evicted: int
    expired: int
    too_large: int

    @property
    def hit_rate(self) -> float:
        return rate(self.hits, self.misses)


@dataclass(frozen=True, slots=True)
class RedisStats:
    """`errors` are look-ups that Redis did not answer; `undecodable` are misses for what could not be read.

    `available` is whether Redis answered when it was last asked.
    """

    available: bool
    hits: int
    misses: int
    errors: int
    undecodable: int

    @property
    def lookups(self) -> int:
        return self.hits + self.misses + self.errors

    @property
    def hit_rate(self) -> float:
        return rate(self.hits, self.misses + self.errors)


@dataclass(frozen=True, slots=True)
class TwoTierStats:
    """Each request is a hit in one tier or a miss in both. `joined` were answered by what another call in this process
    looked up or loaded. With Redis, `l1.misses` is `l2.lookups` and `joined` (of calls that have returned)."""

    l1: LocalStats
    l2: RedisStats | None
    listening: bool
    joined: int = 0

    @property
    def hits(self) -> int:
        return self.l1.hits + (self.l2.hits if self.l2 else 0)

    @property
    def misses(self) -> int:
        return self.requests - self.hits

    @property
    def requests(self) -> int:
        return self.l1.hits + self.l1.misses

    @property
    def hit_rate(self) -> float:
        return rate(self.hits, self.misses)
