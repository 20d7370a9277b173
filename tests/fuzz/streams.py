"""One connection's bytes, both ways and in order, as short text files.

The first line names the reader (`resp`, `postgres`, `libpq`) and, if the bytes begin in the middle of a connection,
`met`. A line beginning with `#` is a remark. Each further line is an event: `>` sent, `<` received, `a` arrived,
`l` looked, `x` closed, and the data with everything unprintable escaped.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeAlias

from redis_perf.wire import ARRIVED, CLOSED, LOOKED, RECEIVED, SENT

HERE = Path(__file__).parent
SEEDS, FOUND = HERE / "seeds", HERE / "found"
_SIGNS = {">": SENT, "<": RECEIVED, "a": ARRIVED, "l": LOOKED, "x": CLOSED}
_SIGN_OF = {direction: sign for sign, direction in _SIGNS.items()}

Event: TypeAlias = tuple[int, bytes]
"""`(direction, data)`."""
Events: TypeAlias = tuple[Event, ...]


class Stream(NamedTuple):
    """What a meter is fed."""

    reader: str
    startup: bool
    """The bytes are seen from the connection's first one on."""
    events: Events

    @property
    def size_bytes(self) -> int:
        return sum(len(data) for _, data in self.events)


def read(path: Path) -> Stream:
    head, *lines = path.read_text(encoding="ascii").splitlines()
    reader, *options = head.split()
    events = tuple((_SIGNS[line[0]], _unescaped(line[2:])) for line in lines if not line.startswith("#"))
    return Stream(reader, "met" not in options, events)


def write(path: Path, stream: Stream, remark: str) -> None:
    head = stream.reader if stream.startup else f"{stream.reader} met"
    lines = [f"{_SIGN_OF[direction]} {_escaped(data)}".rstrip(" ") for direction, data in stream.events]
    path.write_text("\n".join([head, *(f"# {line}" for line in remark.splitlines()), *lines, ""]), encoding="ascii")


def corpus(folder: Path) -> dict[str, Stream]:
    return {path.stem: read(path) for path in sorted(folder.glob("*.txt"))}


def _escaped(data: bytes) -> str:
    text = data.decode("latin-1").encode("unicode_escape").decode("ascii")
    return text[:-1] + "\\x20" if text.endswith(" ") else text


def _unescaped(text: str) -> bytes:
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")
