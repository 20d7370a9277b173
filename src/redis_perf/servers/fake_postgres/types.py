"""Postgres types and how a Python value is written in each, as text and as binary.

`TYPES` is all there is: a value of any other type is refused where the script is written, not when it is asked for.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

_DAY: Final = date(2000, 1, 1)
_MIDNIGHT: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Type(NamedTuple):
    """`size_bytes` is -1 where it varies, as in a row description."""

    name: str
    oid: int
    size_bytes: int
    accepts: tuple[type, ...]
    text: Callable[..., str]
    binary: Callable[..., bytes]


def encoded(value: object, of: Type, *, binary: bool) -> bytes | None:
    """The value on the wire; None is null. Raises TypeError or ValueError for what this type cannot hold."""
    if value is None:
        return None
    if not isinstance(value, of.accepts) or (isinstance(value, bool) and bool not in of.accepts):
        raise TypeError(f"{value!r} is no {of.name}")
    try:
        return of.binary(value) if binary else of.text(value).encode()
    except (struct.error, UnicodeError, OverflowError) as error:
        raise ValueError(f"{value!r} does not fit into {of.name} ({error})") from error


def type_of(values: list[object]) -> Type:
    """The type of a column of these values: text if all are null. Raises TypeError for what there is no type for."""
    seen = [value for value in values if value is not None]
    if seen and all(type(value) is int for value in seen):
        return _whole_number_type(seen)
    for value in seen:
        name = next((name for known, name in _BY_VALUE if isinstance(value, known)), None)
        if name is None or (isinstance(value, datetime) and value.tzinfo is None):
            name = "timestamp" if isinstance(value, datetime) else None
        if name is None:
            raise TypeError(f"there is no type here for {value!r}; there are {', '.join(TYPES)}")
        return TYPES[name]
    return TYPES["text"]


def _whole_number_type(values: list[object]) -> Type:
    bits = max(value.bit_length() for value in values if isinstance(value, int))
    return TYPES["int4" if bits < 32 else "int8" if bits < 64 else "numeric"]


def _packed(layout: str) -> Callable[[object], bytes]:
    return struct.Struct(layout).pack


def _utf8(value: str) -> bytes:
    if "\0" in value:
        raise ValueError(f"{value!r} holds a null character, which no Postgres text does")
    return value.encode()


def _plain(value: str) -> str:
    return _utf8(value).decode()


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _microseconds(value: datetime) -> bytes:
    since = value.replace(tzinfo=value.tzinfo or UTC) - _MIDNIGHT
    return struct.pack("!q", (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def _time_of_day(value: time) -> bytes:
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return struct.pack("!q", seconds * 1_000_000 + value.microsecond)


def _numeric(value: Decimal | int) -> bytes:
    """Digits in base 10,000, the decimal point on a boundary between two of them."""
    number = Decimal(value)
    if number.is_nan():
        return struct.pack("!hhHh", 0, 0, 0xC000, 0)
    if number.is_infinite():
        return struct.pack("!hhHh", 0, 0, 0xD000 if number > 0 else 0xF000, 0)
    whole, _, fraction = f"{abs(number):f}".partition(".")
    whole, scale = whole.lstrip("0"), len(fraction)
    digits = whole.zfill(-(-len(whole) // 4) * 4) + fraction.ljust(-(-scale // 4) * 4, "0")
    groups = [int(digits[at : at + 4]) for at in range(0, len(digits), 4)]
    sign = 0x4000 if number < 0 else 0
    return struct.pack(f"!hhHh{len(groups)}h", len(groups), -(-len(whole) // 4) - 1, sign, scale, *groups)


def _types() -> dict[str, Type]:
    text = (str, _plain, _utf8)
    rows: tuple[tuple[str, int, int, object, Callable[..., str], Callable[..., bytes]], ...] = (
        ("bool", 16, 1, bool, lambda value: "t" if value else "f", _packed("!?")),
        ("bytea", 17, -1, (bytes, bytearray), lambda value: "\\x" + value.hex(), bytes),
        ("char", 18, 1, *text),
        ("name", 19, 64, *text),
        ("int8", 20, 8, int, str, _packed("!q")),
        ("int2", 21, 2, int, str, _packed("!h")),
        ("int4", 23, 4, int, str, _packed("!i")),
        ("text", 25, -1, *text),
        ("oid", 26, 4, int, str, _packed("!I")),
        ("json", 114, -1, object, _json, lambda value: _json(value).encode()),
        ("float4", 700, 4, (float, int), lambda value: repr(float(value)), _packed("!f")),
        ("float8", 701, 8, (float, int), lambda value: repr(float(value)), _packed("!d")),
        ("varchar", 1043, -1, *text),
        ("date", 1082, 4, date, str, lambda value: struct.pack("!i", (value - _DAY).days)),
        ("time", 1083, 8, time, str, _time_of_day),
        ("timestamp", 1114, 8, datetime, str, _microseconds),
        ("timestamptz", 1184, 8, datetime, lambda value: str(value.astimezone(UTC)), _microseconds),
        ("numeric", 1700, -1, (Decimal, int), lambda value: f"{Decimal(value):f}", _numeric),
        ("uuid", 2950, 16, UUID, str, lambda value: value.bytes),
        ("jsonb", 3802, -1, object, _json, lambda value: b"\x01" + _json(value).encode()),
    )
    return {
        name: Type(name, oid, size, accepts if isinstance(accepts, tuple) else (accepts,), as_text, as_binary)
        for name, oid, size, accepts, as_text, as_binary in rows
    }


TYPES: Final = _types()
ALIASES: Final = {
    "boolean": "bool", "smallint": "int2", "int": "int4", "integer": "int4", "bigint": "int8", "real": "float4",
    "float": "float8", "double precision": "float8", "double": "float8", "decimal": "numeric", "string": "text",
    "character varying": "varchar", "timestamp with time zone": "timestamptz",
}  # fmt: skip
_BY_VALUE: Final[tuple[tuple[type, str], ...]] = (
    (bool, "bool"), (int, "int8"), (float, "float8"), (str, "text"), (bytes, "bytea"), (bytearray, "bytea"),
    (Decimal, "numeric"), (datetime, "timestamptz"), (date, "date"), (time, "time"), (UUID, "uuid"), (dict, "jsonb"),
)  # fmt: skip


def type_named(name: str) -> Type:
    """The type of this name or alias. Raises ValueError, which lists those there are."""
    known = name.lower()
    found = TYPES.get(ALIASES.get(known, known))
    if found is None:
        raise ValueError(f"there is no type {name!r} here; there are {', '.join(TYPES)}")
    return found
