"""EntryState: what a look at an entry of CacheAside has found."""

from __future__ import annotations

import math
import secrets
from itertools import count
from typing import Any, NamedTuple

from redis_perf_reference.lifetime import Lifetime
from redis_perf_reference.missing import MISSING

FAILED = b"!" * 16
"""In place of a token: the last load failed, and for a while nobody shall try again."""


class EntryState(NamedTuple):
    """`holder` is the token of who may load it, empty if nobody has to. `left_ms` is until the value is due, below 0
    afterwards; without a value, until the holder's time is up."""

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

    @property
    def held_ms(self) -> float:
        """For how long the holder may load, as far as is known."""
        return self.left_ms if self.value is MISSING else math.inf


class Tokens:
    """16 characters each, that nobody else has meanwhile. For one process: after a fork both would take the same.

    Threads may share it.
    """

    def __init__(self) -> None:
        self._mine = secrets.token_hex(5)[:9].encode()
        self._count = count()

    def take(self) -> bytes:
        return b"%b%07x" % (self._mine, next(self._count) % 16**7)
