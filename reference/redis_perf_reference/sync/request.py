# Generated from ../asyncio/request.py by tools/sync_twins.py: change that file, then run the tool.
"""Request: one call of get_with_cache, as CacheAside hands it from step to step."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from redis_perf_reference.entry_state import EntryState
from redis_perf_reference.lifetime import Lifetime
from redis_perf_reference.missing import MISSING
from redis_perf_reference.sync.background import Loader, Renewer
from redis_perf_reference.sync.entries import Fill


class Request(NamedTuple):
    """After `until` (monotonic seconds) it waits for nobody. What it loads is added to `fills`, where there is such a
    list, and written by whoever gave it."""

    name: str
    fetch: Loader[Any]
    revalidate: Renewer[Any] | None
    lifetime: Lifetime
    until: float
    fills: list[Fill] | None = None

    def knowing(self, found: EntryState | None) -> Request:
        """Loads by revalidating what was found, where there is something and a way to do so."""
        if self.revalidate is None or found is None or found.value is MISSING:
            return self
        return self._replace(fetch=partial(self.revalidate, found.value))
