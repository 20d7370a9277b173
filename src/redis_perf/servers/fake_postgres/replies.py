"""What a statement can be answered with, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from redis_perf.servers.fake_postgres.types import Type, encoded, type_named, type_of


class Column(NamedTuple):
    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Rows:
    """A result set. `tag` says what was done, `SELECT n` if it is None."""

    columns: tuple[Column, ...]
    rows: tuple[Sequence[object], ...] = ()
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Tag:
    """Done, without a result set: `INSERT 0 3`."""

    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error, by its SQLSTATE. `fatal`: the session ends with it."""

    sqlstate: str
    message: str
    fatal: bool = False

    @property
    def of_the_text(self) -> bool:
        """Found when the statement is parsed, not when it is executed: syntax, unknown tables, missing rights."""
        return self.sqlstate.startswith("42")


@dataclass(frozen=True, slots=True)
class CopyIn:
    """Takes whatever the client sends, and counts its rows."""

    columns: int
    binary: bool


@dataclass(frozen=True, slots=True)
class CopyOut:
    """Sends these pieces, a row each."""

    pieces: tuple[bytes, ...]
    columns: int = 1
    binary: bool = False


Reply: TypeAlias = "Rows | Tag | Refusal | CopyIn | CopyOut"


ColumnLike: TypeAlias = "str | tuple[str, str]"


def result_set(
    rows: Iterable[Sequence[object] | Mapping[str, object]],
    columns: Sequence[ColumnLike] | None = None,
    tag: str | None = None,
) -> Rows:
    """Rows, checked: every value can be written both ways.

    A column is a name, or a name and a type; without a type it is of the type its values have. Raises ValueError or
    TypeError, which name the row and the column.
    """
    given = list(rows)
    named = list(columns) if columns is not None else _names(given)
    names = [column if isinstance(column, str) else column[0] for column in named]
    table = tuple(_row(number, row, names) for number, row in enumerate(given, 1))
    typed = tuple(_column(column, [row[at] for row in table]) for at, column in enumerate(named))
    for number, row in enumerate(table, 1):
        for value, column in zip(row, typed, strict=True):
            _check(number, value, column)
    return Rows(typed, table, tag)


def _names(rows: Sequence[Sequence[object] | Mapping[str, object]]) -> list[ColumnLike]:
    first = rows[0] if rows else ("",)
    if isinstance(first, Mapping):
        return list(first)
    return [f"column{number}" for number in range(1, len(first) + 1)]


def _row(number: int, row: Sequence[object] | Mapping[str, object], names: Sequence[str]) -> tuple[object, ...]:
    if isinstance(row, str | bytes):
        raise TypeError(f"row {number} is {row!r}; a row is a tuple, a list or a mapping, so ({row!r},)")
    if isinstance(row, Mapping):
        missing = [name for name in names if name not in row]
        if missing or len(row) != len(names):
            raise ValueError(f"row {number} has the columns {list(row)}, not {list(names)}")
        return tuple(row[name] for name in names)
    if len(row) != len(names):
        raise ValueError(f"row {number} has {len(row)} values for {len(names)} columns: {row!r}")
    return tuple(row)


def _column(column: ColumnLike, values: list[object]) -> Column:
    try:
        if isinstance(column, str):
            return Column(column, type_of(values))
        return Column(column[0], type_named(column[1]))
    except (TypeError, ValueError) as error:
        raise type(error)(f"column {column!r}: {error}") from None


def _check(number: int, value: object, column: Column) -> None:
    try:
        encoded(value, column.type, binary=False)
        encoded(value, column.type, binary=True)
    except (TypeError, ValueError) as error:
        raise type(error)(f"column {column.name!r}, row {number}: {error}; give the column as (name, type)") from None
