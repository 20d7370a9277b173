"""Message: what one process tells the others about keys that changed. Lines of text; keys hold no line breaks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, cast, get_args

Kind = Literal["keys", "tags", "pattern", "all", "loaded"]


class Message(NamedTuple):
    """`origin` is who says so, that it need not listen to itself. `loaded` are keys that somebody waited for: nothing
    has changed."""

    origin: str
    kind: Kind
    names: tuple[str, ...] = ()


def encoded_message(origin: str, kind: Kind, names: Iterable[str] = ()) -> bytes:
    return "\n".join((origin, kind, *names)).encode()


def decoded_message(raw: bytes) -> Message | None:
    """None if these bytes are none of ours; then anything may have changed."""
    try:
        origin, kind, *names = raw.decode().split("\n")
    except ValueError:
        return None
    return Message(origin, cast("Kind", kind), tuple(names)) if kind in get_args(Kind) else None
