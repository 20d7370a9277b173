"""Window: which turns of a history were asked for, and whether a cached list is enough to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redis_perf_reference.entry import Entry, unbroken
from redis_perf_reference.turn import Turn


@dataclass(frozen=True, slots=True)
class Window:
    """The last `last_turns` turns (of one session, or of all), of these the last that fit into `last_tokens`."""

    last_turns: int
    last_tokens: int | None = None
    session_id: str | None = None

    def __post_init__(self) -> None:
        if self.last_turns < 1:
            raise ValueError(f"last_turns is {self.last_turns}: ask for 1 or more")
        if self.last_tokens is not None and self.last_tokens < 0:
            raise ValueError(f"last_tokens is {self.last_tokens}: ask for 0 or more")

    def of(self, entries: Sequence[Entry]) -> list[Turn]:
        """The answer, if these entries hold all that was asked for."""
        return self._affordable(self._last(entries))

    def in_cache(self, entries: Sequence[Entry]) -> list[Turn] | None:
        """The answer from a cached list, or None if turns may be missing from it."""
        entries = unbroken(entries)
        if not entries:
            return None
        turns = self._last(entries)
        answer = self._affordable(turns)
        reaches_back = len(turns) == self.last_turns or len(answer) < len(turns)
        return answer if reaches_back or entries[0].previous is None else None

    @property
    def first_index(self) -> int:
        """Where in the cached list to begin reading: other sessions' turns may lie between those asked for."""
        return -self.last_turns if self.session_id is None else 0

    def _last(self, entries: Sequence[Entry]) -> list[Turn]:
        matching = [entry.turn for entry in entries if self.session_id in (None, entry.session_id)]
        return matching[-self.last_turns :]

    def _affordable(self, turns: list[Turn]) -> list[Turn]:
        if self.last_tokens is None:
            return turns
        left, first = self.last_tokens, len(turns)
        while first and turns[first - 1].token_count <= left:
            first -= 1
            left -= turns[first].token_count
        return turns[first:]
