"""What a SQL statement is to the one who waits for it: its name, its shape, its purpose."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from redis_perf.shape import split_statements, sql_shape, sql_verb
from redis_perf.trace import Purpose

_TRANSACTION = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"})
_TRANSACTION_STARTS = ("START TRANSACTION", "PREPARE TRANSACTION", "SET TRANSACTION")
_SETUP = frozenset({"DEALLOCATE ALL", "DISCARD ALL", "RESET ALL", "UNLISTEN *"})


class Statement(NamedTuple):
    """One statement as it will be shown."""

    name: str
    shape: str
    purpose: Purpose


NOT_SEEN: Final = Statement("EXECUTE", "prepared statement not seen", "work")
FUNCTION_CALL: Final = Statement("FUNCTION CALL", "function call", "work")


@lru_cache(maxsize=512)
def statement(sql: str, *, housekeeping: bool = False) -> Statement:
    """One statement's text. `housekeeping`: its driver sends it on its own account."""
    shape, verb = sql_shape(sql), sql_verb(sql)
    if housekeeping:
        return Statement(verb, shape, "setup")
    return Statement(verb, shape, _purpose(verb, " ".join(sql.upper().rstrip(" ;\n").split()[:2])))


def statements(sql: str, *, housekeeping: bool = False) -> list[Statement]:
    """What a query string executes, in order: none if it is empty."""
    if ";" not in sql.rstrip("; \n") and sql_verb(sql):
        return [statement(sql, housekeeping=housekeeping)]
    return [statement(text, housekeeping=housekeeping) for text in split_statements(sql)]


def _purpose(verb: str, beginning: str) -> Purpose:
    if verb in _TRANSACTION or beginning.startswith(_TRANSACTION_STARTS):
        return "transaction"
    return "setup" if beginning in _SETUP else "work"
