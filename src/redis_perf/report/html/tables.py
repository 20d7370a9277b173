"""Values that repeat, each once: what refers to one names its number."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value", bound=Hashable)


class Table(Generic[Value]):
    """Numbers in order of appearance. An object met before is known by its identity, which spares its hash."""

    def __init__(self, plain: Callable[[Value], object]) -> None:
        self._plain = plain
        self._numbers: dict[Value, int] = {}
        self._known: dict[int, tuple[Value, int]] = {}

    def number(self, value: Value) -> int:
        known = self._known.get(id(value))
        if known is None:
            known = (value, self._numbers.setdefault(value, len(self._numbers)))
            self._known[id(value)] = known  # holding the value keeps its id from being another's
        return known[1]

    def values(self) -> list[object]:
        return [self._plain(value) for value in self._numbers]
