"""What is kept of a Redis command and of a reply, and the type bytes by which RESP tells values apart."""

from __future__ import annotations

from typing import Final, NamedTuple

KEPT_ARGUMENTS: Final = 64
KEPT_BYTES: Final = 256
MAX_HEADER_BYTES: Final = 32

STRINGS: Final = frozenset(b"$=!")
LINES: Final = frozenset(b"+-:_#,(")
ERRORS: Final = frozenset(b"-!")
ONLY_RESP3: Final = frozenset(b">%~_,#(=!")
NULL: Final = b"_"[0]
END: Final = b"\r\n"
NO_STRING: Final = b"$-1\r\n"
"""How RESP2 says null."""


class Command(NamedTuple):
    """One whole command from the client."""

    argv: list[bytes]
    """Its first arguments, long ones cut; the command's own name is the first. Empty: an empty line, no command."""
    arguments: int
    """How many it has in all."""
    size_bytes: int
    """How many bytes of this chunk it took."""


class Reply(NamedTuple):
    """One whole value from the server and how many bytes of this chunk it took."""

    kind: int
    """Its type byte, `ord("+")` say."""
    null: bool
    first: bytes
    """The beginning of a string or line; of an aggregate's first element, if that is one."""
    second: bytes
    errors: tuple[int, ...]
    """Which elements of an aggregate are error replies."""
    size_bytes: int

    @property
    def failed(self) -> bool:
        return self.kind in ERRORS
