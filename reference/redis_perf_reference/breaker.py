"""The circuit breaker around Redis: a Protocol of three methods, and a simple one that is enough for a cache.

It lives in the process and costs no round trip. Bring your own by giving it the three methods.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Protocol


class Breaker(Protocol):
    """Asked before each command to Redis, told what came of it."""

    def allow(self) -> bool:
        """Whether to ask Redis now."""

    def succeeded(self) -> None:
        """Redis answered (an error reply is an answer)."""

    def failed(self) -> None:
        """Redis did not answer: refused, reset, or too late."""


class ConsecutiveFailures:
    """Opens after `threshold` failures in a row, for `open_seconds`; then one probe at a time goes through.

    A probe that never reports (its task was cancelled) blocks nothing: the next follows after `open_seconds`.
    Safe to share between threads and tasks.
    """

    def __init__(
        self, *, threshold: int = 3, open_seconds: float = 1.0, clock: Callable[[], float] = monotonic
    ) -> None:
        self._threshold = threshold
        self._open_seconds = open_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._no_probe_before = 0.0

    def allow(self) -> bool:
        with self._lock:
            if self._failures < self._threshold:
                return True
            now = self._clock()
            if now < self._no_probe_before:
                return False
            self._no_probe_before = now + self._open_seconds
            return True

    def succeeded(self) -> None:
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        with self._lock:
            self._failures += 1
            self._no_probe_before = self._clock() + self._open_seconds
