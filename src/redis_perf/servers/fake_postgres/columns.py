"""What little is read out of a statement's text: the columns it would return, its constants, its parameters.

No SQL is understood here. A column is called as its alias or last name says, and is text, for there is no table to
look into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Final

from redis_perf.servers.fake_postgres.replies import Column, Rows
from redis_perf.servers.fake_postgres.types import ALIASES, TYPES, type_of
from redis_perf.shape.sql_words import is_name, normalised, tokens

_UNNAMED: Final = "?column?"
_ENDS: Final = frozenset(
    {"FROM", "WHERE", "INTO", "UNION", "EXCEPT", "INTERSECT", "ORDER", "GROUP", "LIMIT", "OFFSET", "FOR", "FETCH", ";"}
)
_PARAMETER: Final = re.compile(
    r"\$(\d+)(?:\s*::\s*(\w+(?: precision| varying| with time zone)?)(\[\])?)?", re.IGNORECASE
)
_CAST: Final = re.compile(r"CAST\s*\(\s*\$(\d+)\s+AS\s+(\w+)\s*\)", re.IGNORECASE)
_LIMIT: Final = re.compile(r"\b(?:LIMIT|OFFSET)\s+\$(\d+)", re.IGNORECASE)
_MAX_PARAMETERS: Final = 65_535
_CONSTANT: Final = re.compile(r"[+-]?\d+|'(?:[^']|'')*'|NULL|TRUE|FALSE", re.IGNORECASE)


@lru_cache(maxsize=512)
def returned_columns(sql: str) -> tuple[Column, ...]:
    """Of the select list or RETURNING list, whichever the whole statement has. None if it has neither."""
    words = normalised(sql)
    at = _list_begins(words)
    if at is None:
        return ()
    items = _items(words[at:])
    return tuple(Column(_name_of(item), TYPES["text"]) for item in items) or (Column(_UNNAMED, TYPES["text"]),)


def _list_begins(words: Sequence[str]) -> int | None:
    selects, returning, depth = None, None, 0
    for at, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if depth:
            continue
        if word == "SELECT" and selects is None:
            selects = at + 1
        elif word == "RETURNING":
            returning = at + 1
    if returning is not None:
        return returning
    return None if "INSERT" in words[:1] else selects


def _items(words: Sequence[str]) -> list[list[str]]:
    items: list[list[str]] = [[]]
    depth = 0
    for word in words:
        depth += (word in ("(", "[")) - (word in (")", "]"))
        if depth < 0 or (not depth and word in _ENDS):
            break
        if word == "," and not depth:
            items.append([])
        else:
            items[-1].append(word)
    return [item for item in items if item]


def _name_of(item: Sequence[str]) -> str:
    uncast = list(takewhile("::".__ne__, item)) if item[-2:-1] == ["::"] else list(item)
    last = uncast[-1]
    if last == ")" and "AS" not in uncast and is_name(uncast[0]) and uncast[1:2] == ["("]:
        last = uncast[0]  # a function's result is called after it
    if not is_name(last) and last != "*":
        return _UNNAMED
    name = last.rpartition(".")[2] if '"' not in last else last.rstrip('"').rpartition('"')[2]
    return name if '"' in last else name.lower()


@lru_cache(maxsize=512)
def constants(sql: str) -> Rows | None:
    """The one row of a SELECT of nothing but numbers, strings, NULL, TRUE and FALSE."""
    items = list(_constant_items(sql))
    values = [_value(item[0]) for item in items if item and _CONSTANT.fullmatch(item[0])]
    if not items or len(values) != len(items) or not all(_only_an_alias(item[1:]) for item in items):
        return None
    names = [item[-1].strip('"') if len(item) > 1 else _UNNAMED for item in items]
    columns = tuple(Column(name, type_of([value])) for name, value in zip(names, values, strict=True))
    return Rows(columns, (tuple(values),))


def _constant_items(sql: str) -> Iterator[list[str]]:
    words = [sql[at:end] for at, end, kind in tokens(sql) if kind != "space"]
    if not words or words[0].upper() != "SELECT":
        return
    item: list[str] = []
    for word in words[1:]:
        if word in (",", ";"):
            yield item
            item = []
        elif item in (["-"], ["+"]):
            item = [item[0] + word]
        else:
            item.append(word)
    if item:
        yield item


def _only_an_alias(words: Sequence[str]) -> bool:
    return not words or (len(words) <= 2 and is_name(words[-1]) and (len(words) == 1 or words[0].upper() == "AS"))


def _value(word: str) -> object:
    if word.startswith("'"):
        return word[1:-1].replace("''", "'")
    return {"NULL": None, "TRUE": True, "FALSE": False}[word.upper()] if word.isalpha() else int(word)


@lru_cache(maxsize=512)
def parameter_oids(sql: str) -> tuple[int, ...]:
    """The type of each `$n`: as a cast on it says, whole for a LIMIT, text otherwise."""
    found: dict[int, int] = {}
    for at, end, kind in tokens(sql):
        if kind == "value" and sql[at] == "$" and sql[at + 1 : end].isdigit():
            cast = _PARAMETER.match(sql, at)
            name, array = (cast[2] or "", cast[3]) if cast else ("", None)
            number = int(sql[at + 1 : end])
            if 0 < number <= _MAX_PARAMETERS:
                oid = _array_oid(name) if array else _oid(name)
                found[number] = oid or found.get(number, 0)
    for pattern, name in ((_CAST, ""), (_LIMIT, "bigint")):
        for match in pattern.finditer(sql):
            if int(match[1]) in found:
                found[int(match[1])] = found[int(match[1])] or _oid(name or match[2])
    return tuple(found.get(number, 0) or TYPES["text"].oid for number in range(1, max(found, default=0) + 1))


def _oid(name: str) -> int:
    known = name.lower()
    type_ = TYPES.get(ALIASES.get(known, known))
    return type_.oid if type_ else 0


_ARRAYS: Final = {
    "bool": 1000, "bytea": 1001, "int8": 1016, "int2": 1005, "int4": 1007, "text": 1009, "float4": 1021,
    "float8": 1022, "varchar": 1015, "date": 1182, "timestamp": 1115, "timestamptz": 1185, "numeric": 1231,
    "uuid": 2951, "json": 199, "jsonb": 3807,
}  # fmt: skip


def _array_oid(name: str) -> int:
    known = name.lower()
    return _ARRAYS.get(ALIASES.get(known, known), 0)
