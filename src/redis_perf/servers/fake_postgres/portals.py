"""Prepared statements, portals and cursors: what a session knows by name, and how far each has been read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from redis_perf.servers.fake_postgres.replies import Column, Refusal, Reply, Rows, Tag
from redis_perf.shape.sql_words import tokens

_DECLARE: Final = re.compile(
    r'\s*DECLARE\s+("(?:[^"]|"")+"|\w+)\s+(?:\w+\s+)*?CURSOR\s+(WITH\s+HOLD\s+|WITHOUT\s+HOLD\s+)?FOR\s+(.*)',
    re.IGNORECASE | re.DOTALL,
)


@dataclass(slots=True, eq=False)
class Prepared:
    """A statement and its parameters' types. `described`: the columns its client was told of."""

    sql: str
    oids: tuple[int, ...] = ()
    described: tuple[Column, ...] | None = None


@dataclass(slots=True, eq=False)
class Portal:
    """A bound statement. `reply` is None until it is executed."""

    prepared: Prepared
    values: tuple[bytes | None, ...] = ()
    formats: tuple[int, ...] = ()
    reply: Reply | None = None
    at: int = 0
    holds: bool = False

    def read(self, most: int) -> tuple[Sequence[Sequence[object]], bool]:
        """The next rows (all that are left if `most` is 0), and whether there may be more."""
        assert isinstance(self.reply, Rows)
        end = self.at + most if most > 0 else len(self.reply.rows)
        rows = self.reply.rows[self.at : end]
        self.at += len(rows)
        return rows, 0 < most == len(rows)


@dataclass(slots=True, eq=False)
class Names:
    """Of one session. Portals and cursors end with their transaction, but for those WITH HOLD."""

    prepared: dict[str, Prepared] = field(default_factory=dict)
    portals: dict[str, Portal] = field(default_factory=dict)

    def transaction_ended(self) -> None:
        self.portals = {name: portal for name, portal in self.portals.items() if portal.holds}

    def deallocate(self, sql: str) -> Reply:
        words = plain_words(sql)
        name = identifier(words[-1])
        if words[-1].upper() == "ALL":
            self.prepared.clear()
            return Tag("DEALLOCATE ALL")
        if self.prepared.pop(name, None) is None:
            return missing_statement(name)
        return Tag("DEALLOCATE")

    def declared(self, sql: str) -> tuple[str, bool, str] | None:
        """Name, whether it holds, and query of a DECLARE CURSOR."""
        found = _DECLARE.match(sql)
        return (identifier(found[1]), (found[2] or "").upper().startswith("WITH "), found[3]) if found else None

    def cursor_of(self, sql: str) -> Portal | Refusal:
        """The cursor a FETCH, MOVE or CLOSE is about."""
        name = identifier(plain_words(sql)[-1])
        return self.portals.get(name) or missing_portal(name)

    def fetch(self, sql: str, verb: str) -> Reply:
        cursor = self.cursor_of(sql)
        if isinstance(cursor, Refusal):
            return cursor
        if not isinstance(cursor.reply, Rows):
            return Tag(f"{verb} 0")
        rows, _ = cursor.read(_how_many(plain_words(sql)[1:-1], len(cursor.reply.rows)))
        tag = f"{verb} {len(rows)}"
        return Rows(cursor.reply.columns, tuple(rows), tag) if verb == "FETCH" else Tag(tag)

    def close(self, sql: str) -> Reply:
        name = identifier(plain_words(sql)[-1])
        if name == "all":
            self.portals.clear()
            return Tag("CLOSE CURSOR ALL")
        return Tag("CLOSE CURSOR") if self.portals.pop(name, None) else missing_portal(name)


def missing_statement(name: str) -> Refusal:
    return Refusal("26000", f'prepared statement "{name}" does not exist')


def missing_portal(name: str) -> Refusal:
    return Refusal("34000", f'portal or cursor "{name}" does not exist')


def identifier(word: str) -> str:
    return word[1:-1].replace('""', '"') if word.startswith('"') else word.lower()


def plain_words(sql: str) -> list[str]:
    return [sql[at:end] for at, end, kind in tokens(sql) if kind != "space" and sql[at:end] != ";"]


def _how_many(words: Sequence[str], there_are: int) -> int:
    number = next((int(word) for word in words if word.isdigit()), None)
    if number is not None:
        return number
    return there_are + 1 if "ALL" in [word.upper() for word in words] else 1
