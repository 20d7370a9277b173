"""KnownStamps: what this process takes for the stamps of groups of keys, so that a write need not ask for them.

Only guesses: the script that writes looks whether they are right, so whoever invalidates need not tell of it here. A
wrong one costs the server a longer script, and nobody a round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MOST_KNOWN = 1024


class KnownStamps:
    """Groups are given as one text, as `groups_of` writes it; times are seconds of `monotonic`."""

    def __init__(self) -> None:
        self._heads: dict[str, tuple[bytes, float]] = {}

    def head(self, groups: str, until: float) -> bytes:
        """What a record of these groups begins with: "-" for their stamps, if they are not known to last until then."""
        known = self._heads.get(groups)
        return known[0] if known and until <= known[1] else f"{groups.replace(' ', ' - ')} -".encode()

    def learn(self, reply: Sequence[Any] | None, asked: float) -> None:
        """What `cache_set` has replied to a write that was sent at `asked`."""
        if not reply:
            return
        if len(self._heads) >= MOST_KNOWN:
            self._heads = {}
        lasts_until = asked + reply[0] / 1000
        for groups, head in zip(reply[1::2], reply[2::2], strict=True):
            self._heads[groups.decode()] = (head, lasts_until)
