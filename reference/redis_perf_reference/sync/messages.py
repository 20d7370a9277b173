# Generated from ../asyncio/messages.py by tools/sync_twins.py: change that file, then run the tool.
"""Messages: every turn that was ever said, in Postgres. This is the truth; Redis holds copies of its end.

Each method is one statement and one round trip, for any number of turns.
"""

from __future__ import annotations

from collections.abc import Sequence

from redis_perf_reference.entry import Entry
from redis_perf_reference.outcomes import TurnConflict
from redis_perf_reference.resources import sql
from redis_perf_reference.rows import columns, distinct, entries, placed
from redis_perf_reference.sync.postgres import Postgres, ask
from redis_perf_reference.turn import Turn
from redis_perf_reference.window import Window


class Messages:
    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    def save(self, user_id: str, session_id: str, turns: Sequence[Turn]) -> list[Entry]:
        """Saves turns, each once however often it is pushed, and returns them with their places.

        Raises TurnConflict if a turn id stands for something else already (the other turns are saved).
        """
        by_id = distinct(session_id, turns)
        rows = ask(self._postgres, sql("push"), user_id=user_id, session_id=session_id, **columns(list(by_id.values())))
        if len(rows) < len(by_id):
            raise TurnConflict(session_id, sorted(by_id.keys() - {row[0] for row in rows}))
        return placed(session_id, by_id, rows)

    def last(self, user_id: str, window: Window, cached_turns: int) -> list[Entry]:
        """At least the turns in the window and the user's last `cached_turns`, in order."""
        rows = ask(
            self._postgres,
            sql("history"),
            user_id=user_id,
            session_id=window.session_id,
            last_turns=window.last_turns,
            cached_turns=cached_turns,
        )
        return entries(rows)

    def add_missing(self, user_id: str, cached: Sequence[Entry]) -> int:
        """Saves those of these turns that Postgres has not, and says how many that were."""
        rows = ask(
            self._postgres,
            sql("flush"),
            user_id=user_id,
            session_ids=[entry.session_id for entry in cached],
            **columns([entry.turn for entry in cached]),
        )
        return int(rows[0][0])

    def summary(self, user_id: str) -> tuple[str, int] | None:
        """The user's summary and its version, which grows with each change."""
        rows = ask(self._postgres, sql("summary"), user_id=user_id)
        return (rows[0][0], rows[0][1]) if rows else None

    def set_summary(self, user_id: str, summary: str) -> int:
        """Saves the summary and returns its version."""
        rows = ask(self._postgres, sql("set_summary"), user_id=user_id, summary=summary)
        return int(rows[0][0])

    def delete_user(self, user_id: str) -> int:
        """Deletes all turns and the summary of a user, and says how many turns that were."""
        rows = ask(self._postgres, sql("delete_user"), user_id=user_id)
        return int(rows[0][0])
