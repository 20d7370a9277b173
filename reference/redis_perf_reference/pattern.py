"""Pattern: which keys are meant. `*` is any run of characters, `?` one byte, a backslash takes the next as it is.

Put what users gave you through `escape` first: `Pattern("persona:" + escape(name) + ":*")`.
"""

from __future__ import annotations

import re

from redis_perf_reference.cache_input import checked_key

_SPECIAL = re.compile(r"([*?\[\]\\])")
_PIECE = re.compile(r"\\(.)|([*?])|(\[)|([^\\])", re.DOTALL)


class PatternRefused(ValueError):
    """A pattern that means every key, or that cannot be done in the way asked for."""


def escape(part: str) -> str:
    """The part as it stands, whatever characters are in it."""
    return _SPECIAL.sub(r"\\\1", part)


class Pattern:
    """`glob` is the pattern for Redis, `matches` the same for keys at hand; `key` is the only one, if that is plain.

    Raises PatternRefused for a pattern without any literal character but `:`, as that would match every key (say
    `clear` if that is meant), and for `[`, which must be escaped.
    """

    def __init__(self, text: str, name: str = "pattern") -> None:
        checked_key(text, name)
        literal, regex, glob, wild = "", "", "", False
        self.prefix: str | None = None
        position = 0
        while position < len(text):
            piece = _PIECE.match(text, position)
            if piece is None:
                raise PatternRefused(f"{name} {text!r} ends in a backslash: double it")
            escaped, star, bracket, plain = piece.groups()
            if bracket:
                raise PatternRefused(
                    f"{name} {text!r} holds a [ at {position}: character classes are not taken, escape it"
                )
            position = piece.end()
            if star:
                if position == len(text) and star == "*" and not wild and literal.endswith(":"):
                    self.prefix = literal
                wild = True
                regex += ".*" if star == "*" else "."
                glob += star
            else:
                literal += escaped or plain
                regex += re.escape(escaped or plain)
                glob += escape(escaped or plain)
        if not literal.strip(":"):
            raise PatternRefused(f"{name} {text!r} would match every key: name a part of the keys, or call clear()")
        self.text, self.glob, self.key = text, glob, None if wild else literal
        self._regex = re.compile(regex.encode(), re.DOTALL)

    def matches(self, key: str) -> bool:
        if self.prefix is not None:
            return key.startswith(self.prefix)
        return self._regex.fullmatch(key.encode()) is not None
