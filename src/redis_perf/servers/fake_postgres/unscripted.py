"""The answer to a statement nobody scripted: that it went well, for a database in which nothing is.

INSERT, UPDATE and DELETE did their work (as many rows as VALUES has, else one row), so that what an application does
next is what it does on a good day. A query finds no rows, so a RETURNING returns none: script it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from redis_perf.servers.fake_postgres.columns import constants, returned_columns
from redis_perf.servers.fake_postgres.lookups import lookup
from redis_perf.servers.fake_postgres.replies import Column, CopyIn, CopyOut, Reply, Rows, Tag
from redis_perf.servers.fake_postgres.types import TYPES
from redis_perf.shape import sql_verb
from redis_perf.shape.sql_words import normalised

_TEXT: Final = TYPES["text"]
_OBJECTS: Final = ("MATERIALIZED VIEW", "FOREIGN TABLE", "EVENT TRIGGER", "ACCESS METHOD", "DEFAULT PRIVILEGES")
_BEFORE_OBJECT: Final = frozenset(
    {"OR", "REPLACE", "TEMP", "TEMPORARY", "UNLOGGED", "UNIQUE", "GLOBAL", "LOCAL", "RECURSIVE"}
)
_TAGS: Final = {
    "TRUNCATE": "TRUNCATE TABLE", "LOCK": "LOCK TABLE", "DECLARE": "DECLARE CURSOR", "CLOSE": "CLOSE CURSOR",
    "REFRESH": "REFRESH MATERIALIZED VIEW",
}  # fmt: skip


def unscripted(sql: str, parameters: Sequence[bytes | None] | None) -> Reply:
    """`parameters`: their values as they were sent; None while only the shape of the answer is asked for."""
    verb = sql_verb(sql)
    match verb:
        case "SELECT":
            return lookup(sql, parameters or ()) or constants(sql) or Rows(returned_columns(sql))
        case "VALUES" | "TABLE":
            return Rows((Column("column1", _TEXT),))
        case "INSERT" | "UPDATE" | "DELETE" | "MERGE":
            return _change(sql, verb)
        case "EXPLAIN":
            return Rows((Column("QUERY PLAN", _TEXT),), tag="EXPLAIN")
        case "COPY":
            return _copy(normalised(sql))
        case "CREATE" | "DROP" | "ALTER":
            return Tag(f"{verb} {_object([word.upper() for word in normalised(sql)])}")
    return Tag(_TAGS.get(verb, verb))


@lru_cache(maxsize=512)
def _change(sql: str, verb: str) -> Reply:
    oid = "0 " if verb == "INSERT" else ""
    if columns := returned_columns(sql):
        return Rows(columns, tag=f"{verb} {oid}0")
    return Tag(f"{verb} {oid}{_rows_of_values(normalised(sql)) if oid else 1}")


def _rows_of_values(words: Sequence[str]) -> int:
    """How many parenthesised rows follow VALUES; 1 where there is none."""
    if "VALUES" not in words:
        return 1
    rows = depth = 0
    for word in words[words.index("VALUES") + 1 :]:
        rows += word == "(" and not depth
        depth += (word == "(") - (word == ")")
        if not depth and word not in (")", ","):
            break
    return rows or 1


def _object(words: Sequence[str]) -> str:
    rest = [word for word in words[1:4] if word not in _BEFORE_OBJECT] or ["TABLE"]
    two = " ".join(words[1:3])
    return two if two in _OBJECTS else rest[0]


def _copy(words: Sequence[str]) -> Reply:
    upper = [word.upper() for word in words]
    binary = "BINARY" in upper
    columns = 1
    if words[2:3] == ["("] and ")" in words:
        columns += words[: words.index(")")].count(",")
    if "FROM" in upper and (words[1:2] != ["("]):
        return CopyIn(columns, binary)
    return CopyOut((BINARY_HEADER + b"\xff\xff",) if binary else (), columns, binary)


BINARY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
