"""Availability: whether Redis answers, as a state. It is lost with the first failure and regained with any success.

A Breaker that no caller probes for: while Redis is away each call is refused at once, and `on_away` sees to it that
somebody in the background asks until Redis is back. So a Redis that hangs costs one timeout, not one now and then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger("redis_perf_reference")


class Availability:
    """`on_away` is called at each failure and each refused call: starting what already runs is up to it to avoid."""

    def __init__(self, on_away: Callable[[], None]) -> None:
        self._on_away = on_away
        self.up = True

    def allow(self) -> bool:
        if not self.up:
            self._on_away()
        return self.up

    def succeeded(self) -> None:
        if not self.up:
            self.up = True
            logger.info("Redis is back")

    def failed(self) -> None:
        self.up = False
        self._on_away()
