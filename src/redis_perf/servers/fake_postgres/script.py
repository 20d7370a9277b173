"""The script a stand-in answers from, and its memory of what it was asked."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Final, TypeAlias

from redis_perf.servers.fake_postgres.replies import ColumnLike, CopyOut, Refusal, Reply, Tag, result_set
from redis_perf.servers.fake_postgres.types import type_named
from redis_perf.shape import sql_shape

Pattern: TypeAlias = "str | re.Pattern[str] | Callable[[str], bool]"
REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """One statement that was executed, or refused. `values` is None unless `fake.keeps_values`."""

    sql: str
    parameters: int
    database: str
    values: tuple[bytes | None, ...] | None = None


@dataclass(slots=True, eq=False)
class Rule:
    """An answer and the statements it is for. `left`: how often it will be given; None: always."""

    matches: Callable[[str], bool]
    reply: Reply
    left: int | None
    parameters: tuple[int, ...] | None


class On:
    """Statements that are to be answered; say how, with one of its methods."""

    def __init__(
        self, add: Callable[[Rule], None], statement: Pattern, times: int | None, parameters: Sequence[str] | None
    ) -> None:
        if times is not None and times < 1:
            raise ValueError(f"times={times}: an answer is given once at least; leave times out for always")
        self._add = add
        self._matches = _matcher(statement)
        self._times = times
        self._parameters = None if parameters is None else tuple(type_named(name).oid for name in parameters)

    def rows(
        self,
        rows: Iterable[Sequence[object] | Mapping[str, object]],
        columns: Sequence[ColumnLike] | None = None,
        *,
        tag: str | None = None,
    ) -> None:
        """These rows. A column is a name, or a name and a type: `("id", "int8")`; without one, of its values' type.

        `tag` is for what returns rows and is no SELECT: `INSERT 0 2`. Raises TypeError or ValueError for a value that
        cannot be sent, naming its row and column.
        """
        self._answer(result_set(rows, columns, tag))

    def tag(self, text: str) -> None:
        """Done, and this is what was: `INSERT 0 3`."""
        self._answer(Tag(text))

    def error(self, sqlstate: str, message: str = "scripted error", *, fatal: bool = False) -> None:
        """Refused. Class 42 is refused when the statement is parsed, others when it is executed; `fatal` ends the
        session, as `57P01` does."""
        if not re.fullmatch("[0-9A-Z]{5}", sqlstate):
            raise ValueError(f"{sqlstate!r} is no SQLSTATE: those have five digits or capital letters, such as 40001")
        self._answer(Refusal(sqlstate, message, fatal))

    def copy(self, pieces: Iterable[bytes | str], *, columns: int = 1, binary: bool = False) -> None:
        """The data of a `COPY ... TO STDOUT`, a row a piece, line ends included."""
        data = tuple(piece.encode() if isinstance(piece, str) else piece for piece in pieces)
        self._answer(CopyOut(data, columns, binary))

    def _answer(self, reply: Reply) -> None:
        self._add(Rule(self._matches, reply, self._times, self._parameters))


class Script:
    """Shared by all sessions of a stand-in. The rule that was added last wins."""

    def __init__(self) -> None:
        self.keeps_values = False
        self._rules: list[Rule] = []
        self._asked: deque[Asked] = deque(maxlen=REMEMBERED)
        self._lock = RLock()  # a matcher may ask what was asked

    def on(self, statement: Pattern, times: int | None, parameters: Sequence[str] | None) -> On:
        return On(self._add, statement, times, parameters)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()
            self._asked.clear()

    @property
    def asked(self) -> list[Asked]:
        with self._lock:
            return list(self._asked)

    def take(self, sql: str) -> Reply | None:
        """The answer to this execution, which may be the last one its rule gives."""
        with self._lock:
            rule = next((rule for rule in self._rules if rule.matches(sql)), None)
            if rule is not None and rule.left is not None:
                rule.left -= 1
                if not rule.left:
                    self._rules.remove(rule)
            return rule.reply if rule else None

    def foresee(self, sql: str) -> Reply | None:
        """What it will look like; an error that is found only on execution looks like nothing."""
        found = self._find(sql, lambda rule: not isinstance(rule.reply, Refusal) or rule.reply.of_the_text)
        return found.reply if found else None

    def parameters(self, sql: str) -> tuple[int, ...] | None:
        """The types a rule gives to this statement's parameters."""
        found = self._find(sql, lambda rule: rule.parameters is not None)
        return found.parameters if found else None

    def remember(self, sql: str, values: Sequence[bytes | None], database: str) -> None:
        kept = tuple(values) if self.keeps_values else None
        with self._lock:
            self._asked.append(Asked(sql, len(values), database, kept))

    def _find(self, sql: str, wanted: Callable[[Rule], bool]) -> Rule | None:
        with self._lock:
            return next((rule for rule in self._rules if wanted(rule) and rule.matches(sql)), None)

    def _add(self, rule: Rule) -> None:
        with self._lock:
            self._rules.insert(0, rule)


def _matcher(statement: Pattern) -> Callable[[str], bool]:
    if isinstance(statement, re.Pattern):
        return lambda sql: statement.search(sql) is not None
    if isinstance(statement, str):
        shape = sql_shape(statement)
        return lambda sql: sql_shape(sql) == shape
    return statement
