"""The Lua scripts and SQL statements of this package, read from their files once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    sha: str


_INCLUDE = re.compile(r"^ *-- include (\w+)$", re.MULTILINE)


@cache
def script(name: str) -> Script:
    """`lua/<name>.lua`, with what it includes, and the SHA-1 by which Redis knows it."""
    text = _INCLUDE.sub(lambda line: _lua(line[1]), _lua(name))
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def _lua(name: str) -> str:
    return (files(__package__) / "lua" / f"{name}.lua").read_text(encoding="utf-8")


@cache
def sql(name: str) -> bytes:
    """`sql/<name>.sql`, as bytes: psycopg takes text only from literals in the source."""
    return (files(__package__) / "sql" / f"{name}.sql").read_bytes()
