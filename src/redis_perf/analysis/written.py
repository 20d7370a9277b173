"""Whether more of the same changes anything: commands that leave the same behind however often they are sent.

In doubt something changed: a command that is not known here, an argument that was not seen, anything in SQL but a plain
SELECT, the same command on another connection (which may have selected another database). All traces must have been
recorded by one process: hashes of arguments compare within it.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Final

from redis_perf.analysis.repeated_read import only_reads
from redis_perf.trace import Operation, RoundTrip, Store, Trace

_REPEATABLE: Final = frozenset({
    "SET", "SETEX", "PSETEX", "SETNX", "MSET", "MSETNX", "SETRANGE", "SETBIT", "HSET", "HSETNX", "HMSET", "HDEL",
    "SADD", "SREM", "ZADD", "ZREM", "GEOADD", "PFADD", "JSON.SET", "JSON.MSET", "DEL", "UNLINK",
    "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT", "PERSIST",
})  # fmt: skip
_ASIDE: Final = frozenset({"PING", "ECHO", "TIME", "INFO", "MULTI", "EXEC", "WATCH", "UNWATCH"})
_CONTROL: Final = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"})
_CALL: Final = re.compile(r'([\w"]+) ?\(')
_CHANGE_NOTHING: Final = frozenset({
    "count", "sum", "min", "max", "avg", "coalesce", "lower", "upper", "length", "array_agg", "json_agg",
    "any", "all", "in", "exists", "and", "or", "not", "where", "on", "from", "select", "as",
})  # fmt: skip
"""What may stand before a parenthesis; any other function may write."""


class Written:
    """What was sent so far."""

    def __init__(self) -> None:
        self._sent: set[Hashable] = set()

    def add(self, trace: Trace) -> bool:
        """Whether what a trace charges may have changed something, after all that was added before."""
        changes = [trip for trip in trace.charged if self._may_change(trip)]
        self._sent.update(map(_sent, trace.charged))
        return bool(changes)

    def _may_change(self, trip: RoundTrip) -> bool:
        if all(_changes_nothing(trip.store, operation) for operation in trip.operations):
            return False
        known = trip.arguments is not None and _sent(trip) in self._sent
        return not (known and all(_is_repeatable(trip.store, operation) for operation in trip.operations))


def _sent(trip: RoundTrip) -> Hashable:
    return trip.server, trip.client, trip.connection, trip.answer, trip.operations, trip.arguments


def _changes_nothing(store: Store, operation: Operation) -> bool:
    if store == "redis":
        return operation.name in _ASIDE or only_reads(store, (operation,))
    return operation.name in _CONTROL or (_is_plain(operation.shape) and only_reads(store, (operation,)))


def _is_plain(shape: str) -> bool:
    """A SELECT of which all is seen, and that calls nothing unknown."""
    seen = shape.startswith("SELECT ") and " ..." not in shape and " INTO " not in shape
    return seen and {name.lower() for name in _CALL.findall(shape)} <= _CHANGE_NOTHING


def _is_repeatable(store: Store, operation: Operation) -> bool:
    written_again = store == "redis" and operation.name in _REPEATABLE and not operation.failed
    return written_again or _changes_nothing(store, operation)
