"""Batches: several names done in one go; whoever wants some of them meanwhile waits for these and does the others.

For threads and event loops alike: `others` are futures of concurrent.futures. Safe to share between threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Self


class Claim:
    """`mine` nobody else is at; `others` are, and each leads to the results of who is, None if that failed.

    On leaving the block, those who wait for `mine` get `results`.
    """

    def __init__(self, batches: Batches, mine: list[str], others: dict[str, Future[Any]], done: Future[Any]) -> None:
        self.mine, self.others = mine, others
        self.results: Mapping[str, Any] | None = None
        self._batches, self._done = batches, done

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._batches._landed(self.mine, self._done)
        self._done.set_result(self.results)


class Batches:
    def __init__(self) -> None:
        self._open: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

    def claim(self, names: Iterable[str]) -> Claim:
        """Those that nobody is at are the caller's from now on."""
        mine, others, done = [], {}, Future[Any]()
        with self._lock:
            for name in names:
                known = self._open.setdefault(name, done)
                if known is done:
                    mine.append(name)
                else:
                    others[name] = known
        return Claim(self, mine, others, done)

    def forget(self) -> None:
        """Nobody shall join what is under way; those who have will get its results."""
        with self._lock:
            self._open.clear()

    def _landed(self, names: list[str], done: Future[Any]) -> None:
        with self._lock:
            for name in names:
                if self._open.get(name) is done:
                    del self._open[name]
