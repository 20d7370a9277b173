"""Turn: one thing said in a conversation. A value that Postgres can store, or it cannot be made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

MOST_TOKENS = 2**31 - 1


def storable(name: str, text: str) -> str:
    """`text`, if Postgres can hold it. Raises ValueError for NUL characters and lone surrogates."""
    if "\x00" in text:
        raise ValueError(f"{name} holds a NUL character at {text.index(chr(0))}: Postgres text cannot; remove it first")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} holds a lone surrogate at {error.start}: it has no UTF-8 form") from error
    return text


def _new_id() -> str:
    return str(uuid4())


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn.

    `turn_id` says which turn it is, within its session: pushing the same turn again changes nothing, so keep the
    value and push it again when a push failed. Any text will do (a UUID, a message id, a number written out).
    `created_at` must know its time zone and is kept in UTC, to the microsecond.
    Raises ValueError for what Postgres could not store as it is.
    """

    role: str
    content: str
    turn_id: str = field(default_factory=_new_id)
    channel_id: str = ""
    created_at: datetime = field(default_factory=_now)
    token_count: int = 0

    def __post_init__(self) -> None:
        for name in ("role", "content", "turn_id", "channel_id"):
            storable(name, getattr(self, name))
        if not self.turn_id:
            raise ValueError("turn_id is empty: it must tell this turn from the others of its session")
        if self.created_at.tzinfo is None:
            raise ValueError(f"created_at {self.created_at!r} has no time zone: use datetime.now(UTC)")
        if not 0 <= self.token_count <= MOST_TOKENS:
            raise ValueError(f"token_count {self.token_count} is not in 0..{MOST_TOKENS}")
        object.__setattr__(self, "created_at", self.created_at.astimezone(UTC))
