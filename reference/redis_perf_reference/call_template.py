"""CallTemplate: a tag, or a pattern of keys, with a function's arguments in it, such as `persona:{user_id}:*`.

`{name}` is written as in the keys of `CallKeys`, `{name!s}` as plain text, for keys that were made by hand. Attributes
and items work as in format strings: `{user.id}`, `{row[id]}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from string import Formatter
from typing import Any

from redis_perf_reference.call_keys import segment

_FORMATTER = Formatter()
Part = tuple[str, str | None, str | None]


class CallTemplate:
    """Raises ValueError for what is no template over these `parameters`."""

    def __init__(self, text: str, parameters: Iterable[str], name: str) -> None:
        known = set(parameters)
        self._parts: list[Part] = []
        for literal, field, spec, conversion in _FORMATTER.parse(text):
            if spec or conversion not in (None, "s"):
                raise ValueError(f"{name} {text!r}: only {{argument}} and {{argument!s}} can be filled in")
            if field is not None and (first := field.partition(".")[0].partition("[")[0]) not in known:
                raise ValueError(f"{name} {text!r} names {first!r}, must be one of {', '.join(sorted(known))}")
            self._parts.append((literal, field, conversion))

    def filled(self, arguments: Mapping[str, Any], quote: Callable[[str], str] = str) -> str:
        """`quote` is applied to what is filled in."""
        return "".join(literal + quote(_filled(arguments, field, kind)) for literal, field, kind in self._parts)

    def example(self) -> str:
        return "".join(literal + ("x" if field is not None else "") for literal, field, _ in self._parts)


def _filled(arguments: Mapping[str, Any], field: str | None, conversion: str | None) -> str:
    if field is None:
        return ""
    value, _ = _FORMATTER.get_field(field, (), arguments)
    return str(value) if conversion else segment(value)
