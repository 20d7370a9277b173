"""SQL text to normalised words: what a fingerprint is made of.

One compiled pattern of our own, because a parser costs more than it tells. A multi-row INSERT of 131 characters
takes 70 us here (CPython 3.11; seen before: 0.1 us) and nothing to import; sqlglot parses it in 490 us after an
import of 110 ms; pglast and pg_query are C extensions. And a parser refuses what is not quite SQL, where a
fingerprint must give something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_TOKEN = re.compile(
    r"""
    (?P<space>   [\s\x00-\x1f\x7f]++ | --[^\n]*+ | /\* )
  | (?P<value>   [eE]'(?:[^'\\]|\\.|'')*+(?:'|\\?\Z) | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*+(?:'|\Z)
               | \$(?P<tag>(?:[^\W\d]\w*+)?)\$(?:.*?\$(?P=tag)\$|.*)
               | \$\d++ | %[sbt]\b | %\(\w*+\)[sbt]\b | \.?\d(?:[eE][-+]\d|[\w.])*+ | "(?:[^"]|"")*+\Z | \? )
  | (?P<name>    [^\W\d][\w$]*+ | "(?:[^"]|"")*+" )
  | (?P<sign>    \.\.\. | :: | := | => | ->> | -> | \#>> | \#> | <= | >= | <> | != | \|\| | @> | <@ | && | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")

KEYWORDS = frozenset([
    "ALL", "ALTER", "ANALYZE", "AND", "ANY", "ARRAY", "AS", "ASC", "BEGIN", "BETWEEN", "BY", "CASE", "CHAIN", "CLOSE",
    "COMMIT", "CONFLICT", "COPY", "CREATE", "CROSS", "CURSOR", "DEALLOCATE", "DECLARE", "DEFAULT", "DELETE", "DESC",
    "DISTINCT", "DO", "DROP", "ELSE", "END", "EXCEPT", "EXECUTE", "EXISTS", "EXPLAIN", "FALSE", "FETCH", "FOR",
    "FORWARD", "FROM", "FULL", "GROUP", "HAVING", "IF", "ILIKE", "IN", "INDEX", "INNER", "INSERT", "INTERSECT", "INTO",
    "IS", "JOIN", "LATERAL", "LEFT", "LIKE", "LIMIT", "LISTEN", "LOCK", "MERGE", "MOVE", "NOT", "NOTHING", "NOTIFY",
    "NULL", "OFFSET", "ON", "OR", "ORDER", "ORDINALITY", "OUTER", "PREPARE", "PREPARED", "RELEASE", "RETURNING",
    "RIGHT", "ROLLBACK", "SAVEPOINT", "SELECT", "SET", "SHOW", "SKIP", "START", "TABLE", "THEN", "TO", "TRANSACTION",
    "TRUE", "TRUNCATE", "UNION", "UNLISTEN", "UPDATE", "USING", "VACUUM", "VALUES", "WHEN", "WHERE", "WITH",
])  # fmt: skip


def tokens(sql: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and kind (space, value, name, sign) of everything in the text, without gaps."""
    at = 0
    while match := _TOKEN.match(sql, at):
        end, kind = match.end(), match.lastgroup or "value"
        if match[0] == "/*":
            end = _comment_end(sql, end)
        yield at, end, kind
        at = end


def _comment_end(sql: str, at: int) -> int:
    """Comments nest, which a regular expression cannot say."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, at):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return len(sql)


def normalised(sql: str) -> list[str]:
    """Values are `?`, keywords upper case, `a . b` is `a.b`; comments, number signs and final semicolons are gone."""
    words: list[str] = []
    for at, end, kind in tokens(sql):
        if kind == "space":
            continue
        word = "?" if kind == "value" else sql[at:end]
        if kind == "name" and word[0] == '"':
            word = re.sub(r"[\s\x00-\x1f\x7f]+", " ", word)
        if (kind == "name" or word == "*") and _qualifies(words):
            words[-2:] = [f"{words[-2]}.{word}"]
            continue
        while kind == "value" and _signs(words):
            words.pop()
        words.append(word.upper() if word.upper() in KEYWORDS else word)
    while words and words[-1] == ";":
        words.pop()
    return words


def is_name(word: str) -> bool:
    """Whether this is a name or keyword, not a value or sign."""
    return word[0] in '"_' or word[0].isalpha()


def _qualifies(words: Sequence[str]) -> bool:
    """Whether the words end in `name .`."""
    return words[-1:] == ["."] and len(words) > 1 and is_name(words[-2]) and words[-2] not in KEYWORDS


def _signs(words: Sequence[str]) -> bool:
    """Whether the last word is a number's sign, not a subtraction."""
    if not words or words[-1] not in ("-", "+"):
        return False
    before = words[-2] if len(words) > 1 else "("
    return before in KEYWORDS or not (is_name(before) or before in ("?", ")", "]"))
