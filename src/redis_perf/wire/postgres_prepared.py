"""What a Postgres connection has prepared: statements by name, and portals that bind parameters to them."""

from __future__ import annotations

from typing import Final, NamedTuple

from redis_perf.wire.statements import NOT_SEEN, Statement, statement

MAX_REMEMBERED: Final = 4096
"""How many prepared statements, and how many portals, are remembered by name."""


class Asking(NamedTuple):
    """A statement, and a hash of what it is asked with: None where that was not seen whole."""

    statement: Statement
    arguments: int | None = None

    def bound(self, parameters: bytes | None) -> Asking:
        """With these parameters."""
        seen = parameters is not None and self.arguments is not None
        return self._replace(arguments=hash((self.arguments, parameters)) if seen else None)


_NOT_SEEN: Final = Asking(NOT_SEEN)


class Prepared:
    """Names as the client chose them, bounded: of too many the oldest is forgotten."""

    def __init__(self) -> None:
        self._statements: dict[bytes, Asking] = {}
        self._portals: dict[bytes, Asking] = {}

    def parse(self, name: bytes, sql: str, *, whole: bool, housekeeping: bool) -> None:
        """`whole`: all of its text was kept. `housekeeping`: its driver sends it on its own account."""
        asking = Asking(statement(sql, housekeeping=housekeeping), hash(sql) if whole else None)
        _remember(self._statements, name, asking)

    def bind(self, portal: bytes, name: bytes, parameters: bytes | None) -> None:
        """`parameters`: None where they were not kept whole."""
        _remember(self._portals, portal, self._statements.get(name, _NOT_SEEN).bound(parameters))

    def close(self, named: bytes) -> None:
        """`named`: `S` or `P` for statement or portal, and its name."""
        (self._statements if named[:1] == b"S" else self._portals).pop(named[1:], None)

    def portal(self, name: bytes) -> Asking:
        """What executing it asks."""
        return self._portals.get(name, _NOT_SEEN)


def _remember(names: dict[bytes, Asking], name: bytes, known: Asking) -> None:
    if len(names) >= MAX_REMEMBERED and name not in names:
        del names[next(iter(names))]
    names[name] = known
