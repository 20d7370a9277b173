"""A SQL statement's fingerprint: literals, comments and long lists out, one space between words.

The rule, in order:
1. Comments go. Strings, dollar-quoted strings, numbers (with their sign) and parameters (`$1`, `%s`, `%(name)s`)
   become `?`. The common keywords are upper-cased; names stay as they are written.
2. `IN` and `ARRAY` lists of nothing but values, all of `VALUES`, and `unnest`'s arguments become `(...)`; an alias
   after `unnest(...)` goes.
3. `INSERT INTO t (a, b)` becomes `INSERT INTO t ...`, `COPY` likewise, and the select list of an `INSERT ... SELECT`
   goes: `INSERT INTO messages ... SELECT FROM unnest(...)`. Other select lists of more than 40 characters become
   `...`.
4. Names of savepoints, prepared statements and cursors become `?`.
5. What is longer than 200 characters is cut at a word; only the first 8192 characters of a statement are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import dropwhile

from redis_perf.shape.sql_words import KEYWORDS, is_name, normalised, tokens

READ_CHARS = 8_192
SHAPE_CHARS = 200
SELECT_LIST_CHARS = 40


def sql_shape(sql: str) -> str:
    """The shape of one statement. Text that is no SQL gives some shape too, and never raises."""
    return _shape(sql[:READ_CHARS], len(sql) > READ_CHARS)


def sql_verb(sql: str) -> str:
    """What the statement does, upper-cased: of `WITH ... INSERT` that is `INSERT`. `""` if it is empty."""
    return _verb(sql[:READ_CHARS])


def split_statements(sql: str) -> list[str]:
    """The statements of one query string, without their semicolons; empty ones and bare comments are left out.

    A semicolon inside quotes, dollar quotes, comments or parentheses does not split.
    """
    if ";" not in sql:
        return [sql.strip()] if any(kind != "space" for _, _, kind in tokens(sql)) else []
    statements, start, depth, says_something = [], 0, 0, False
    for at, end, kind in tokens(sql):
        sign = sql[at:end] if kind == "sign" else ""
        depth = max(0, depth + (sign == "(") - (sign == ")"))
        if sign == ";" and not depth:
            if says_something:
                statements.append(sql[start:at].strip())
            start, says_something = end, False
        elif kind != "space":
            says_something = True
    return [*statements, sql[start:].strip()] if says_something else statements


@lru_cache(maxsize=1024)
def _shape(head: str, cut: bool) -> str:
    return _render(_without_names(_short_lists(_collapse(normalised(head), cut=cut))))


@lru_cache(maxsize=1024)
def _verb(head: str) -> str:
    depth, verb = 0, ""
    for word in normalised(head):
        depth += (word == "(") - (word == ")")
        if not verb and is_name(word):
            verb = word.upper()
        elif verb == "WITH" and depth <= 0 and word in _MAIN_VERBS:
            return word
    return verb


_MAIN_VERBS = frozenset(["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "TABLE"])


# --- lists


def _collapse(words: Sequence[str], *, cut: bool) -> list[str]:
    """Lists of values to `(...)`."""
    out: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        out.append(word)
        at += 1
        following = words[at] if at < len(words) else ""
        if word == "VALUES" and following == "(":
            out.append("(...)")
            at = _after_rows(words, at)
        elif word.lower() == "unnest" and following == "(":
            out.append("(...)")
            at = _after_alias(words, _closing(words, at) + 1)
        elif (word, following) in (("IN", "("), ("ARRAY", "[")) and _only_values(words, at, cut=cut):
            out.append("(...)" if word == "IN" else "[...]")
            at = _closing(words, at) + 1
        elif (out[-2:] == ["INSERT", "INTO"] or out == ["COPY"]) and words[at + 1 : at + 2] == ["("]:
            out += [following, "..."]
            at = _closing(words, at + 1) + 1
    return out


def _closing(words: Sequence[str], at: int) -> int:
    """Where the bracket at `at` closes; the last word if it never does."""
    depth = 0
    for position in range(at, len(words)):
        depth += (words[position] in ("(", "[")) - (words[position] in (")", "]"))
        if not depth:
            return position
    return len(words) - 1


def _after_rows(words: Sequence[str], at: int) -> int:
    at = _closing(words, at) + 1
    while list(words[at : at + 2]) in ([",", "("], [","]):  # the last: cut short
        at = _closing(words, min(at + 1, len(words) - 1)) + 1
    return at


def _after_alias(words: Sequence[str], at: int) -> int:
    if list(words[at : at + 2]) == ["WITH", "ORDINALITY"]:
        at += 2
    if words[at : at + 1] == ["AS"]:
        at += 1
    if at < len(words) and is_name(words[at]) and words[at] not in KEYWORDS:
        at += 1
        if words[at : at + 1] == ["("]:
            at = _closing(words, at) + 1
    return at


_IN_A_LIST = frozenset(["?", ",", "(", ")", "[", "]", "...", "::", "NULL", "TRUE", "FALSE", "DEFAULT"])


def _only_values(words: Sequence[str], at: int, *, cut: bool) -> bool:
    end = _closing(words, at)
    if words[end] not in (")", "]") and not cut:
        return False
    return all(words[position] in _IN_A_LIST or words[position - 1] == "::" for position in range(at, end + 1))


_AFTER_SELECT_LIST = frozenset(["FROM", "INTO", "WHERE", "UNION", "EXCEPT", "INTERSECT", "ON", "ORDER", ")", ";"])


def _short_lists(words: Sequence[str]) -> list[str]:
    """Long select lists to `...`; that of an INSERT goes."""
    out: list[str] = []
    at = 0
    while at < len(words):
        out.append(words[at])
        at += 1
        if out[-1] != "SELECT":
            continue
        end = _end_of_select_list(words, at)
        if out[0] == "INSERT" and words[end : end + 1] == ["FROM"]:
            at = end
        elif end < len(words) and len(_join(words[at:end])) > SELECT_LIST_CHARS:
            out.append("...")
            at = end
    return out


def _end_of_select_list(words: Sequence[str], at: int) -> int:
    depth = 0
    for position in range(at, len(words)):
        if not depth and words[position] in _AFTER_SELECT_LIST:
            return position
        depth += (words[position] in ("(", "[")) - (words[position] in (")", "]"))
    return len(words)


_NAMED_NEXT = frozenset(["DECLARE", "EXECUTE", "PREPARE"])
_NAMED_SOMEWHERE = frozenset(["CLOSE", "DEALLOCATE", "FETCH", "MOVE", "RELEASE", "ROLLBACK", "SAVEPOINT"])
_NOT_NAMES = KEYWORDS | {"WORK", "NEXT", "PRIOR", "FIRST", "LAST", "ABSOLUTE", "RELATIVE", "BACKWARD"}


def _without_names(words: list[str]) -> list[str]:
    """Names that a driver makes up anew each time, to `?`."""
    if not words:
        return words
    if words[0] in _NAMED_NEXT:
        words = [words[0], *dropwhile(("+", "-").__contains__, words[1:])]
    end = 2 if words[0] in _NAMED_NEXT else len(words) if words[0] in _NAMED_SOMEWHERE else 0
    head = [word for word in words[:end] if word not in "+-"]
    return ["?" if is_name(word) and word.upper() not in _NOT_NAMES else word for word in head] + words[end:]


# --- text

_SPACED = KEYWORDS - {"ANY", "ALL"}


def _render(words: Sequence[str]) -> str:
    text = _join(words)
    if len(text) <= SHAPE_CHARS:
        return text
    kept = list(words[:SHAPE_CHARS])
    while len(text := _join([*kept, "..."])) > SHAPE_CHARS:
        kept.pop()
    return text


def _join(words: Sequence[str]) -> str:
    text, previous = "", "("
    for word in words:
        tight = previous in ("(", "[") or word in (")", "]", ",", ";", "[", "[...]")
        cast = (previous == "::" and is_name(word)) or (word == "::" and (is_name(previous) or previous in "?)]"))
        call = word in ("(", "(...)") and is_name(previous) and previous not in _SPACED
        text += word if tight or cast or call or not text else " " + word
        previous = word
    return text
