"""Entry: a turn with its place in the user's history, and the JSON form in which Redis holds it.

Postgres gives each saved turn a `position` that grows. An entry also names the position before its own
(`previous`, None for the user's first turn), so whoever reads a list of entries sees whether one is missing: a list
that a crash, an expiry or an outage left with a hole is noticed by its reader, without asking Postgres.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from redis_perf_reference.turn import Turn, storable

_HEAD = re.compile(rb'\{"position":([1-9][0-9]{0,18}),')  # what the Lua scripts look for


@dataclass(frozen=True, slots=True)
class Entry:
    position: int
    previous: int | None
    session_id: str
    turn: Turn


def encode(entry: Entry) -> bytes:
    """The entry as JSON. The position comes first: the Lua scripts read it there, as text, without rounding."""
    turn = entry.turn
    fields = {
        "position": entry.position,
        "previous": entry.previous,
        "session_id": entry.session_id,
        "turn_id": turn.turn_id,
        "role": turn.role,
        "content": turn.content,
        "channel_id": turn.channel_id,
        "created_at": turn.created_at.isoformat(),
        "token_count": turn.token_count,
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def decode(raw: bytes) -> Entry | None:
    """The entry, or None if these bytes are none (another writer's, damaged, or not storable in Postgres)."""
    if not _HEAD.match(raw):
        return None
    try:
        fields = json.loads(raw)
        position, previous = _number(fields["position"]), fields["previous"]
        if previous is not None and _number(previous) >= position:
            return None
        return Entry(position, previous, _text(fields["session_id"]), _turn(fields))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _turn(fields: dict[str, object]) -> Turn:
    role, content, turn_id, channel_id, at = (
        _text(fields[name]) for name in ("role", "content", "turn_id", "channel_id", "created_at")
    )
    return Turn(role, content, turn_id, channel_id, datetime.fromisoformat(at), _number(fields["token_count"]))


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return storable("text", value)


def decoded(raws: Iterable[bytes]) -> list[Entry]:
    """Those that can be read. What cannot be read leaves a hole that `unbroken` sees."""
    return [entry for raw in raws if (entry := decode(raw)) is not None]


def unbroken(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries at the end of the list between which none is missing."""
    for index in range(len(entries) - 1, 0, -1):
        previous = entries[index].previous
        if previous is not None and previous > entries[index - 1].position:
            return entries[index:]
    return entries
