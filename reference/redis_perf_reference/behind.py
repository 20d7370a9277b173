"""Behind: the keys whose cached copy this process knows to lag behind Postgres.

A write that reached Postgres but, for all we know, not Redis, marks its key. Reads of a marked key go to Postgres and
refill Redis; a refill takes the mark away unless another write failed meanwhile. One short string is held for each
user written to while Redis was away. Other processes notice at the user's next turn (see `entry`), at the latest
when the key expires.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Behind:
    def __init__(self) -> None:
        self._marks: dict[str, object] = {}

    @contextmanager
    def unless_finished(self, key: str) -> Iterator[None]:
        """Marks the key if the block ends early, be it by cancellation."""
        try:
            yield
        except BaseException:
            self._marks[key] = object()
            raise

    def mark_of(self, key: str) -> object | None:
        return self._marks.get(key)

    def caught_up(self, key: str, mark: object | None) -> None:
        if mark is not None and self._marks.get(key) is mark:
            self._marks.pop(key, None)
