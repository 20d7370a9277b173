"""The transaction block of a session: what the status byte says, and what BEGIN, COMMIT and SAVEPOINT do to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from redis_perf.servers.fake_postgres.replies import Refusal, Tag

Status: TypeAlias = Literal["I", "T", "E"]
FAILED: Final = Refusal("25P02", "current transaction is aborted, commands ignored until end of transaction block")
_ENDS: Final = frozenset({"COMMIT", "END", "ROLLBACK", "ABORT"})
CONTROLS: Final = _ENDS | {"BEGIN", "START", "SAVEPOINT", "RELEASE", "PREPARE"}
_NOISE: Final = frozenset({"WORK", "TRANSACTION", "SAVEPOINT"})


def controls(words: Sequence[str]) -> bool:
    """Whether these words of a statement begin, end or divide a transaction."""
    return words[0] in CONTROLS and (words[0] != "PREPARE" or "TRANSACTION" in words[1:2])


class Block:
    """Told of each statement that `controls`, and of each failure, in order."""

    def __init__(self) -> None:
        self.status: Status = "I"
        self._savepoints: list[str] = []

    def allows(self, words: Sequence[str]) -> bool:
        """Whether the server would look at this statement at all, or refuse it as FAILED."""
        return self.status != "E" or words[0] in _ENDS or (words[0] == "PREPARE" and controls(words))

    def fail(self, *, ended: bool = False) -> None:
        """A statement failed. `ended`: that was the COMMIT, so nothing is left to roll back."""
        if ended:
            self._end("I")
        elif self.status == "T":
            self.status = "E"

    def control(self, words: Sequence[str]) -> Tag | Refusal:
        """The answer to a statement that `controls`, after doing what it says."""
        match words[0]:
            case "BEGIN" | "START":
                self.status = "T" if self.status == "I" else self.status
                return Tag("BEGIN" if words[0] == "BEGIN" else "START TRANSACTION")
            case "SAVEPOINT":
                return self._savepoint(_name(words))
            case "RELEASE":
                return self._back_to(_name(words), Tag("RELEASE"), keep=False)
            case "PREPARE":
                return Tag(self._end("I") or "PREPARE TRANSACTION")
        if "PREPARED" in words[1:2]:
            return Tag(f"{words[0]} PREPARED")
        if "TO" in words[1:3]:
            return self._back_to(_name(words), Tag("ROLLBACK"), keep=True)
        chained = "CHAIN" in words and "NO" not in {word.upper() for word in words}
        after: Status = "T" if chained and self.status != "I" else "I"
        rolled_back = self._end(after)
        return Tag("ROLLBACK" if words[0] in ("ROLLBACK", "ABORT") else rolled_back or "COMMIT")

    def _end(self, after: Status) -> str:
        """`ROLLBACK` if that is all that was possible, else nothing."""
        failed, self.status = self.status == "E", after
        self._savepoints.clear()
        return "ROLLBACK" if failed else ""

    def _savepoint(self, name: str) -> Tag | Refusal:
        if self.status == "I":
            return Refusal("25P01", "SAVEPOINT can only be used in transaction blocks")
        self._savepoints.append(name)
        return Tag("SAVEPOINT")

    def _back_to(self, name: str, tag: Tag, *, keep: bool) -> Tag | Refusal:
        if self.status == "I":
            return Refusal("25P01", f"{tag.text} of a savepoint can only be used in transaction blocks")
        if name not in self._savepoints:
            return Refusal("3B001", f'savepoint "{name}" does not exist')
        while self._savepoints[-1] != name:
            self._savepoints.pop()
        if not keep:
            self._savepoints.pop()
        self.status = "T"
        return tag


def _name(words: Sequence[str]) -> str:
    word = next((word for word in reversed(words[1:]) if word.upper() not in _NOISE), "")
    return word[1:-1] if word.startswith('"') else word.lower()
