"""What the calls of a working memory answer, and what they raise; CacheUnavailable is everybody's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pushed:
    """Postgres has it. `skipped` says why Redis was passed over, None if Redis has it too."""

    skipped: str | None = None

    @property
    def cached(self) -> bool:
        return self.skipped is None


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush removed from Redis: `added` turns were missing in Postgres, `known` were there already,
    `set_aside` could not be read and lie in the user's aside list."""

    added: int = 0
    known: int = 0
    set_aside: int = 0

    def __add__(self, other: Flushed) -> Flushed:
        return Flushed(self.added + other.added, self.known + other.known, self.set_aside + other.set_aside)


class CacheUnavailable(Exception):
    """Redis was not asked (it counts as away), did not answer, or refused. The call may simply be repeated.

    RedisClient and RedisCache raise it from every call, CacheAside and those built on it from writes and deletions,
    WorkingMemory where Postgres cannot stand in: from `flush`, `clear`, `delete_user` and `set_aside`. TwoTierCache
    does not, but says so (`Told`)."""


class NotFlushed(Exception):
    """Postgres did not take the turns; `unsaved` of them were read and stay in Redis. The cause is chained."""

    def __init__(self, user_id: str, unsaved: int, error: Exception) -> None:
        super().__init__(f"flush of user {user_id!r}: {unsaved} turns not saved, kept in Redis: {error}")
        self.user_id = user_id
        self.unsaved = unsaved


class TurnConflict(Exception):
    """A turn id of this session already stands for something else that was said; Postgres keeps what it has.

    The other turns of the same push are saved."""

    def __init__(self, session_id: str, turn_ids: list[str]) -> None:
        super().__init__(
            f"session {session_id!r}: turn ids {turn_ids} are taken by turns with another role or content; "
            "a retry must push the same Turn, a new turn needs a new id"
        )
        self.session_id = session_id
        self.turn_ids = turn_ids


class NotAutocommit(Exception):
    """The connection would hold the statement in a transaction: two more round trips, and Redis would be told of
    turns that a rollback then takes back."""

    def __init__(self, seen: str) -> None:
        super().__init__(
            f"{seen}: connect with autocommit=True, or give the pool kwargs={{'autocommit': True}}, "
            "and call outside of transaction()"
        )
