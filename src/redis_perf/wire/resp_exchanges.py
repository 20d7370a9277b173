"""Commands that were answered one by one, read at once: most of what clients do.

The same results as `resp` has event by event, several times as fast. What is not one whole command without a meaning
of its own for the connection (`MULTI`, `SUBSCRIBE`), answered by one whole line or string, is left in the log for
that.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import Final

from redis_perf.conversation import Conversation, Exchanged
from redis_perf.trace import Operation, Purpose
from redis_perf.wire import RECEIVED, SENT, Event, redis_commands
from redis_perf.wire.redis_meaning import meaning
from redis_perf.wire.resp_plain import plain_commands
from redis_perf.wire.resp_values import LINES, MAX_HEADER_BYTES, NO_STRING, ONLY_RESP3

_REMEMBERED: Final = 1024
_REMEMBERED_BYTES: Final = 256
_STRING, _ERROR = b"$"[0], b"-"[0]
_CHANGES_CONNECTION: Final = frozenset({"MONITOR", "RESET", "CLIENT REPLY", "QUIT"}) | {
    verb.decode() for verb in redis_commands.SUBSCRIBE | redis_commands.UNSUBSCRIBE
}


def exchanges(
    events: deque[Event], conversation: Conversation, known: dict[bytes, Exchanged], *, resp3: bool, worked: bool
) -> tuple[int, int, bool]:
    """Take them from the front of the log. How many bytes went and came, and whether anything was asked now or, as
    `worked` says, before that is not setup. `known` are this connection's, so far."""
    sent_bytes = received_bytes = 0
    exchanged, take = conversation.exchanged, events.popleft
    while len(events) > 1:
        sent_ns, direction, data, caller = events[0]
        received_ns, looked, reply, _ = events[1]
        if direction != SENT or looked != RECEIVED:
            break
        asked = known.get(data) or _alone(data, known)
        failed = _failed(reply, resp3=resp3)
        if asked is None or failed is None:
            break
        worked = worked or not asked.sets_up
        purpose: Purpose = "work" if worked else "setup"
        exchanged(asked, purpose, caller, sent_ns, received_ns, len(data), len(reply), failed)
        sent_bytes += len(data)
        received_bytes += len(reply)
        take()
        take()
    return sent_bytes, received_bytes, worked


def _alone(data: bytes, known: dict[bytes, Exchanged]) -> Exchanged | None:
    """The one command this is, if to any connection it means the same, its purpose apart. One that may carry a password
    is not remembered."""
    commands = plain_commands(data) if len(data) <= _REMEMBERED_BYTES else None
    if commands is None or len(commands) != 1 or redis_commands.may_have_secrets(commands[0].argv):
        return None
    _, name, shape, blocks, arguments, key = meaning(commands[0])
    at_first, later = (redis_commands.purpose(name, first=False, worked=worked) for worked in (False, True))
    if name in _CHANGES_CONNECTION or later != "work":
        return None
    if len(known) >= _REMEMBERED:
        known.clear()
    found = known[data] = Exchanged(*_outcomes(name, shape), at_first == "setup", blocks, arguments, key)
    return found


@lru_cache(maxsize=1024)  # the same objects again are quickly known to be the same
def _outcomes(name: str, shape: str) -> tuple[tuple[Operation, ...], tuple[Operation, ...]]:
    return (Operation(name, shape),), (Operation(name, shape, failed=True),)


def _failed(reply: bytes, *, resp3: bool) -> bool | None:
    """Whether it is an error; None if it is more or less than one whole line or string."""
    kind = reply[0] if reply else 0
    if kind == _STRING:
        if reply == NO_STRING:
            return False
        end = reply.find(b"\r\n", 1, MAX_HEADER_BYTES)
        digits = reply[1:end]
        return False if end > 0 and digits.isdigit() and len(reply) == end + 4 + int(digits) else None
    if kind not in LINES or reply.find(b"\n") != len(reply) - 1 or (kind in ONLY_RESP3 and not resp3):
        return None
    return kind == _ERROR
