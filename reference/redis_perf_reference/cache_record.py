"""What Redis handed out: Found, a record, and Looked, several records and who may load those that are missing."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import unquote

from redis_perf_reference.codec import Codec


class Found(NamedTuple):
    """`plain` is the value without header and compression, `ttl` the seconds it had left when Redis answered."""

    value: Any
    plain: bytes
    ttl: float
    tags: tuple[str, ...]


class Looked(NamedTuple):
    """A key that is in neither could not be read, or Redis did not answer."""

    found: dict[str, Found]
    holders: dict[str, bytes]
    """Tokens of who may load what is missing."""


def found_in(record: bytes, left_ms: int, codec: Codec) -> Found:
    """Raises Undecodable."""
    ends = record.index(b"\n")
    plain, value = codec.read(record, ends + 1)
    head = record[:ends]
    return Found(value, plain, left_ms / 1000, _tags(head) if b"#" in head else ())


def value_in(record: bytes, left_ms: int, codec: Codec) -> Any:
    """The value alone. Raises Undecodable."""
    return codec.read(record, record.index(b"\n") + 1)[1]


def _tags(head: bytes) -> tuple[str, ...]:
    return tuple(unquote(group[1:].decode()) for group in head.split(b" ")[::2] if group.startswith(b"#"))
