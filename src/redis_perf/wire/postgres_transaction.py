"""Where a Postgres connection stands: in a transaction block or outside, and what of it the server will commit."""

from __future__ import annotations

_COMMITS = frozenset({"COMMIT", "END"})
_BEGINS = frozenset({"BEGIN", "START TRANSACTION"})
_ENDS = frozenset({"ROLLBACK", "ABORT", "PREPARE TRANSACTION"})


class PostgresTransaction:
    """Told of the tag of each statement executed, and of the status at the end of each batch."""

    __slots__ = ("_wrote", "failed", "in_block")

    def __init__(self) -> None:
        self.in_block = False
        self.failed = False
        """A statement of this batch did."""
        self._wrote = False  # this batch executed something that its end will commit

    def executed(self, tag: str) -> bool:
        """A statement was; whether that committed a transaction."""
        if tag in _COMMITS:
            self._wrote = self.in_block = False
            return not self.failed
        if tag in _BEGINS:
            self._wrote, self.in_block = False, True
        elif tag in _ENDS:
            self._wrote = self.in_block = False
        else:
            self._wrote = True
        return False

    def ready(self, status: str) -> bool:
        """A batch is over, and this is the transaction status it left; whether the server committed it."""
        commits = self._wrote and status == "I" and not self.failed
        self._wrote = self.failed = False
        self.in_block = status in ("T", "E")
        return commits
