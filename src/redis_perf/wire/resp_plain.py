"""The common cases of RESP, read at once: whole small commands, and a reply that is one whole line or string.

The same results as `resp_command_frames` and `resp_reply_frames` have byte by byte, several times as fast. Whatever
else begins is `None` here.
"""

from __future__ import annotations

from typing import Final

from redis_perf.wire.resp_values import (
    END,
    KEPT_ARGUMENTS,
    KEPT_BYTES,
    LINES,
    MAX_HEADER_BYTES,
    NO_STRING,
    NULL,
    STRINGS,
    Command,
    Reply,
)  # fmt: skip

PLAIN_BYTES: Final = 16 * 1024
"""What is longer is not split: most of it is likely one argument."""
_COUNTS: Final = {b"*%d" % count: count for count in range(1, KEPT_ARGUMENTS + 1)}
_LENGTHS: Final = tuple(b"$%d" % length for length in range(KEPT_BYTES + 1))


def plain_commands(data: bytes) -> list[Command] | None:
    """The whole commands this is, if no argument is to be cut and none has a line break in it.

    Then it can be split at line breaks, every announced length being held against what is there.
    """
    lines = data.split(END)
    commands = []
    start, last = 0, len(lines) - 1
    if lines[last]:
        return None
    while start < last:
        count = _COUNTS.get(lines[start])
        if count is None or start + 2 * count >= last:
            return None
        after = start + 1 + 2 * count
        argv, size_bytes = lines[start + 2 : after : 2], len(lines[start]) + 2 + 4 * count
        for announced, argument in zip(lines[start + 1 : after : 2], argv, strict=True):
            length = len(argument)
            if length > KEPT_BYTES or announced != _LENGTHS[length]:
                return None
            size_bytes += len(announced) + length
        commands.append(Command(argv, count, size_bytes))
        start = after
    return commands


def plain_reply(data: bytes, start: int) -> Reply | None:
    """The line or string that begins here, if it is whole."""
    kind = data[start]
    if data.startswith(NO_STRING, start):
        return Reply(kind, True, b"", b"", (), len(NO_STRING))
    if kind in STRINGS:
        end = data.find(b"\n", start, start + MAX_HEADER_BYTES)
        digits = data[start + 1 : end - 1]
        if end < 0 or not digits.isdigit():
            return None
        body, length = end + 1, int(digits)
        after = body + length + 2
        if after > len(data):
            return None
        first = data[body : body + min(length, KEPT_BYTES)]
    elif kind in LINES:
        end = data.find(b"\n", start)
        if end < 0:
            return None
        after, first = end + 1, data[start + 1 : min(end, start + 1 + KEPT_BYTES)]
    else:
        return None
    return Reply(kind, kind == NULL, first.rstrip(b"\r"), b"", (), after - start)
