"""Between turns and Postgres: turns as columns for `unnest`, rows as entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redis_perf_reference.entry import Entry
from redis_perf_reference.outcomes import TurnConflict
from redis_perf_reference.turn import Turn


def columns(turns: Sequence[Turn]) -> dict[str, list[Any]]:
    """One array per column, all of one length as they come from one list: `unnest` pads a short one with NULL."""
    return {
        "turn_ids": [turn.turn_id for turn in turns],
        "roles": [turn.role for turn in turns],
        "contents": [turn.content for turn in turns],
        "channel_ids": [turn.channel_id for turn in turns],
        "created_ats": [turn.created_at for turn in turns],
        "token_counts": [turn.token_count for turn in turns],
    }


def distinct(session_id: str, turns: Iterable[Turn]) -> dict[str, Turn]:
    """The turns by id. The same turn twice is one; raises TurnConflict for one id on two different turns."""
    by_id: dict[str, Turn] = {}
    for turn in turns:
        if by_id.setdefault(turn.turn_id, turn) != turn:
            raise TurnConflict(session_id, [turn.turn_id])
    return by_id


def placed(session_id: str, by_id: Mapping[str, Turn], rows: Iterable[Sequence[Any]]) -> list[Entry]:
    """Entries for saved turns, from rows (turn_id, position, previous) in order of position.

    The statement saw what was there before it; within the push each turn follows the one before.
    """
    result: list[Entry] = []
    for turn_id, position, before in rows:
        previous = max(before or 0, result[-1].position if result else 0) or None
        result.append(Entry(position, previous, session_id, by_id[turn_id]))
    return result


def entries(rows: Iterable[Sequence[Any]]) -> list[Entry]:
    """Entries from rows (position, previous, session_id, then the turn's fields in order)."""
    return [Entry(position, previous, session_id, Turn(*turn)) for position, previous, session_id, *turn in rows]
