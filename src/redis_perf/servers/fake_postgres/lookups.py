"""What client libraries ask a server of their own accord, when they connect or meet a type: answered by rote."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from redis_perf.servers.fake_postgres.replies import Reply, result_set
from redis_perf.servers.fake_postgres.types import TYPES

VERSION: Final = "16.0"
BANNER: Final = f"PostgreSQL {VERSION} (redisperf stand-in: no SQL here)"

_ONE_VALUE: Final = {
    "version": BANNER, "current_schema": "public", "current_database": "postgres", "current_catalog": "postgres",
    "current_user": "postgres", "session_user": "postgres", "user": "postgres",
}  # fmt: skip
_CALL: Final = re.compile(r"\s*select\s+(?:pg_catalog\.)?(\w+)\s*(?:\(\s*\))?\s*;?\s*", re.IGNORECASE)


def lookup(sql: str, parameters: Sequence[bytes | None]) -> Reply | None:
    """The answer, if this is one of those questions."""
    call = _CALL.fullmatch(sql)
    if call and call[1].lower() in _ONE_VALUE:
        return result_set([(_ONE_VALUE[call[1].lower()],)], [(call[1].lower(), "text")])
    for asks, answer in _LOOKUPS:
        if asks.search(sql):
            return answer(parameters)
    return None


def _jit(parameters: Sequence[bytes | None]) -> Reply:
    return result_set([("off", "off")], [("cur", "text"), ("new", "text")])


def _set_config(parameters: Sequence[bytes | None]) -> Reply:
    return result_set([("off",)], [("set_config", "text")])


def _type_by_name(parameters: Sequence[bytes | None]) -> Reply:
    """asyncpg's question about one type, by name and schema."""
    name = parameters[0].decode(errors="replace") if parameters and parameters[0] is not None else ""
    known = [(TYPES[name].oid, 0, "b")] if name in TYPES else []
    return result_set(known, [("oid", "oid"), ("elemtype", "oid"), ("kind", "char")])


def _types(parameters: Sequence[bytes | None]) -> Reply:
    """asyncpg's question about types it does not know: here there are none of those."""
    names = (
        "oid ns name kind basetype elemtype elemdelim range_subtype attrtypoids attrnames depth "
        "basetype_name elemtype_name range_subtype_name"
    )
    return result_set([], [(name, "text") for name in names.split()])


_LOOKUPS: Final[tuple[tuple[re.Pattern[str], Callable[[Sequence[bytes | None]], Reply]], ...]] = (
    (re.compile(r"current_setting\('jit'\) AS cur,\s+set_config\('jit'"), _jit),
    (re.compile(r"SELECT\s+set_config\('jit', \$1, false\)"), _set_config),
    (re.compile(r"t\.typelem\s+AS elemtype,\s+t\.typtype\s+AS kind\s+FROM\s+pg_catalog\.pg_type"), _type_by_name),
    (re.compile(r"WITH RECURSIVE typeinfo_tree"), _types),
)
