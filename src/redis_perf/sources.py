"""From where the requests of a connection came, as text, and what those from one place are alike by."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, NamedTuple

from redis_perf.call_path import whence
from redis_perf.trace import Path, Site
from redis_perf.wire import Caller

MOST: Final = 64
"""So many places are remembered, and so many different requests of each; then it begins anew."""


class Source(NamedTuple):
    """One place. Holding the caller keeps its id from being another's."""

    caller: Caller | None
    site: Site | None
    lane: str | None
    path: Path | None
    marks: dict[Hashable, object]

    def mark(self, same: Hashable) -> object:
        """The same object for the same: what round trips from here that differ in nothing else are `alike` by."""
        if len(self.marks) >= MOST:
            self.marks.clear()
        return self.marks.setdefault(same, object())


class Sources:
    """Those of one connection, by their callers."""

    def __init__(self) -> None:
        self._known: dict[int, Source] = {}

    def of(self, caller: Caller | None) -> Source:
        known = self._known.get(id(caller))
        if known is None:
            if len(self._known) >= MOST:
                self._known.clear()
            known = self._known[id(caller)] = Source(caller, *whence(caller), {})
        return known
