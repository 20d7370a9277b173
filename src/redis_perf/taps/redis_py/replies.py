"""What a fakeredis reply, which is a Python object, would have been on the wire: enough to tell its kind."""

from __future__ import annotations

from typing import Any

from redis_perf.wire.resp_values import KEPT_BYTES

_ACKNOWLEDGED = (b"subscribe", b"psubscribe", b"ssubscribe", b"unsubscribe", b"punsubscribe", b"sunsubscribe")
_PUSHED = (b"message", b"pmessage", b"smessage")


def stand_in(reply: Any, *, subscribed: bool) -> bytes:
    """`reply` as RESP, its kind and structure kept, long strings cut."""
    if _is_push(reply, subscribed):
        return b">%d\r\n" % len(reply) + b"".join(map(_encoded, reply))
    return _encoded(reply)


def _is_push(reply: Any, subscribed: bool) -> bool:
    if not isinstance(reply, (list, tuple)) or not reply:
        return False
    kind = reply[0]
    return (kind in _ACKNOWLEDGED and len(reply) == 3) or (subscribed and kind in _PUSHED)


def _encoded(value: Any) -> bytes:
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, bytes):
        kept = value[:KEPT_BYTES]
        return b"$%d\r\n%s\r\n" % (len(kept), kept)
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, (list, tuple, set)):
        return b"*%d\r\n" % len(value) + b"".join(map(_encoded, value))
    if isinstance(value, Exception):
        return b"-ERR\r\n"
    return b"+\r\n"
