"""One JSON object of a trace file, with its attributes taken out by type."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeVar

T = TypeVar("T")
SHOWN_CHARS = 60


class WrongAttribute(Exception):
    """What was expected, and what was found instead."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """Each accessor raises WrongAttribute when the value is missing or of another type; those called `seen_...` give
    None when it is missing, which means it was not seen."""

    values: Mapping[str, object]

    @classmethod
    def of(cls, line: str) -> Attributes:
        """Raises WrongAttribute when the line is not one JSON object."""
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            values = None
        found = shown(line.rstrip("\n"))
        return cls._object(values, f"expected a JSON object, found {found}")

    def text(self, name: str) -> str:
        value = self.values.get(name)
        if not isinstance(value, str):
            self._wrong(name, "a string")
        return value

    def seen_text(self, name: str) -> str | None:
        return self.text(name) if name in self.values else None

    def number(self, name: str) -> int:
        value = self.values.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            self._wrong(name, "a whole number")
        return value

    def seen_number(self, name: str) -> int | None:
        return self.number(name) if name in self.values else None

    def truth(self, name: str) -> bool:
        value = self.values.get(name)
        if not isinstance(value, bool):
            self._wrong(name, "true or false")
        return value

    def one_of(self, name: str, choices: Mapping[str, T]) -> T:
        value = self.values.get(name)
        if not isinstance(value, str) or value not in choices:
            self._wrong(name, f"one of {', '.join(map(repr, sorted(choices)))}")
        return choices[value]

    def texts(self, name: str) -> tuple[str, ...]:
        values = self._list(name)
        texts = tuple(value for value in values if isinstance(value, str))
        if len(texts) < len(values):
            self._wrong(name, "a list of strings")
        return texts

    def numbers(self, name: str) -> tuple[int, ...]:
        return tuple(Attributes({name: value}).number(name) for value in self._list(name))

    def choices(self, name: str, choices: Mapping[str, T]) -> tuple[T, ...]:
        return tuple(Attributes({name: value}).one_of(name, choices) for value in self._list(name))

    def nested(self, name: str) -> Attributes:
        value = self.values.get(name)
        return self._object(value, f"{name}: expected an object, found {shown(value)}")

    def objects(self, name: str) -> Iterator[Attributes]:
        for value in self._list(name):
            yield self._object(value, f"{name}: expected a list of objects, found {shown(value)} in it")

    def _list(self, name: str) -> list[object]:
        value = self.values.get(name)
        if not isinstance(value, list):
            self._wrong(name, "a list")
        return value

    @classmethod
    def _object(cls, value: object, otherwise: str) -> Attributes:
        if not isinstance(value, dict):
            raise WrongAttribute(otherwise)
        return cls(value)

    def _wrong(self, name: str, expected: str) -> NoReturn:
        found = shown(self.values[name]) if name in self.values else "nothing"
        raise WrongAttribute(f"{name}: expected {expected}, found {found}")


def shown(value: object) -> str:
    """What was found, on one line and not too long."""
    text = ascii(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 3]}..."
